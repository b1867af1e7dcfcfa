from __future__ import annotations

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from PIL import Image

from bags.datamodules.pyramid import ImagePyramid
from bags.datamodules.view_loader import AllViews, ViewLoader, draws
from bags.errors import DataError
from bags.schedule import ScaleSchedule
from bags.settings import DatasetSettings, ScheduleSettings
from bags.types import Camera, View

STEPS = 12
SCHEDULE = ScaleSchedule(
    ScheduleSettings(iterations=STEPS, ms_steps=6, scale_divisors=(4, 2, 1), scale_starts=(1, 4, 8))
)


@pytest.fixture(scope="module")
def pyramid():
    camera = Camera(torch.eye(3), torch.zeros(3), 40.0, 40.0, 48, 32)
    views = [View(f"{i}.png", camera, lambda i=i: Image.new("RGB", (48, 32), (20 * i, 0, 0))) for i in range(5)]
    return ImagePyramid(views, DatasetSettings(), SCHEDULE.divisors)


def seen(batch):
    return batch.step, batch.index, batch.name, tuple(batch.image.shape), batch.camera.width, float(batch.image.mean())


class Recorder(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        assert batch.step == self.global_step + 1
        self.seen.append(seen(batch))
        return self.weight * batch.image.mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAndStopAt(Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def fit(loader, callbacks=(), ckpt_path=None):
    module = Recorder()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, ckpt_path=ckpt_path, weights_only=True)
    return module.seen


def test_steps_scales_and_images(pyramid):
    loader = ViewLoader(pyramid, SCHEDULE, seed=0)
    batches = list(loader)
    assert len(loader) == len(batches) == STEPS
    for step, batch in enumerate(batches, start=1):
        scale = SCHEDULE.at(step).scale
        assert batch.step == step
        assert batch.name == f"{batch.index}.png"
        assert batch.image.shape == (3, 8 * 2**scale, 12 * 2**scale)
        assert batch.camera is pyramid.camera(batch.index, scale)
        assert float(batch.image[0].mean()) == pytest.approx(20 * batch.index / 255)


def test_the_draw_is_uniform_and_a_function_of_the_seed_alone(pyramid):
    long = ScaleSchedule(ScheduleSettings(iterations=5000, ms_steps=0))
    first, again, other = (ViewLoader(pyramid, long, seed).order for seed in (3, 3, 4))
    assert first == again
    assert first != other
    counts = torch.bincount(torch.tensor(first), minlength=5)
    assert counts.min() > 880  # 1000 expected, standard deviation 28
    assert ViewLoader(pyramid, SCHEDULE, 3).order == first[:STEPS]


def test_shuffled_views_all_come_once_before_any_comes_again(pyramid):
    shuffled = ScaleSchedule(ScheduleSettings(iterations=27, ms_steps=0, shuffle=True))
    first, again, other = (ViewLoader(pyramid, shuffled, seed).order for seed in (3, 3, 4))
    assert first == again != other
    rounds = [first[begin : begin + 5] for begin in range(0, 25, 5)]
    assert all(sorted(part) == [0, 1, 2, 3, 4] for part in rounds)
    assert len({tuple(part) for part in rounds}) > 1
    assert len(first) == 27
    assert len(set(first[25:])) == 2
    assert draws(5, 7, 3, shuffle=True) == first[:7]


def test_iterating_anew_starts_over(pyramid):
    loader = ViewLoader(pyramid, SCHEDULE, seed=0)
    assert [b.step for b in loader] == [b.step for b in loader] == list(range(1, STEPS + 1))


@pytest.mark.parametrize("stop", [0, 1, 5, STEPS])
def test_state_without_lightning(pyramid, stop):
    whole = [seen(batch) for batch in ViewLoader(pyramid, SCHEDULE, seed=1)]
    loader = ViewLoader(pyramid, SCHEDULE, seed=1)
    iterator = iter(loader)
    for _ in range(stop):
        next(iterator)
    resumed = ViewLoader(pyramid, SCHEDULE, seed=1)
    resumed.load_state_dict(loader.state_dict())
    assert resumed.state_dict() == {"done": stop, "share": 1}
    assert [seen(batch) for batch in resumed] == whole[stop:]


def test_shares_of_several_processes_make_up_the_steps(pyramid):
    whole = list(ViewLoader(pyramid, SCHEDULE, seed=1, views=4))
    assert [(b.step, b.slot) for b in whole] == [(step, slot) for step in range(1, STEPS + 1) for slot in range(4)]
    shares = [ViewLoader(pyramid, SCHEDULE, 1, views=4, slots=range(first, first + 2)) for first in (0, 2)]
    assert [len(share) for share in shares] == [2 * STEPS] * 2
    together = sorted((seen(b) for share in shares for b in share), key=lambda entry: entry[0])
    assert together == [seen(b) for b in whole]


def test_other_shares_are_refused(pyramid):
    state = ViewLoader(pyramid, SCHEDULE, 1, views=4, slots=range(2)).state_dict()
    with pytest.raises(DataError, match=r"trainer\.views_per_step"):
        ViewLoader(pyramid, SCHEDULE, 1, views=4).load_state_dict(state)


def test_lightning_resumes_at_the_very_step(pyramid, tmp_path, subtests):
    unbroken = fit(ViewLoader(pyramid, SCHEDULE, seed=2))
    assert [entry[0] for entry in unbroken] == list(range(1, STEPS + 1))
    for stop in (1, 2, 7, STEPS - 1):
        with subtests.test(stop=stop):
            path = tmp_path / f"stopped_{stop}.ckpt"
            before = fit(ViewLoader(pyramid, SCHEDULE, seed=2), [SaveAndStopAt(stop, path)])
            after = fit(ViewLoader(pyramid, SCHEDULE, seed=2), ckpt_path=path)
            assert len(before) == stop
            assert before + after == unbroken


def test_all_views(pyramid):
    views = AllViews(pyramid, scale=1)
    assert len(views) == 5
    for _ in range(2):
        assert [seen(batch)[:4] for batch in views] == [(0, i, f"{i}.png", (3, 16, 24)) for i in range(5)]


def test_windows_are_the_photos_pixels_and_stay_the_same_when_resumed(pyramid):
    loader = ViewLoader(pyramid, SCHEDULE, seed=2, window=32)
    batches = list(loader)
    for batch in batches:
        whole = pyramid.image(batch.index, SCHEDULE.at(batch.step).scale)
        left, top = batch.camera.corner
        height, width = batch.image.shape[1:]
        assert (batch.camera.width, batch.camera.height) == (width, height)
        assert torch.equal(batch.image, whole[:, top : top + height, left : left + width])
        assert batch.camera.photo_size == (whole.shape[2], whole.shape[1])
    assert {batch.camera.corner for batch in batches if batch.camera.photo_size == (48, 32)} == {(0, 0), (16, 0)}
    resumed = ViewLoader(pyramid, SCHEDULE, seed=2, window=32)
    resumed.load_state_dict({"done": 9, "share": 1})
    assert [batch.camera.corner for batch in resumed] == [batch.camera.corner for batch in batches[9:]]
