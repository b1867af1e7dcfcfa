"""What ``task=reconstruct`` makes of the time it has, and what it says of it beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bags.modules import step_cost
from bags.modules.bags_module import BagsModule
from bags.preparation.scene import Prepared
from bags.run import timetable
from bags.run.folder import begin
from bags.run.rehearsal import steps_that_fit
from bags.run.timetable import DRAWING, PLACING, TRAINING, Material, Timetable, expected, material
from bags.settings import Settings
from bags.tasks import reconstruct
from tests.preparation.test_tasks import row, settings_of


def of(scene: Prepared, tmp_path: Path, *overrides: str) -> Settings:
    return settings_of(
        "task=reconstruct", "scene=photos", "source=/photos", f"dataset.root={scene.root}", f"output_root={tmp_path}",
        "name=trip", "trainer.accelerator=cpu", "model.bpn.hidden=8", *overrides,
    )  # fmt: skip


def test_steps_that_fit_are_found_on_the_scene_itself(
    scene: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, sizes, count = [0.0], set(), set()
    step = BagsModule.training_step

    def slow(self: BagsModule, batch: Any, batch_idx: int) -> Any:
        sizes.add(tuple(batch.image.shape[1:]))
        count.add(len(self.gaussians))
        now[0] += {4: 0.0, 2: 0.25, 1: 1.0}[self.schedule.at(batch.step).divisor]
        return step(self, batch, batch_idx)

    monkeypatch.setattr(BagsModule, "training_step", slow)
    monkeypatch.setattr(step_cost, "perf_counter", lambda: now[0])
    settings = of(scene, tmp_path, "schedule.minutes=10", "dataset.factor=3", "model.gaussians.max_count=700")
    settings = replace(settings, dataset=replace(settings.dataset, factor=96))
    # A tenth of the steps at a quarter of the resolution, one at a half, eight tenths at the full one.
    assert steps_that_fit(settings) == pytest.approx(600 / (0.1 * 0.0 + 0.1 * 0.25 + 0.8), rel=0.01)
    assert sizes == {(64, 96), (32, 48), (16, 24)}
    assert max(count) <= max(700, scene.record["points"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("stated", "factor", "minutes", "asked"),
    [
        ((), 2, 15.0, [4, 2]),
        (("schedule.minutes=4",), 4, None, [4]),
        (("dataset.factor=8",), None, 15.0, []),
        (("schedule.steps=300",), 2, None, []),
        (("schedule.steps=300", "dataset.factor=8"), None, None, []),
    ],
)
def test_what_is_chosen_for_the_time(
    stated: tuple[str, ...],
    factor: int | None,
    minutes: float | None,
    asked: list[int],
    scene: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seconds of a step grow with the area: 0.3 at 400 pixels."""
    tried: list[int] = []

    def fitting(settings: Settings) -> int:
        tried.append(settings.dataset.factor)
        assert settings.schedule.minutes and settings.model.gaussians.max_count is not None
        return int(60 * settings.schedule.minutes / (0.3 * (2 / settings.dataset.factor) ** 2))

    monkeypatch.setattr(reconstruct, "steps_that_fit", fitting)
    record = {"photos": [row(width=800, height=600)] * 3}
    names = {word.split("=")[0] for word in stated}
    values = reconstruct.chosen(of(scene, tmp_path, *stated), record, "cpu", names)
    assert values.get("dataset.factor") == factor and values.get("schedule.minutes") == minutes and tried == asked
    assert not names & set(values) and "schedule.steps" not in values
    assert reconstruct.chosen(of(scene, tmp_path, *stated), record, "cpu", names | {"experiment"}) == {}


def test_resumed_training_keeps_its_choices(scene: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured on another day, another resolution may be the best; it would be another run."""

    def never(settings: Settings) -> int:
        raise AssertionError

    def chosen(settings: Settings) -> Mapping[str, Any]:
        return reconstruct.chosen(settings, record, "cpu", set())

    record = {"photos": [row(width=800, height=600)] * 3}
    settings = of(scene, tmp_path)
    monkeypatch.setattr(reconstruct, "steps_that_fit", lambda _: 2000)
    first = chosen(settings)
    assert first["dataset.factor"] == 4
    begin(reconstruct.with_values(settings, first))
    monkeypatch.setattr(reconstruct, "steps_that_fit", never)
    again = replace(settings, ckpt_path="auto")
    assert chosen(again) == first
    assert asdict(reconstruct.with_values(again, first)) | {"ckpt_path": None} == asdict(
        reconstruct.with_values(settings, first)
    )
    (settings.folder / "config.yaml").write_text("seed: [")
    monkeypatch.setattr(reconstruct, "steps_that_fit", lambda _: 90_000)
    assert chosen(again)["dataset.factor"] == 1


def test_photos_are_counted_before_they_are_read(photos: Path, tmp_path: Path) -> None:
    assert material(photos, 60) == Material(8, 288, 192)
    (tmp_path / "a.jpg").write_text("none")
    (tmp_path / ".b.jpg").touch()
    (tmp_path / "notes.txt").touch()
    assert material(tmp_path, 60) == Material(1, *timetable.UNKNOWN)
    assert material(tmp_path / "notes.txt", 45).photos == 45  # a video, if it is one


def test_more_work_takes_longer_and_more_cores_less(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setattr(timetable, "available_cores", lambda: 8)
    many = expected(settings, Material(30, 2400, 1600), 15.0)
    monkeypatch.setattr(timetable, "available_cores", lambda: 2)
    usual = expected(settings, Material(30, 2400, 1600), 15.0)
    assert list(usual) == [PLACING, TRAINING, DRAWING] and usual[TRAINING] > 900
    for more in (Material(60, 2400, 1600), Material(30, 4000, 3000)):
        assert all(one > usual[name] for name, one in expected(settings, more, 15.0).items())
    slow = expected(settings, Material(30, 2400, 1600), 15.0, 2.0)
    assert many[PLACING] < usual[PLACING] < slow[PLACING] and usual[DRAWING] < slow[DRAWING]
    assert TRAINING not in expected(settings, Material(30, 2400, 1600), None)
    films = [
        expected(replace(settings, render=replace(settings.render, frames=n)), Material(30, 2400, 1600), 1)[DRAWING]
        for n in (24, 240)
    ]
    assert films[1] > films[0]


def test_each_part_shows_actual_beside_expected_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(timetable, "perf_counter", lambda: now[0])
    times = Timetable({PLACING: 90.0, TRAINING: 900.0})
    times.announce()
    said = capsys.readouterr().out
    assert "this will take about" in said and "1.5 min" in said and "15.0 min" in said and "16.5 min" in said
    with times.part(PLACING):
        now[0] += 120
    with times.part(DRAWING):
        now[0] += 30
    assert capsys.readouterr().out.splitlines() == [
        "placing the photos: 2.0 min (1.5 min expected)",
        "sharp photos, films and export: 0.5 min",
    ]
