"""Each ablation leaves out one thing and nothing else, on top of any scene and experiment."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bags.cli import config_folder
from tests.config.test_config import settings_of

CHANGES: dict[str, dict[str, Any]] = {
    "none": {},
    "no_rgbd": {"model.bpn.use_rgbd": False},
    "no_position": {"model.bpn.use_position": False},
    "no_mask": {"model.bpn.use_mask": False, "loss.mask": 0.0},
    "no_multi_scale": {"schedule.coarse_to_fine": False},
    "no_lr_reset": {"schedule.restart": False},
}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_the_table_has_them_all() -> None:
    assert {path.stem for path in (Path(config_folder()) / "ablation").glob("*.yaml")} == set(CHANGES)


def test_ablation_changes_only_the_named_keys(subtests: pytest.Subtests) -> None:
    for base, ablation in product([(), ("scene=defocustools", "experiment=paper"), ("scene=garden",)], CHANGES):
        with subtests.test(ablation, base=base):
            with_it, without = (flat(asdict(settings_of(*base, f"ablation={name}"))) for name in (ablation, "none"))
            changed = {key: value for key, value in with_it.items() if value != without[key]}
            expected = {key: value for key, value in CHANGES[ablation].items() if without[key] != value}
            assert changed == expected | ({"model.name": f"bags_{ablation}"} if ablation != "none" else {})
            assert ablation == "none" or expected or ablation == "no_rgbd"  # the garden goes without it anyway
