from __future__ import annotations

import os
from dataclasses import fields, replace
from itertools import product

import gsply
import numpy as np
import pytest
import torch

from bags.errors import DataError
from bags.io.ply import PlyGaussians, from_splats, read_ply, to_splats, write_ply
from bags.io.ply_vertices import read_vertices
from bags.rendering import reference
from bags.rendering.base import TwoStageRasterizer
from bags.types import Splats
from tests.ply_files import as_written_elsewhere
from tests.rendering.random_splats import random_camera, random_splats


def gaussians(count=6, rest=15, sigma=True):
    generator = torch.Generator().manual_seed(count)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    return PlyGaussians(
        means=draw(count, 3),
        sh_dc=draw(count, 1, 3),
        sh_rest=draw(count, rest, 3),
        opacity_logits=draw(count),
        log_scales=draw(count, 3) - 3,
        rotations=draw(count, 4),
        filter_sigma=draw(count).abs() / 10 if sigma else None,
    )


def test_what_is_written_is_read(tmp_path, subtests):
    for rest, sigma, count in product([0, 3, 8, 15], [False, True], [0, 5]):
        written = gaussians(count, rest, sigma)
        write_ply(tmp_path / "new/g.ply", written)
        found = read_ply(tmp_path / "new/g.ply")
        for field in fields(PlyGaussians):
            with subtests.test(field.name, rest=rest, sigma=sigma, count=count):
                a, b = getattr(written, field.name), getattr(found, field.name)
                assert (a is None and b is None) or (a.shape == b.shape and torch.equal(a, b))


def test_layout_is_that_of_3dgs(tmp_path):
    g = gaussians()
    write_ply(tmp_path / "g.ply", g)
    header, _, body = (tmp_path / "g.ply").read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:4] == [
        "ply", "format binary_little_endian 1.0", "comment SplatRenderMode: mip", "element vertex 6",
    ]  # fmt: skip
    assert all(line.startswith("property float ") for line in lines[4:])
    vertex = np.frombuffer(body, [(line.split()[2], "<f4") for line in lines[4:]])
    assert vertex.dtype.names[:9] == ("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2")
    assert vertex.dtype.names[9] == "f_rest_0"
    assert vertex.dtype.names[53] == "f_rest_44"
    assert vertex.dtype.names[54:] == (
        "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3", "filter_3D",
    )  # fmt: skip
    for channel in range(3):  # channel by channel
        for k in range(15):
            np.testing.assert_array_equal(vertex[f"f_rest_{15 * channel + k}"], g.sh_rest[:, k, channel])
    np.testing.assert_array_equal(vertex["rot_0"], g.rotations[:, 0])
    assert not vertex["nx"].any()


def draw(splats, camera):
    draw_it = TwoStageRasterizer(reference.project, reference.rasterize)
    return draw_it(splats, camera, sh_degree=3, background=torch.zeros(3)).rgb


def by_another_reader(path):
    """gsply's numbers, activated by the published formulas."""
    read = gsply.plyread(path)
    return Splats(
        means=torch.tensor(read.means),
        scales=torch.tensor(read.scales).exp(),
        rotations=torch.tensor(read.quats),
        opacities=1 / (1 + torch.exp(-torch.tensor(read.opacities).flatten())),
        sh_dc=torch.tensor(read.sh0)[:, None, :],
        sh_rest=torch.tensor(read.shN),
    )


@pytest.mark.parametrize("seed", range(3))
def test_exported_ply_renders_the_same_in_other_readers(tmp_path, seed):
    camera = random_camera(40, 32, seed)
    splats = random_splats(60, camera, seed)
    write_ply(tmp_path / "g.ply", from_splats(splats))
    expected = draw(splats, camera)
    for read in (by_another_reader(tmp_path / "g.ply"), to_splats(read_ply(tmp_path / "g.ply"))):
        error = (draw(read, camera) - expected).abs().max()
        assert error < 1e-5  # worst of twelve scenes: 9e-7
    assert expected.std() > 0.05


def test_separate_and_baked_in_filter_are_equivalent(tmp_path):
    camera = random_camera(40, 32)
    splats = random_splats(60, camera)
    plain = from_splats(splats)
    beside = replace(plain, filter_sigma=torch.rand(60) * splats.scales.mean())
    write_ply(tmp_path / "beside.ply", beside)
    write_ply(tmp_path / "baked.ply", from_splats(to_splats(beside)))
    drawn = draw(to_splats(read_ply(tmp_path / "beside.ply")), camera)
    assert (drawn - draw(by_another_reader(tmp_path / "baked.ply"), camera)).abs().max() < 1e-5  # 4e-7
    assert (drawn - draw(splats, camera)).abs().max() > 0.01  # the filter does something


def test_the_filter_is_that_of_the_method():
    g = gaussians()
    splats = to_splats(g)
    scale, sigma = g.log_scales.double().exp(), g.filter_sigma.double()[:, None]
    grown = (scale**2 + sigma**2).sqrt()
    torch.testing.assert_close(splats.scales.double(), grown, rtol=1e-6, atol=0)
    opacity = g.opacity_logits.double().sigmoid() * ((scale**2).prod(1) / (grown**2).prod(1)).sqrt()
    torch.testing.assert_close(splats.opacities.double(), opacity, rtol=1e-5, atol=1e-9)


