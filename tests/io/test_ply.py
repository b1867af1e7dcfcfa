from __future__ import annotations

import os
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from plyfile import PlyData

from bags.errors import DataError
from bags.io.ply import PlyGaussians, bake_filter, read_ply, write_ply


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


@pytest.mark.parametrize("rest", [0, 3, 8, 15])
@pytest.mark.parametrize("sigma", [False, True])
@pytest.mark.parametrize("count", [0, 5])
def test_what_is_written_is_read(tmp_path, rest, sigma, count):
    written = gaussians(count, rest, sigma)
    write_ply(tmp_path / "new/g.ply", written)
    found = read_ply(tmp_path / "new/g.ply")
    for field in fields(PlyGaussians):
        a, b = getattr(written, field.name), getattr(found, field.name)
        assert (a is None and b is None) or (a.shape == b.shape and torch.equal(a, b)), field.name


def test_layout_is_that_of_3dgs(tmp_path):
    g = gaussians()
    write_ply(tmp_path / "g.ply", g)
    vertex = PlyData.read(str(tmp_path / "g.ply"))["vertex"].data
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


def test_baked_filter_is_the_same_gaussian():
    g = gaussians()
    baked = bake_filter(g)
    scale, sigma = g.log_scales.double().exp(), g.filter_sigma.double()[:, None]
    grown = (scale**2 + sigma**2).sqrt()
    torch.testing.assert_close(baked.log_scales.double().exp(), grown, rtol=1e-6, atol=0)
    opacity = g.opacity_logits.double().sigmoid() * ((scale**2).prod(1) / (grown**2).prod(1)).sqrt()
    torch.testing.assert_close(baked.opacity_logits.double().sigmoid(), opacity, rtol=1e-5, atol=1e-9)
    assert baked.filter_sigma is None
    assert bake_filter(baked) is baked


def test_baking_saturated_and_vanishing_opacities_stays_finite():
    g = replace(gaussians(2), opacity_logits=torch.tensor([80.0, -80.0]), filter_sigma=torch.tensor([0.0, 9.0]))
    assert bake_filter(g).opacity_logits.isfinite().all()


def test_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "g.ply"
    write_ply(path, gaussians(3))

    def fail(self, stream):
        with open(stream, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(PlyData, "write", fail)
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
