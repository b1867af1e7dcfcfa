"""A few steps on every data set, from its own layout on disk to the last picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_training import run, settings_of
from tests.standins import write_blender, write_colmap, write_multiscale


def trained(root: Path, *overrides: str) -> dict[str, Any]:
    settings = settings_of(root / "outputs", "schedule.steps=5", "model.gaussians.random_points=300", *overrides)
    run(settings)
    return json.loads((settings.folder / "metrics.json").read_text())


def test_deblur_nerf(tmp_path: Path) -> None:
    write_colmap(tmp_path / "data" / "blurball", reduced=4, hold=7)
    found = trained(tmp_path, "scene=blurball", f"paths.data={tmp_path}/data")
    assert found["scene"] == "blurball"
    assert [view["name"] for view in found["per_view"]] == ["001.jpg", "008.jpg"]
    assert len(found["train_views"]) == 6 and found["num_gaussians"] == 150


@pytest.mark.parametrize("dataset", ["colmap", "drone"])
def test_colmap_and_drone(dataset: str, tmp_path: Path) -> None:
    write_colmap(tmp_path / "valley", hold=4)
    root = f"dataset.root={tmp_path}/valley"
    found = trained(tmp_path, "scene=own", f"dataset={dataset}", root, "dataset.factor=4")
    assert found["scene"] == "valley" and found["num_gaussians"] > 150  # and a background
    assert [view["name"] for view in found["per_view"]] == ["001.jpg", "005.jpg"]


def test_mip360_mixed_resolution(tmp_path: Path) -> None:
    write_colmap(tmp_path / "garden")
    found = trained(tmp_path, "scene=garden", f"paths.data={tmp_path}")
    assert [view["name"] for view in found["per_view"]] == ["001.jpg"]
    kinds = [view["true_blur"]["kind"] for view in found["train_views"]]
    assert set(kinds) == {"sharp", "low_resolution"} and "blur_rank_correlation" in found


def test_blender(tmp_path: Path) -> None:
    write_blender(tmp_path / "lego", size=(48, 32))
    found = trained(tmp_path, "scene=own", "dataset=blender", f"dataset.root={tmp_path}/lego")
    assert found["scene"] == "lego" and found["num_gaussians"] > 0
    assert [view["name"] for view in found["per_view"]] == ["test_r_0.png", "test_r_1.png"]


@pytest.mark.parametrize(("resolutions", "views"), [("all", 3), ("highest", 1)])
def test_multiscale_blender(resolutions: str, views: int, tmp_path: Path) -> None:
    write_multiscale(tmp_path / "lego", size=128, levels=(0, 1, 2))
    found = trained(
        tmp_path, "scene=own", "dataset=multiscale_blender", f"dataset.root={tmp_path}/lego",
        f"dataset.resolutions={resolutions}",
    )  # fmt: skip
    assert len(found["per_view"]) == views and len(found["train_views"]) == 2 * views


def test_ablations_train(tmp_path: Path) -> None:
    """In one sweep of settings; what each of them leaves out is held in tests/config and tests/modules."""
    for ablation in ("no_rgbd", "no_position", "no_mask", "no_multi_scale", "no_lr_reset"):
        found = trained(tmp_path, f"ablation={ablation}", f"name={ablation}", "loss.mask=0.001")
        assert found["model"] == f"bags_{ablation}" and found["psnr"] > 0
        assert (ablation == "no_mask") == all(view["mask"] is None for view in found["train_views"])


def test_nerfstudio_without_points_and_with_a_limit(tmp_path: Path) -> None:
    root = write_blender(tmp_path / "lego", train=4, size=(48, 32))
    (root / "transforms_train.json").rename(root / "transforms.json")
    found = trained(
        tmp_path, "scene=own", "dataset=nerfstudio", f"dataset.root={root}", "model.gaussians.max_count=200",
        "dataset.hold=4",
    )  # fmt: skip
    assert found["num_gaussians"] == 200 and [view["name"] for view in found["per_view"]] == ["train_r_0.png"]
