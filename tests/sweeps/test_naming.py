"""Names of a sweep's jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from bags.cli import config_folder
from bags.config.nodes import register
from bags.sweeps.naming import fixed_keys, job_name, readable


def named(swept: list[str], job: list[str]) -> str:
    """The name of the job with the overrides ``job`` of the sweep typed as ``swept``."""
    register()
    keys = f"hydra.job.config.override_dirname.exclude_keys=[{','.join(fixed_keys(swept))}]"
    with initialize_config_dir(version_base="1.3", config_dir=str(Path(config_folder()))):
        cfg = compose("config", overrides=[keys, *job], return_hydra_config=True)
    return job_name(cfg.name, cfg.seed, cfg.hydra)


def test_names_tell_what_is_swept(subtests: pytest.Subtests) -> None:
    for swept, job, name in [
        (["scene=demo,blurball"], ["scene=blurball"], "blurball-seed0"),
        (["scene=demo,blurball", "seed=1,2"], ["scene=blurball", "seed=2"], "blurball-seed2"),
        (["seed=1", "ablation=none,no_mask"], ["seed=1", "ablation=no_mask"], "demo-seed1-ablation_no_mask"),
        (["loss.ssim=0.1,0.2", "optim.bpn=1e-3"], ["loss.ssim=0.1", "optim.bpn=1e-3"], "demo-seed0-loss.ssim_0.1"),
        (["loss.ssim=0,1", "scene=demo,own"], ["loss.ssim=0", "scene=demo"], "demo-seed0-loss.ssim_0"),
        (["name=x", "scene=demo,blurball"], ["name=x", "scene=blurball"], "x-seed0-scene_blurball"),
        (["name=x", "seed=1,2"], ["name=x", "seed=2"], "x-seed2"),
        (["name=demo-seed1,demo-seed2", "task=evaluate"], ["name=demo-seed1", "task=evaluate"], "demo-seed1"),
    ]:
        with subtests.test(name):
            assert named(swept, job) == name
            assert named(swept[::-1], job[::-1]) == name  # whatever the order on the command line


def test_awkward_values_stay_apart() -> None:
    one, other = readable("demo-seed0-kernels_[3,5]"), readable("demo-seed0-kernels_[3 5]")
    assert one.startswith("demo-seed0-kernels__3_5_-") and one != other
    long = readable("x" * 300)
    assert len(long) < 120 and long != readable("x" * 301)


def test_swept_path_creates_no_parent_folders() -> None:
    names = [
        named(["dataset.root=../a,/b/a", "scene=own"], [f"dataset.root={root}", "scene=own"])
        for root in ("../a", "/b/a")
    ]
    assert names[0].startswith("a-seed0-dataset.root_.._a-") and names[1].startswith("a-seed0-dataset.root__b_a-")
    assert named(["name=2024/a", "seed=1,2"], ["name=2024/a", "seed=2"]) == "2024/a-seed2"


def test_names_in_other_scripts() -> None:
    """Their limit is in bytes, as a file system has it; names that are not UTF-8 are told apart."""
    assert named(["group='Küche','b'"], ["group='Küche'"]) == "demo-seed0-group_Küche"
    assert len(readable("写" * 300).encode()) < 120
    assert readable("M\udcfc") != readable("M\udcfd")
