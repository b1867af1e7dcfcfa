"""What is told of placing before it begins, and which photos are compared."""

from __future__ import annotations

import logging
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from bags.errors import DataError
from bags.preparation.forecast import placing_seconds, slowness
from bags.preparation.pairs import ALL_PAIRS, pairs_of
from bags.preparation.scene import prepare
from bags.settings import PrepareSettings
from tests.preparation.conftest import silent
from tests.preparation.test_scene import noise

SETTINGS = PrepareSettings()


def test_few_photos_are_compared_each_with_each() -> None:
    assert pairs_of(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert len(pairs_of(range(ALL_PAIRS))) == ALL_PAIRS * (ALL_PAIRS - 1) // 2


def test_many_photos_are_compared_with_neighbours_and_where_the_way_may_come_back() -> None:
    pairs = set(pairs_of(range(200)))
    assert {(0, 20), (100, 120), (0, 195), (95, 140)} <= pairs
    assert not {(0, 21), (1, 195), (94, 140)} & pairs
    # every photo with the 20 after it, and of 40 photos, five apart, the pairs that are 25 and more apart
    assert len(pairs) == 200 * 20 - 20 * 21 // 2 + sum(40 - apart for apart in range(5, 40))


def test_a_forecast_grows_with_photos_pixels_and_slowness() -> None:
    one = placing_seconds(27, 2400, 1600, SETTINGS, cores=2)
    assert one.total == pytest.approx(sum(astuple(one))) and min(astuple(one)) > 0
    slow = placing_seconds(27, 2400, 1600, SETTINGS, cores=2, slowness=2.0)
    assert slow.total == pytest.approx(2 * one.total)
    twice = placing_seconds(54, 2400, 1600, SETTINGS, cores=2)
    assert twice.details == pytest.approx(2 * one.details)
    assert twice.comparing == pytest.approx(one.comparing * (54 * 53) / (27 * 26))
    large = placing_seconds(27, 4800, 3200, SETTINGS, cores=2)
    assert large.reading == pytest.approx(4 * one.reading) and large.comparing == pytest.approx(one.comparing)
    four = placing_seconds(27, 2400, 1600, SETTINGS, cores=4)
    assert four.details == pytest.approx(one.details / 2) and four.placing == one.placing
    assert placing_seconds(27, 2400, 1600, replace(SETTINGS, threads=2), cores=4) == one


def test_how_slow_a_core_is() -> None:
    assert 0.05 < slowness() < 500  # of any machine, whatever else it does


def test_duration_is_announced_before_the_long_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = PrepareSettings(features=300)
    with caplog.at_level(logging.INFO), pytest.raises(DataError, match="none of the 3 photos"):
        prepare(noise(tmp_path / "noise", 3), tmp_path / "scene", settings, 0, silent)
    assert "placing 3 photos in space will take about" in caplog.text