def test_exported_quaternions_have_length_one(tmp_path):
    """Some viewers take them for normalised; the rotation stays, and files of others are read as they are."""
    turned = random_splats(250, random_camera(40, 32))
    turned = replace(turned, rotations=turned.rotations * 10 ** torch.linspace(-4, 4, 250)[:, None])
    found = from_splats(turned).rotations.double()
    torch.testing.assert_close(found.square().sum(dim=1), torch.ones(250).double(), rtol=0, atol=1e-6)
    given = turned.rotations.double()
    torch.testing.assert_close((found * given).sum(dim=1), given.square().sum(dim=1).sqrt(), rtol=1e-6, atol=0)
    write_ply(tmp_path / "g.ply", from_splats(turned))
    assert torch.equal(read_ply(tmp_path / "g.ply").rotations, found.float())


def test_saturated_and_vanishing_opacities_stay_finite():
    splats = to_splats(replace(gaussians(2), opacity_logits=torch.tensor([80.0, -80.0]), filter_sigma=None))
    logits = from_splats(splats).opacity_logits
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.sigmoid(), torch.tensor([1.0, 0.0]), atol=2e-7, rtol=0)


def test_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "g.ply"
    write_ply(path, gaussians(3))

    def fail(path, rows, comments):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("bags.io.ply.write_vertices", fail)
    with pytest.raises(KeyboardInterrupt):
        write_ply(path, gaussians(4))
    assert len(read_ply(path).means) == 3
    assert os.listdir(tmp_path) == ["g.ply"]


def test_bad_files(tmp_path):
    path = tmp_path / "g.ply"
    with pytest.raises(DataError, match=r"g\.ply: cannot be read"):
        read_ply(path)
    path.write_bytes(b"no ply")
    with pytest.raises(DataError, match=r"g\.ply: cannot be read"):
        read_ply(path)
    write_ply(path, gaussians())
    data = path.read_bytes()
    path.write_bytes(data[:-50])
    with pytest.raises(DataError, match=r"g\.ply: cannot be read"):
        read_ply(path)
    path.write_bytes(data.replace(b"property float opacity", b"property float opacitx"))
    with pytest.raises(DataError, match=r"columns opacity are missing"):
        read_ply(path)
    path.write_bytes(data.replace(b"property float f_rest_44", b"property float f_test_44"))
    with pytest.raises(DataError, match=r"44 f_rest columns"):
        read_ply(path)


def test_counts_that_the_file_cannot_hold(tmp_path, subtests):
    path = tmp_path / "g.ply"
    write_ply(path, gaussians(3))
    intact = path.read_bytes()
    for count in (b"99999999999999", b"-1", b"7", b"x", b"1e3"):
        path.write_bytes(intact.replace(b"element vertex 3", b"element vertex " + count))
        with subtests.test(count), pytest.raises(DataError, match=r"g\.ply: cannot be read"):
            read_ply(path)


def test_numbers_that_are_not_finite(tmp_path):
    made = gaussians(3)
    for value in (float("nan"), float("inf")):
        made.means[1, 2] = value
        write_ply(tmp_path / "g.ply", made)
        with pytest.raises(DataError, match=r"g\.ply: 1 of 3 Gaussians have non-finite values \(x, \.\.\.\)"):
            read_ply(tmp_path / "g.ply")


def test_columns_that_are_lists(tmp_path):
    path = tmp_path / "g.ply"
    write_ply(path, gaussians(3))
    path.write_bytes(path.read_bytes().replace(b"property float opacity", b"property list uchar float opacity"))
    with pytest.raises(DataError, match=r"g\.ply: (cannot be read|opacity are not numbers)"):
        read_ply(path)


def test_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: cannot be read .*no such file"):
        read_ply(tmp_path / "pipe")


def test_other_programs_files(tmp_path, subtests):
    write_ply(tmp_path / "ours.ply", g := gaussians(5, 3, sigma=False))
    ours = read_vertices(tmp_path / "ours.ply")
    names = [name for name in reversed(ours.dtype.names) if not name.startswith("n")]
    rows = np.zeros(len(ours), [*((name, "f8" if name == "opacity" else "f4") for name in names), ("label", "u1")])
    for name in names:
        rows[name] = ours[name]
    for form in ("ascii", "binary_little_endian", "binary_big_endian"):
        with subtests.test(form):
            as_written_elsewhere(tmp_path / "g.ply", rows, form)
            found = read_ply(tmp_path / "g.ply")
            for field in fields(PlyGaussians)[:-1]:
                torch.testing.assert_close(getattr(found, field.name), getattr(g, field.name), rtol=0, atol=0)


def test_headers_that_contradict_the_data(tmp_path, subtests):
    path = tmp_path / "g.ply"
    write_ply(path, gaussians(3))
    intact = path.read_bytes()
    for old, new, message in (
        (b"format binary_little_endian 1.0", b"format binary_middle_endian 1.0", "unsupported line: format"),
        (b"property float opacity", b"property complex opacity", "unsupported line: property complex opacity"),
        (b"end_header\n", b"", "header"),
        (b"format binary_little_endian 1.0\n", b"", "states no format"),
        (b"element vertex 3\n", b"element face 3\n", "unsupported line: element face 3"),
        (b"format binary_little_endian 1.0", b"format ascii 1.0", ""),
    ):
        path.write_bytes(intact.replace(old, new))
        message = rf"g\.ply: cannot be read as a PLY file of Gaussians \(.*{message}"
        with subtests.test(old, new=new), pytest.raises(DataError, match=message):
            read_ply(path)
