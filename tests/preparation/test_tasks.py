"""``task=prepare`` and ``task=reconstruct`` as people type them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from bags.cli import config_folder
from bags.config.nodes import register, to_settings
from bags.errors import DataError, SettingError
from bags.preparation.scene import Prepared
from bags.settings import DatasetSettings, PrepareSettings, Settings
from bags.system.signals import SIGNALS, stop
from bags.tasks import prepare, reconstruct
from tests.scene_page.stand_in import stand_in_client
from tests.waiting import HANG, until

RUN = [sys.executable, str(Path(__file__).parents[2] / "run.py")]


def settings_of(*overrides: str) -> Settings:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        return to_settings(compose("config", overrides=list(overrides)))


def test_photos_name_scene_and_run(tmp_path: Path) -> None:
    settings = settings_of("task=prepare", "scene=photos", f"source={tmp_path}/my kitchen")
    assert settings.scene == settings.name == "my kitchen"
    assert settings.dataset.root == "data/my kitchen" and settings.dataset.parser == "colmap"
    (tmp_path / "clip.mp4").touch()
    assert settings_of("scene=photos", f"source={tmp_path}/clip.mp4").name == "clip"


def test_reconstruct_in_one_go(photos: Path, tmp_path: Path, tmp_path_factory, monkeypatch, capsys) -> None:
    monkeypatch.setattr(reconstruct, "said", lambda: {"schedule.steps", "dataset", "prepare.features"})
    settings = settings_of(
        "task=reconstruct", "scene=photos", f"source={photos}", "name=trip", "schedule.steps=3",
        "prepare.features=1000", "prepare.threads=2", "prepare.test_views=2", "metrics.lpips=false",
        "trainer.progress=false", "output.train_views=1", f"output_root={tmp_path}/outputs", f"paths.data={tmp_path}",
        "output.images_every=null", "dataset.factor=96", "model.bpn.hidden=8", "render.frames=4",
        "trainer.accelerator=cpu",
    )  # fmt: skip
    stand_in_client(tmp_path_factory.mktemp("client"), monkeypatch)
    reconstruct.run(settings)
    said = capsys.readouterr().out
    assert f"8 of 8 photos of {photos} used, 1 camera, " in said and "outputs/trip/point_cloud.ply" in said
    assert said.rstrip().endswith(f"open this first: {tmp_path}/outputs/trip/report.html")
    config = yaml.safe_load((tmp_path / "outputs/trip/config.yaml").read_text())
    assert config["task"] == "train"
    assert config["model"]["gaussians"]["max_count"] == 14_000 and config["model"]["blur_model"] == "auto"
    assert config["schedule"]["steps"] == 3 and config["dataset"]["factor"] == 96  # as said
    metrics = json.loads((tmp_path / "outputs/trip/metrics.json").read_text())
    assert metrics["steps"] == 3 and len(metrics["per_view"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", photos.name}
    drawn = {path.name for path in (tmp_path / "outputs/trip/renders/step_3/train").iterdir()}
    assert len(drawn) == 12 and (tmp_path / "outputs/trip/report.html").is_file()
    assert (tmp_path / "outputs/trip/renders/step_3/train.mp4").stat().st_size > 0
    assert {path.suffix for path in (tmp_path / "outputs/trip/export/step_3").iterdir()} == {".ply", ".spz", ""}
    assert (tmp_path / "outputs/trip/scene.html").is_file()
    report = (tmp_path / "outputs/trip/report.html").read_text()
    step = "step_3"
    for file in (
        "scene.html", f"renders/{step}/train.mp4", f"renders/{step}/before_after.mp4", "time_lapse.mp4",
        "before_after.png", "kernels.png", f"export/{step}/point_cloud.ply", f"export/{step}/point_cloud.spz",
    ):  # fmt: skip
        assert f'<a href="{file}">' in report and (tmp_path / "outputs/trip" / file).stat().st_size > 0, file


def test_files_are_listed_with_their_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, size in (("views.csv", 3_400), ("report.html", 1_200_000)):
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "point_cloud.ply").touch()
    reconstruct.list_files(tmp_path)
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines() == [
        "export/  1 file", "report.html  1.2 MB", "views.csv  3.4 kB", "open this first: report.html",
    ]  # fmt: skip


def test_without_the_pages_client_the_rest_is_written(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("BAGS_PAGE_CLIENT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert reconstruct.exported(Settings(), set()) == ("ply", "spz")
    assert "no scene.html will be written: export.formats: html needs three" in caplog.text
    assert reconstruct.exported(Settings(), {"export.formats"}) == ("ply",)


def test_user_errors_print_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run([*RUN, "task=prepare"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "source = None: give a folder of photos or a video" in done.stderr  # and not: unused key, scene demo
    (tmp_path / "photos").mkdir()
    settings = settings_of("scene=photos", f"source={tmp_path}/photos", f"paths.data={tmp_path}/data")
    for run in (prepare.run, reconstruct.run):
        with pytest.raises(DataError, match="photos: an empty folder"):
            run(settings)
    with pytest.raises(DataError, match=r"no scene was prepared there .*no such file.*leave out ckpt_path"):
        reconstruct.run(replace(settings, ckpt_path="last"))
    with pytest.raises(SettingError, match=r"dataset\.root"):
        prepare.run(settings_of(f"source={tmp_path}/photos"))
    with pytest.raises(SettingError, match=r"prepare\.frames"):
        settings_of("prepare.frames=1")


def test_chosen_values_reach_their_keys() -> None:
    settings = reconstruct.with_values(Settings(), {"seed": 3, "dataset.factor": 4, "model.bpn.kernels": (3, 5, 7)})
    assert (settings.seed, settings.dataset.factor, settings.model.bpn.kernels) == (3, 4, (3, 5, 7))
    assert settings.dataset.images == "images" and settings.prepare == PrepareSettings()


def test_bars_count_every_thing_once() -> None:
    with prepare.Bars(hidden=True) as bars:
        for what, done, total in (("a", 0, 3), ("a", 2, 3), ("b", 1, 2), ("b", 1, 2)):
            bars.show(what, done, total)
    assert [(task.description, task.completed, task.total) for task in bars.progress.tasks] == [
        ("a", 3, 3),
        ("b", 2, 2),
    ]


def row(**changes: object) -> dict[str, object]:
    photo = {"name": "a.jpg", "source": "a.jpg", "width": 96, "height": 64, "sharpness": 0.5}
    return photo | {"placed": True, "points": 9} | changes


def test_a_record_that_tells_nothing_of_photos(tmp_path: Path, subtests: pytest.Subtests) -> None:
    settings = replace(Settings(), dataset=DatasetSettings(parser="colmap", root=str(tmp_path)))
    (tmp_path / "prepare.json").write_text(json.dumps({"photos": [row()]}))
    assert reconstruct.prepared_before(settings)["photos"] == [row()]
    wrong = [{"placed": False}, {"placed": 1}, {"width": 0}, {"height": "64"}, {"width": 1e9}]
    wrong += [{"sharpness": value} for value in (float("nan"), "x", 2)]
    rows = [[row(**changes)] for changes in wrong]
    for photos in (None, [], {}, [3], [{}], *rows, [row(), row(width=True)]):
        (tmp_path / "prepare.json").write_text(json.dumps({"photos": photos}))
        with subtests.test(photos=photos), pytest.raises(DataError, match=r"prepare\.json: lists no placed photo"):
            reconstruct.prepared_before(settings)


def test_files_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets were taken for markup, and a closing one that nobody had opened ended the program."""
    record = {
        "photos": [row(source="[/red]:smile:\x1b[2J.jpg")],
        "not_used": [{"file": "[bold]x.txt", "reason": "[/] not a photo"}],
        "test_views": [], "attempt": "careful", "placed": 1, "points": 9, "reprojection_error_px": 0.5, "cameras": [],
        "seconds": 1.0,
    }  # fmt: skip
    prepare.report(Prepared(tmp_path / "[/scene]", record))
    said = "".join(capsys.readouterr().out.split())
    assert "[/red]:smile:\\x1b[2J.jpg" in said and "[bold]x.txt" in said and "[/scene]" in said and "\x1b" not in said


