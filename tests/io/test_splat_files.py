"""Smaller formats, decoded here by what is published about them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from dataclasses import replace
from itertools import product

import gsply
import numpy as np
import pytest
import torch
from PIL import Image

from bags.errors import DataError, SettingError
from bags.io.ply import read_ply
from bags.io.splat_files import FORMATS, write_splats
from bags.ops.geometry import quaternion_to_rotation
from bags.ops.sh import dc_to_rgb, sh_to_rgb
from bags.settings import ExportSettings
from bags.types import Splats
from tests.rendering.random_splats import random_camera, random_splats

COUNT = 300  # more than one chunk of the compressed PLY


@pytest.fixture
def splats():
    return random_splats(COUNT, random_camera(40, 32))


def order_by_position(found, expected):
    """For each expected position the nearest found one; all different."""
    order = torch.cdist(expected.double(), found.double()).argmin(dim=1)
    assert len(order.unique()) == len(expected)
    return order


def same_rotations(found, expected, degrees):
    turn = quaternion_to_rotation(found).mT @ quaternion_to_rotation(expected)
    cosine = ((turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)
    assert cosine.acos().rad2deg().max() < degrees


def elements(path):
    """A binary PLY file's tables, by name."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    tables, kinds = {}, {"float": "<f4", "uint": "<u4", "uchar": "u1"}
    for block in header.decode().split("element ")[1:]:
        (name, count), *columns = (line.split() for line in block.splitlines())
        kind = np.dtype([(column[2], kinds[column[1]]) for column in columns])
        tables[name] = np.frombuffer(body, kind, int(count))
        body = body[int(count) * kind.itemsize :]
    assert not body
    return tables


def test_every_format_is_a_setting_and_no_other():
    ExportSettings(formats=("ply_with_filter", "html", *FORMATS))
    with pytest.raises(SettingError, match=r"export\.formats = 'ksplat': must be one of ply, .*sog"):
        ExportSettings(formats=("ksplat",))


def test_any_number_of_gaussians_and_harmonics(tmp_path, subtests):
    for kind, (count, rest) in product(FORMATS, [(1, 0), (2, 3), (257, 8), (1, 15)]):
        with subtests.test(kind, count=count, rest=rest):
            some = random_splats(count, random_camera(40, 32))
            path = write_splats(tmp_path / "s", replace(some, sh_rest=some.sh_rest[:, :rest]), kind)
            again = write_splats(tmp_path / "again", replace(some, sh_rest=some.sh_rest[:, :rest]), kind)
            assert path.read_bytes() == again.read_bytes()


def test_gaussians_that_are_being_trained_can_be_written(tmp_path, splats, subtests):
    trained = Splats(**{name: values.clone().requires_grad_() for name, values in vars(splats).items()})
    for kind in FORMATS:
        with subtests.test(kind):
            before, after = write_splats(tmp_path / "a", splats, kind), write_splats(tmp_path / "b", trained, kind)
            assert before.read_bytes() == after.read_bytes()


def test_ply(tmp_path, splats):
    path = write_splats(tmp_path / "scene.v1", splats, "ply")
    assert path.name == "scene.v1.ply"
    assert len(read_ply(path).means) == COUNT


