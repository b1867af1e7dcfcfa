"""Finished runs, made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes what a run leaves in its folder; PSNR is its argument, SSIM and LPIPS differ between the protocols."""

    def write(
        name: str, scene: str = "a", seed: int = 0, model: str = "bags", psnr: float = 20.0, **config: Any
    ) -> Path:
        def judged(ssim: float) -> dict[str, Any]:
            return {"psnr": psnr, "ssim": ssim, "lpips": 1 - ssim, "per_view": []}

        both = {"deblur_nerf": judged(psnr / 50), "mip_splatting": judged(psnr / 40)}
        metrics = {
            **both["deblur_nerf"], "protocol": "deblur_nerf", "protocols": both, "train_seconds": 6 * psnr,
            "peak_memory_mb": 1500.0, "gpu_memory_mb": None, "num_gaussians": 1234, "scene": scene, "seed": seed,
            "model": model, "device": "cpu (a machine)",
        }  # fmt: skip
        settings = {
            "scene": scene, "seed": seed, "name": name, "model": {"name": model}, "dataset": {"factor": 4},
            "schedule": {"steps": None}, **config,
        }  # fmt: skip
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        return folder

    return write