def test_signals_are_heard_as_in_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGUSR1, too; an ignored signal stays ignored; outside the main thread nothing changes."""
    heard: list[object] = []

    def look(*_: object) -> Prepared:
        heard.append([signal.getsignal(number) for number in SIGNALS])
        return Prepared(tmp_path, {})

    monkeypatch.setattr(prepare, "prepare", look)
    monkeypatch.setattr(prepare, "report", lambda _: None)
    settings = settings_of("scene=photos", f"source={tmp_path}", "trainer.progress=false")
    before = [signal.getsignal(number) for number in SIGNALS]
    ignored = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        prepare.prepared(settings)
    finally:
        signal.signal(signal.SIGTERM, ignored)
    thread = threading.Thread(target=prepare.prepared, args=[settings])
    thread.start()
    thread.join()
    assert heard == [[signal.SIG_IGN if number == signal.SIGTERM else stop for number in SIGNALS], before]


def at_work_in(folder: Path) -> int:
    """How many processes have their working directory there."""
    found = 0
    for process in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += process.readlink() == folder
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")
def test_termination_leaves_nothing_half_made(photos: Path, tmp_path: Path) -> None:
    """SIGTERM while pycolmap works: its process and the hidden folder go with ours."""
    command = [*RUN, "task=prepare", f"source={photos}", "dataset.root=scenes/trip", "prepare.threads=1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # Until the hidden folder is there, a second process is not pycolmap's but one that an import has started.
        until((tmp_path / "scenes").exists, alive=lambda: process.poll() is None)
        until(lambda: at_work_in(tmp_path) == 2, alive=lambda: process.poll() is None)
        process.terminate()
        assert process.wait(HANG) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert not (tmp_path / "scenes").exists() and at_work_in(tmp_path) == 0
