"""What a finished run is made into beside pictures: films of its photos, and files of a part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from bags.callbacks.time_lapse import framed
from bags.datamodules.parsers.colmap_files import read_model
from bags.datamodules.view_loader import view_at
from bags.errors import SettingError
from bags.io.images import LABEL_HEIGHT, read_image
from bags.io.ply import read_ply
from bags.run.build import trained
from bags.settings import Settings
from bags.tasks import export, render, train
from bags.types import Camera
from tests.integration.test_training import settings_of


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = settings_of(tmp_path_factory.mktemp("finished"), "schedule.steps=12", "output.report=false")
    train.run(settings)
    return settings


def test_the_training_is_a_film(finished: Settings) -> None:
    pictures = sorted(path.name for path in (finished.folder / "progress/time_lapse").iterdir())
    assert pictures == [f"step_{step:06d}.png" for step in (3, 6, 9, 12)]
    with av.open(str(finished.folder / "time_lapse.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 4 + 8 and frames[0].shape == (32 + LABEL_HEIGHT, 48, 3)  # the last one stands still
    assert np.abs(frames[0].astype(int) - frames[3]).mean() > 1 > np.abs(frames[3].astype(int) - frames[-1]).mean()


def test_a_time_lapse_is_no_larger_than_a_film_may_be(subtests: pytest.Subtests) -> None:
    for size, drawn in [((48, 32), (48, 32)), ((601, 401), (600, 400)), ((2400, 1601), (800, 534)), ((1, 9), (2, 8))]:
        with subtests.test(size=size, drawn=drawn):
            camera = framed(Camera(torch.eye(3), torch.zeros(3), 50.0, 50.0, *size))
            assert (camera.width, camera.height) == drawn


def test_a_film_shows_photos_beside_sharp_renders(
    finished: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = f"ckpt_path={finished.folder}/checkpoints/last.ckpt"
    length = ("render.frames=9", "render.fps=4", "render.factor=37")
    settings = settings_of(tmp_path, "render.path=before_after", *length, checkpoint)
    render.run(settings)
    film = settings.folder / "renders/step_12/before_after.mp4"
    assert [path.name for path in film.parent.iterdir()] == ["before_after.mp4"]
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24")[LABEL_HEIGHT:] for frame in container.decode(video=0)]
    assert len(frames) == 9 and frames[0].shape == (24, 72, 3)
    photos = [read_image(path).resize((37, 25)) for path in (finished.folder / "train_views/photo").iterdir()]
    differences = [np.abs(frames[0][:, :36] - np.asarray(photo, dtype=int)[:24, :36]).mean() for photo in photos]
    assert min(differences) < 10 < np.median(differences)  # of 255; one of the photos, but for the codec
    assert (frames[0][:, :36] != frames[-1][:, :36]).any() and "9 frames, 2.2 s" in capsys.readouterr().err


def test_export_leaves_out_what_is_said(finished: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = f"ckpt_path={finished.folder}/checkpoints/last.ckpt"
    means = read_ply(finished.folder / "point_cloud.ply").means
    low, high = means.quantile(0.2, dim=0).tolist(), means.quantile(0.8, dim=0).tolist()
    where = ",".join(map(str, (*low, *high)))
    settings = settings_of(tmp_path, "export.clean=careful", f"export.region=[{where}]", checkpoint)
    export.run(settings)
    said = capsys.readouterr().err
    kept = len(read_ply(settings.folder / "export/step_12/point_cloud.ply").means)
    assert f"export.clean=careful: removed of {len(means):,} Gaussians: " in said and " specks" in said
    assert "PSNR of training views: " in said and "PSNR of test views: " in said
    assert 0 < kept < len(means) and f"{kept:,} of " in said


def test_cameras_are_exported_and_photos_drawn_with_the_poses_that_the_gaussians_fit(tmp_path: Path) -> None:
    words = ("schedule.steps=4", "output.report=false", "model=mip_splatting", "model.refine_poses=true")
    settings = settings_of(tmp_path, *words, "optim.pose=10", "export.formats=[ply]", "render.split=train")
    train.run(settings)
    run = trained(settings)
    batches = [view_at(run.datamodule.train, index, run.module.schedule.finest) for index in range(6)]
    last = run.module.schedule.at(4)
    export.run(settings)
    model = read_model(settings.folder / "export/step_4/sparse/0")
    moved = {image.name: torch.tensor(image.translation) for image in model.images}
    render.run(settings)
    for batch in batches:
        with torch.no_grad():
            fitted = run.module.posed(batch.index, batch.camera).translation
            sharp = run.module.explain(batch, last).sharp
        torch.testing.assert_close(moved[batch.name].float(), fitted)
        assert (fitted - batch.camera.translation).abs().max() > 1e-3
        drawn = read_image(settings.folder / f"renders/step_4/train/{Path(batch.name).stem}.png")
        assert np.abs(np.asarray(drawn) / 255 - sharp.permute(1, 2, 0).numpy()).max() < 1.01 / 255


@pytest.mark.parametrize(
    ("override", "needle"),
    [
        ("export.region=[1000,0,0,1]", r"export\.region = \(1000\.0, .*contains none of the .* are at x "),
        ("export.clean=careful", r"export\.clean = 'careful': no Gaussian would be left"),
    ],
)
def test_an_export_of_nothing_is_refused_before_anything_is_written(
    override: str, needle: str, finished: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export.LEVELS, "careful", replace(export.LEVELS["careful"], faint=1e9))
    settings = settings_of(tmp_path, override, f"ckpt_path={finished.folder}/checkpoints/last.ckpt")
    with pytest.raises(SettingError, match=needle):
        export.run(settings)
    assert not settings.folder.exists()
