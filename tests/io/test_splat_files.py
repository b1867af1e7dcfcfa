"""Smaller formats, decoded here by what is published about them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from plyfile import PlyData

from bags.errors import BagsError
from bags.io.ply import read_ply
from bags.io.splat_files import write_splats
from bags.ops.geometry import quaternion_to_rotation
from bags.ops.sh import dc_to_rgb
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
    ply = PlyData.read(str(path))
    chunk, vertex = ply["chunk"].data, ply["vertex"].data
    drawn = splats.opacities > 1 / 255
    assert len(vertex) == int(drawn.sum()) and len(chunk) == 2
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
    rest = np.column_stack([ply["sh"].data[f"f_rest_{i}"] for i in range(45)])
    rest = torch.tensor((rest / 256 - 0.5) * 8)[order].reshape(-1, 3, 15).mT.float()
    torch.testing.assert_close(rest, splats.sh_rest[drawn], atol=8.1 / 256, rtol=0)


def test_without_gsplat_it_is_said_what_to_do(tmp_path, splats, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(BagsError, match=r"splat is written by gsplat .*pip install -e '\.\[export\]'"):
        write_splats(tmp_path / "scene", splats, "splat")
    assert not list(tmp_path.iterdir())
