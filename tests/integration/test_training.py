"""Whole runs on a tiny built-in scene: every file is there, every task works, resume is exact."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning import Callback

from bags.callbacks.history import row_every
from bags.cli import config_folder
from bags.config.nodes import register, to_settings
from bags.datamodules.parsers.colmap_files import read_model
from bags.errors import BagsError
from bags.io.images import image_size, read_image
from bags.io.ply import read_ply
from bags.run import results, trainer
from bags.run.checkpoints import checkpoint
from bags.settings import Settings
from bags.system.memory import in_words
from bags.tasks import evaluate, export, render, train

TINY = (
    "dataset.synthetic.width=48", "dataset.synthetic.height=32", "dataset.synthetic.train_views=6",
    "dataset.synthetic.test_views=2", "dataset.synthetic.points=200", "dataset.synthetic.samples=8",
    "schedule.steps=40", "schedule.shortest_densify_every=5", "schedule.shortest_densify_from=5",
    "schedule.shortest_opacity_reset_every=12", "schedule.shortest_recovery=4",
    "model.bpn.kernels=[3,3,5]", "metrics.lpips=false", "trainer.accelerator=cpu",
    "trainer.progress=false", "output.images_every=20", "output.time_lapse=4", "densify.init_gradient=1e-5",
    "densify.gradient=1e-5", "densify.min_opacity=0.01",
)  # fmt: skip


def settings_of(root: Path, *overrides: str) -> Settings:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        return to_settings(compose("config", overrides=[*TINY, f"output_root={root}", *overrides]))


def state_of(settings: Settings, name: str = "last.ckpt") -> dict[str, Any]:
    return torch.load(settings.folder / "checkpoints" / name, weights_only=True)


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Bit for bit, through nested containers."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}/{i}")
    else:
        assert one == other, where


class StopAt(Callback):
    """Asks the run to stop after a step, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch.step == self.step:
            from bags.callbacks import Checkpoint

            next(c for c in trainer.callbacks if isinstance(c, Checkpoint)).stopped = True


def put_first(callback: Callback, patch: pytest.MonkeyPatch) -> None:
    """Have every trainer that is made under ``patch`` call ``callback`` before its own callbacks."""
    made = trainer.instantiate

    def instantiate(name: str, section: dict[str, Any]) -> list[Any]:
        return [*([callback] if name == "callbacks" else []), *made(name, section)]

    patch.setattr(trainer, "instantiate", instantiate)