def test_splat(tmp_path, splats):
    """32 bytes each: position and scale as float32, colour and opacity, quaternion wxyz as (q + 1) * 128."""
    path = write_splats(tmp_path / "scene", splats, "splat")
    assert path.name == "scene.splat"
    kinds = [("xyz", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("wxyz", "u1", 4)]
    rows = np.fromfile(path, dtype=kinds)
    assert len(rows) == COUNT
    order = order_by_position(torch.tensor(rows["xyz"]), splats.means)
    # Readers show what has arrived: the largest and most opaque come first.
    weights = (splats.scales.double().prod(1) * splats.opacities.double())[order.argsort()]
    assert (weights[1:] <= weights[:-1] * (1 + 1e-5)).all() and weights[0] > 10 * weights[-1]
    rows = rows[order.numpy()]
    torch.testing.assert_close(torch.tensor(rows["xyz"]), splats.means)
    torch.testing.assert_close(torch.tensor(rows["scale"]), splats.scales, rtol=1e-5, atol=0)
    rgb = dc_to_rgb(splats.sh_dc[:, 0]).clamp(0, 1)
    torch.testing.assert_close(torch.tensor(rows["rgba"] / 255.0).float()[:, :3], rgb, atol=1.01 / 255, rtol=0)
    torch.testing.assert_close(
        torch.tensor(rows["rgba"] / 255.0).float()[:, 3], splats.opacities, atol=1.01 / 255, rtol=0
    )
    same_rotations(torch.tensor((rows["wxyz"].astype(float) - 128) / 128).float(), splats.rotations, degrees=2)


def test_compressed_ply(tmp_path, splats):
    """Chunks of 256 with bounds; 11, 10, 11 bits of position and scale, 2 + 3 x 10 of rotation, 8 of the rest."""
    path = write_splats(tmp_path / "scene", splats, "compressed_ply")
    assert path.name == "scene.compressed.ply"
    ply = elements(path)
    chunk, vertex = ply["chunk"], ply["vertex"]
    drawn = torch.ones(COUNT, dtype=torch.bool)
    assert len(vertex) == COUNT and len(chunk) == 2
    place = np.arange(len(vertex)) // 256

    def unpack(packed, low, high):
        parts = (packed >> 21) / 2047, (packed >> 11 & 1023) / 1023, (packed & 2047) / 2047
        bounds = [(chunk[low.format(axis)][place], chunk[high.format(axis)][place]) for axis in ("x", "y", "z")]
        return torch.tensor(np.column_stack([a + part * (b - a) for part, (a, b) in zip(parts, bounds, strict=True)]))

    means = unpack(vertex["packed_position"], "min_{}", "max_{}")
    order = order_by_position(means, splats.means[drawn])
    size = splats.means.max(0).values - splats.means.min(0).values
    assert ((means[order] - splats.means[drawn]).abs() / size).max() < 1 / 1000
    log_scales = unpack(vertex["packed_scale"], "min_scale_{}", "max_scale_{}")[order]
    assert (log_scales - splats.scales[drawn].log()).abs().max() < 0.005
    packed = vertex["packed_rotation"].astype(np.int64)
    parts = np.stack([packed >> 20 & 1023, packed >> 10 & 1023, packed & 1023], axis=1) / 1023
    parts = (parts - 0.5) * np.sqrt(2)
    largest = np.sqrt(np.clip(1 - (parts**2).sum(1), 0, 1))
    wxyz = np.stack([np.insert(p, i, m) for p, i, m in zip(parts, packed >> 30, largest, strict=True)])
    same_rotations(torch.tensor(wxyz)[order].float(), splats.rotations[drawn], degrees=0.5)
    opacity = torch.tensor((vertex["packed_color"] & 255) / 255.0)[order].float()
    torch.testing.assert_close(opacity, splats.opacities[drawn], atol=0.51 / 255, rtol=0)
    rest = np.column_stack([ply["sh"][f"f_rest_{i}"] for i in range(45)])
    rest = torch.tensor((rest / 256 - 0.5) * 8)[order].reshape(-1, 3, 15).mT.float()
    torch.testing.assert_close(rest, splats.sh_rest[drawn], atol=8.1 / 256, rtol=0)


def test_spz(tmp_path, splats):
    """Read by gsply; its axes are y up and z backwards, so everything is turned by half a turn about x."""
    path = write_splats(tmp_path / "scene", splats, "spz")
    assert path.name == "scene.spz"
    magic, version, count, degree, bits, flags = struct.unpack("<4sIIBBB", gzip.decompress(path.read_bytes())[:15])
    assert (magic, version, count, degree, flags) == (b"NGSP", 3, COUNT, 3, 1)
    assert 2**22 <= splats.means.abs().max() * 2**bits < 2**23  # as fine as 24 bits allow
    read = gsply.read_spz(path)
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    torch.testing.assert_close(torch.tensor(read.means) @ turn, splats.means, atol=2.0**-bits, rtol=0)
    assert (torch.tensor(read.scales) - splats.scales.log()).abs().max() < 1.01 / 32
    torch.testing.assert_close(torch.tensor(read.opacities).sigmoid(), splats.opacities, atol=0.51 / 255, rtol=0)
    found = turn @ quaternion_to_rotation(torch.tensor(read.quats)) @ turn
    cosine = ((found.mT @ quaternion_to_rotation(splats.rotations)).diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    assert cosine.clamp(-1, 1).acos().rad2deg().max() < 0.5
    for direction in torch.nn.functional.normalize(torch.randn(20, 3), dim=1):
        here = sh_to_rgb(splats.sh_dc, splats.sh_rest, direction.expand(COUNT, 3), 3)
        there = sh_to_rgb(
            torch.tensor(read.sh0)[:, None], torch.tensor(read.shN), (turn @ direction).expand(COUNT, 3), 3
        )
        assert (here - there).abs().max() < 0.05


def test_spz_further_out_than_it_reaches(tmp_path, splats):
    far = replace(splats, means=splats.means + 2.0**23)
    with pytest.raises(DataError, match=r"spz has positions up to .*: leave spz out"):
        write_splats(tmp_path / "scene", far, "spz")
    assert not list(tmp_path.iterdir())


def test_sog(tmp_path, splats):
    """A pixel a Gaussian: 16 bits of the logarithm of positions, codebooks of 256, a palette of harmonics."""
    path = write_splats(tmp_path / "scene", splats, "sog")
    assert path.name == "scene.sog"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(files["meta.json"])
    assert (meta["version"], meta["count"], meta["antialias"]) == (2, COUNT, True)

    def pixels(part, number=0):
        picture = Image.open(io.BytesIO(files[meta[part]["files"][number]]))
        table = torch.tensor(np.array(picture)).long()
        return table if "centroids" in meta[part]["files"][number] else table.flatten(0, 1)[:COUNT]

    def book(part):
        return torch.tensor(meta[part]["codebook"])

    low, high = torch.tensor(meta["means"]["mins"]), torch.tensor(meta["means"]["maxs"])
    logs = low + (pixels("means") + 256 * pixels("means", 1)) / 65535 * (high - low)
    means = logs.sign() * (logs.abs().exp() - 1)
    order = order_by_position(means, splats.means)
    torch.testing.assert_close(means[order].float(), splats.means, atol=1e-3, rtol=1e-3)
    assert (book("scales")[pixels("scales")[order]] - splats.scales.log()).abs().max() < 0.02
    colour = pixels("sh0")[order]
    torch.testing.assert_close(colour[:, 3] / 255, splats.opacities, atol=0.51 / 255, rtol=0)
    assert (book("sh0")[colour[:, :3]] - splats.sh_dc[:, 0]).abs().max() < 0.05
    quats = pixels("quats")[order]
    small = (quats[:, :3] / 255 * 2 - 1) / 2**0.5
    largest = (1 - small.square().sum(1)).clamp_min(0).sqrt()
    wxyz = [
        np.insert(s, t - 252, m) for s, t, m in zip(small.numpy(), quats[:, 3].tolist(), largest.tolist(), strict=True)
    ]
    same_rotations(torch.tensor(np.array(wxyz)).float(), splats.rotations, degrees=2)
    labels = pixels("shN", 1)[order]
    labels = labels[:, 0] + 256 * labels[:, 1]
    palette = book("shN")[pixels("shN")].reshape(-1, 15, 3)  # 64 of them in a row
    assert meta["shN"]["bands"] == 3 and meta["shN"]["count"] == COUNT
    assert (palette[labels] - splats.sh_rest).abs().max() < 0.05