def resumed_and_whole(
    root: Path, overrides: Sequence[str], stops: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> tuple[Settings, Settings]:
    """A run that was stopped after each of ``stops`` and resumed, and one that was not; bit for bit the same state."""
    whole, broken = (settings_of(root, *overrides, f"name={name}", "ckpt_path=auto") for name in ("whole", "broken"))
    run(whole)
    for stop in stops:
        run(broken, stop, monkeypatch)
        assert state_of(broken)["global_step"] == stop
        assert not (broken.folder / "metrics.json").exists()
    run(broken)
    assert_same_state(broken.folder, whole.folder)
    return broken, whole


def assert_same_state(one: Path, other: Path) -> None:
    """What two runs have saved in their folders is the same, bit for bit."""
    saved, expected = (torch.load(each / "checkpoints/last.ckpt", weights_only=True) for each in (one, other))
    for key in ("state_dict", "optimizer_states", "global_step"):
        assert_same(saved[key], expected[key], key)


def run(settings: Settings, stop_at: int | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    if stop_at is not None:
        assert monkeypatch is not None
        with monkeypatch.context() as patch:
            put_first(StopAt(stop_at), patch)
            with pytest.raises(SystemExit):
                train.run(settings)
    else:
        train.run(settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = settings_of(
        tmp_path_factory.mktemp("runs"), "output.checkpoint_steps=[20]", "output.save_steps=[20]",
        "output.test_steps=[20]",
    )  # fmt: skip
    run(settings)
    return settings


def test_finished_run_can_be_extended(tmp_path: Path) -> None:
    """As if it had been meant to be that long from the start, where nothing counts from the end."""
    schedule = (
        "schedule.steps=null", "schedule.cooldown=0", "schedule.restart=false", "schedule.densify_from=5",
        "schedule.densify_every=4", "schedule.densify_until=15", "schedule.opacity_reset_every=9",
        "schedule.scale_starts=[1,6,18]", "schedule.ms_steps=20", "schedule.sharp_steps=2",
    )  # fmt: skip
    whole, grown = (settings_of(tmp_path, *schedule, f"name={name}", "schedule.iterations=30") for name in "ab")
    run(whole)
    run(settings_of(tmp_path, *schedule, "name=b", "schedule.iterations=22"))
    assert state_of(grown)["global_step"] == 22
    run(settings_of(tmp_path, *schedule, "name=b", "schedule.iterations=30", "ckpt_path=last"))
    assert state_of(grown)["global_step"] == 30
    assert_same_state(grown.folder, whole.folder)


def test_everything_promised_is_there(finished: Settings) -> None:
    folder = finished.folder
    metrics = json.loads((folder / "metrics.json").read_text())
    for key in (
        "psnr", "ssim", "lpips", "protocol", "per_view", "steps", "train_seconds", "num_gaussians", "peak_memory_mb",
        "gpu_memory_mb", "scene", "seed", "device", "versions",
    ):  # fmt: skip
        assert key in metrics, key
    assert metrics["steps"] == 40 and metrics["lpips"] is None and len(metrics["per_view"]) == 2
    both = metrics["protocols"]
    assert set(both) == {"deblur_nerf", "mip_splatting"}
    assert {key: metrics[key] for key in ("psnr", "ssim", "lpips", "per_view")} == both[metrics["protocol"]]
    assert both["deblur_nerf"]["psnr"] == pytest.approx(both["mip_splatting"]["psnr"])
    assert both["deblur_nerf"]["ssim"] != both["mip_splatting"]["ssim"]
    assert metrics["psnr"] == pytest.approx(sum(view["psnr"] for view in metrics["per_view"]) / 2)
    assert len(metrics["train_views"]) == 6 and -1 <= metrics["blur_rank_correlation"] <= 1
    assert 0 <= metrics["blur_kind_share"] <= 1
    for name in (
        "config.yaml",
        "point_cloud.ply",
        "point_cloud_20.ply",
        "metrics_20.json",
        "progress/step_000020.png",
        "overview.png",
        "before_after.png",
        "kernels.png",
        "time_lapse.mp4",
        "views.csv",
        "report.html",
    ):
        assert (folder / name).is_file(), name
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"last.ckpt", "step_20.ckpt"}
    for part, names in {
        "test": ("render", "ground_truth", "depth"),
        "train_views": ("photo", "prediction", "sharp", "mask", "kernels", "depth"),
    }.items():
        for name in names:
            pictures = sorted((folder / part / name).glob("*.png"))
            assert len(pictures) == (2 if part == "test" else 6), name
            if name != "kernels":
                assert image_size(pictures[0]) == (48, 32)


def test_views_are_ranked_by_quality(finished: Settings) -> None:
    with open(finished.folder / "views.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 7)]
    assert {row["name"] for row in rows} == {f"train_{index:03d}.png" for index in range(6)}
    amounts = [float(row["amount"]) for row in rows]
    assert amounts == sorted(amounts) and amounts[0] < amounts[-1]
    for row in rows:
        assert row["kind"] in ("sharp", "motion", "defocus", "low_resolution")
        assert (float(row["length"]) > 0) == (row["kind"] == "motion")
        assert (float(row["radius"]) > 0) == (row["kind"] == "defocus")
        assert 0 <= float(row["direction"]) < 180 and 0 < float(row["mask"]) < 1
        assert float(row["sharpness_photo"]) > 0 and float(row["sharpness_render"]) > 0
        assert row["true_kind"] in ("motion", "defocus", "low_resolution") and float(row["true_amount"]) > 0


def test_history_holds_the_whole_run(finished: Settings) -> None:
    with open(finished.folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert all(float(row["loss"]) > 0 and float(row["psnr"]) > 0 for row in rows)
    assert int(rows[-1]["gaussians"]) == json.loads((finished.folder / "metrics.json").read_text())["num_gaussians"]
    assert row_every(2500) == 10 and row_every(60_000) == 200 and row_every(3001) == 20


def test_checkpoint_holds_step_and_time(finished: Settings) -> None:
    saved = state_of(finished)
    assert saved["global_step"] == 40
    assert saved["callbacks"]["Stopwatch"]["seconds"] > 0


def test_a_run_learns(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, "schedule.steps=120", "output.test_steps=[5]", "schedule.shortest_opacity_reset_every=1000"
    )
    run(settings)
    early = json.loads((settings.folder / "metrics_5.json").read_text())["psnr"]
    assert json.loads((settings.folder / "metrics.json").read_text())["psnr"] > early + 1


def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped again and again: before and after changes of scale, the restart, densification and opacity reset."""
    runs = resumed_and_whole(tmp_path, (), (1, 3, 9, 12, 19, 20, 27, 39), monkeypatch)
    for name in ("history.csv", "views.csv"):
        assert (runs[0].folder / name).read_text() == (runs[1].folder / name).read_text()
    scores = [json.loads((settings.folder / "metrics.json").read_text()) for settings in runs]
    for key in ("per_view", "train_views"):
        assert_same(scores[0][key], scores[1][key], key)


def test_same_seed_same_result_other_seed_other_result(tmp_path: Path) -> None:
    short = "schedule.steps=3", "output.images_every=null", "output.time_lapse=0", "output.report=false"
    means = []
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run(settings := settings_of(tmp_path, *short, f"name={name}", f"seed={seed}"))
        means.append(state_of(settings)["state_dict"]["gaussians.means"])
    assert torch.equal(means[0], means[1]) and not torch.equal(means[0][:50], means[2][:50])


def test_evaluate_repeats_the_metrics(finished: Settings) -> None:
    before = json.loads((finished.folder / "metrics.json").read_text())
    evaluate.run(finished)
    after = json.loads((finished.folder / "metrics.json").read_text())
    assert_same(before["per_view"], after["per_view"])
    assert after["peak_memory_mb"] == before["peak_memory_mb"]


def test_evaluate_an_earlier_step_in_the_other_protocol(finished: Settings) -> None:
    other = settings_of(Path(finished.output_root), "metrics=mip_splatting", "metrics.lpips=false", "ckpt_path=20")
    evaluate.run(other)
    metrics = json.loads((finished.folder / "metrics_20.json").read_text())
    assert metrics["protocol"] == "mip_splatting" and metrics["steps"] == 20
    assert (finished.folder / "views_20.csv").is_file() and (finished.folder / "report_20.html").is_file()


def test_render_splits(finished: Settings, tmp_path: Path) -> None:
    for split, counts in {"test": (2, 0), "train": (0, 6), "both": (2, 6)}.items():
        checkpoint = f"ckpt_path={finished.folder}/checkpoints/step_20.ckpt"
        render.run(settings := settings_of(tmp_path / split, f"render.split={split}", checkpoint))
        made = settings.folder / "renders" / "step_20"
        found = [[p for p in (made / part).glob("*.png") if "_depth" not in p.name] for part in ("test", "train")]
        assert tuple(map(len, found)) == counts, split


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Stopped before its first opacity reset: there is something to see."""
    settings = settings_of(tmp_path_factory.mktemp("bright"), "schedule.steps=10")
    run(settings)
    return settings


def test_render_train_is_each_photo_made_sharp(bright: Settings, tmp_path: Path) -> None:
    checkpoint = f"ckpt_path={bright.folder}/checkpoints/last.ckpt"
    settings = settings_of(tmp_path, "render.split=train", "render.depth=false", checkpoint)
    render.run(settings)
    made = sorted((settings.folder / "renders/step_10/train").iterdir())
    sharp = sorted((bright.folder / "train_views/sharp").iterdir())
    assert [path.name for path in made] == [path.name for path in sharp]
    for one, other in zip(made, sharp, strict=True):
        assert np.asarray(read_image(one)).std() > 10
        difference = np.abs(np.asarray(read_image(one), dtype=int) - np.asarray(read_image(other), dtype=int))
        assert difference.max() <= 1  # level; measured: 0
    render.run(settings_of(tmp_path, "render.split=train", "render.factor=2", checkpoint))
    assert image_size(made[0]) == (24, 16)


@pytest.mark.parametrize("path", ["train", "ellipse", "spiral"])
def test_videos(path: str, bright: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = f"ckpt_path={bright.folder}/checkpoints/last.ckpt"
    length = ("render.frames=5", "render.fps=10", "render.factor=37")  # 37 x 25 pixels: odd
    settings = settings_of(tmp_path, f"render.path={path}", *length, checkpoint)
    render.run(settings)
    folder = settings.folder / "renders/step_10"
    names = [f"{path}.mp4", f"{path}_depth.mp4"]
    assert sorted(file.name for file in folder.iterdir()) == names
    said = capsys.readouterr().err
    for name in names:
        with av.open(str(folder / name)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == 5 and frames[0].shape == (24, 36, 3)
        assert max(frame.std() for frame in frames) > 10  # there is something to see
        assert f"{name}  5 frames, 0.5 s" in said


def test_export(finished: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = "[ply,ply_with_filter,compressed_ply,splat]"
    checkpoint = f"ckpt_path={finished.folder}/checkpoints/last.ckpt"
    settings = settings_of(tmp_path, f"export.formats={formats}", checkpoint)
    export.run(settings)
    made = settings.folder / "export" / "step_40"
    names = ("point_cloud.ply", "point_cloud_with_filter.ply", "point_cloud.compressed.ply", "point_cloud.splat")
    said = capsys.readouterr().err
    for name in names:
        assert f"{name}  {in_words((made / name).stat().st_size)}" in said
    assert (made / names[0]).read_bytes() == (finished.folder / "point_cloud.ply").read_bytes()
    parameters = state_of(finished)["state_dict"]
    kept = read_ply(made / names[1])
    assert torch.equal(kept.log_scales, parameters["gaussians.log_scales"])
    assert kept.filter_sigma is not None and torch.equal(kept.filter_sigma, parameters["gaussians.filter_sigma"])
    assert len(read_model(made / "sparse" / "0").images) == 6


def test_mip_splatting_is_the_same_trainer_without_blur(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "model=mip_splatting", "dataset.white_background=true", "output.report=false")
    run(settings)
    metrics = json.loads((settings.folder / "metrics.json").read_text())
    assert metrics["model"] == "mip_splatting" and "spread" not in metrics["train_views"][0]
    with open(settings.folder / "views.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["rank"] == row["kind"] == row["mask"] == "" and float(row["psnr"]) > 0
    assert not (settings.folder / "train_views" / "mask").exists()
    assert not (settings.folder / "report.html").exists()
    assert not any(key.startswith("bpn") for key in state_of(settings)["state_dict"])


SWITCHES = (
    ("model.bpn.second_network=true", "model.ray_jitter=true"),
    ("model.bpn.single_kernel=3", "dataset.synthetic.blurs=[sharp]"),
    ("model.bpn.use_position=false", "model.bpn.use_rgbd=false", "model.gaussians.sh_degree=0"),
    ("model.bpn.margin=false",),
    ("loss.depth_tv=0.01", "loss.rgb_tv=0.001", "loss.mask=0", "dataset.synthetic.test_views=0"),
    ("rasterizer=reference", "schedule.steps=3"),
    ("experiment=paper", "model.bpn.kernels=[3,3,5]"),
)


@pytest.mark.parametrize("overrides", SWITCHES, ids=lambda overrides: overrides[0])
def test_switches_run(overrides: tuple[str, ...], tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "schedule.steps=12", *overrides)
    run(settings)
    metrics = json.loads((settings.folder / "metrics.json").read_text())
    assert metrics["steps"] == settings.schedule.steps
    assert all(view["psnr"] > 3 for view in metrics["train_views"])
    if "dataset.synthetic.test_views=0" in overrides:
        assert metrics["psnr"] is None and metrics["per_view"] == []


def test_a_run_stopped_before_its_report_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, "schedule.steps=3", "ckpt_path=auto")
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_report", lambda *_: sys.exit(9))  # as a kill at this moment
        with pytest.raises(SystemExit):
            run(settings)
    run(settings)
    assert (settings.folder / "report.html").is_file() and (settings.folder / "metrics.json").is_file()


def test_an_earlier_run_is_set_aside_not_overwritten(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "schedule.steps=3")
    run(settings)
    (settings.folder / "notes.txt").write_text("mine")
    run(settings)
    others = [path for path in tmp_path.iterdir() if path.is_dir() and path != settings.folder]
    assert len(others) == 1 and (others[0] / "notes.txt").read_text() == "mine"
    assert (others[0] / "metrics.json").is_file()


def test_missing_checkpoint_names_those_that_are_there(finished: Settings) -> None:
    settings = settings_of(Path(finished.output_root), "ckpt_path=33")
    with pytest.raises(BagsError, match=r"step_33\.ckpt.*last\.ckpt, step_20\.ckpt"):
        checkpoint(settings)


def test_invalid_checkpoint_is_refused(finished: Settings, tmp_path: Path) -> None:
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(b"not a checkpoint")
    with pytest.raises(BagsError, match=r"bad\.ckpt"):
        evaluate.run(settings_of(tmp_path, f"ckpt_path={bad}"))
