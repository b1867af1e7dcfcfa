"""What the pictures show."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bags.datamodules.scene_datamodule import SceneDataModule
from bags.modules.bags_module import BagsModule
from bags.run.build import build
from bags.run.start import decide
from bags.viewer.at_photo import LAYERS, SIDE_BY_SIDE
from bags.viewer.eye import Eye
from bags.viewer.pace import Pace
from bags.viewer.painter import FROM_ANYWHERE, OF_A_PHOTO, Painter, Stop, orbit_distance
from bags.viewer.stops import stops
from tests.integration.test_training import settings_of

Built = tuple[SceneDataModule, BagsModule]


@pytest.fixture
def painter(built: Built) -> Painter:
    return Painter(built[1], built[1].schedule.total)


@pytest.fixture
def train_stop(built: Built) -> Stop:
    return stops(built[0])[2]


def test_all_views_are_stops(built: Built) -> None:
    datamodule, _ = built
    labels = [stop.label for stop in stops(datamodule)]
    assert len(set(labels)) == len(labels) == len(datamodule.scene.train) + len(datamodule.scene.test)
    test = stops(datamodule)[-1]
    assert test.split == "test" and test.load(2).name == test.name and test.load(2).camera.width == test.camera.width


def test_layers_from_anywhere(painter: Painter, train_stop: Stop) -> None:
    camera = Eye.at(train_stop.camera, 90, 48).camera(1e9)
    pictures = {layer: painter.from_anywhere(layer, camera) for layer in FROM_ANYWHERE}
    assert all(p.shape == (3, 48, 90) and p.min() >= 0 and p.max() <= 1 and p.std() > 0 for p in pictures.values())
    torch.testing.assert_close(pictures["sharp"], painter.module.render(camera).rgb.detach().clamp(0, 1))
    lit = {layer: int((picture.amax(dim=0) > 0.02).sum()) for layer, picture in pictures.items()}
    assert lit["points"] < lit["sharp"]  # dots leave gaps
    assert set(LAYERS) == {*FROM_ANYWHERE, *OF_A_PHOTO, SIDE_BY_SIDE}


def test_layers_of_a_photo(painter: Painter, built: Built, train_stop: Stop) -> None:
    module = built[1]
    batch = train_stop.load(painter.phase.scale)
    truth = module.explain_whole(batch, painter.phase)
    assert truth.proposal is not None
    for layer, expected in (
        ("photo", batch.image), ("predicted blur", truth.prediction), ("mask", truth.proposal.mask.expand(3, -1, -1)),
    ):  # fmt: skip
        shown = painter.of_photo(layer, train_stop)
        assert shown is not None
        torch.testing.assert_close(shown, expected.detach().clamp(0, 1))
    test = stops(built[0])[-1]
    assert painter.of_photo("predicted blur", test) is None and painter.of_photo("photo", test) is not None
    assert painter.of_photo("predicted blur", train_stop) is not None
    painter.step = 1  # before blur is modelled
    assert painter.of_photo("mask", train_stop) is None and painter.kernel(train_stop, 0.5, 0.5) is None


def test_a_model_without_masks_shows_none(tmp_path: Path) -> None:
    datamodule, module = build(decide(settings_of(tmp_path, "model=lens")))
    painter, stop = Painter(module, module.schedule.total), stops(datamodule)[0]
    assert painter.of_photo("predicted blur", stop) is not None and painter.of_photo("mask", stop) is None
    kernel = painter.kernel(stop, 0.5, 0.5)
    assert kernel is not None and kernel.mask is None


def test_an_explanation_is_made_once_a_step(painter: Painter, built: Built, train_stop: Stop) -> None:
    first = painter.explain(train_stop)
    assert first is painter.explain(train_stop)
    assert painter.explain(stops(built[0])[0]) is not first
    painter.step -= 1
    assert painter.explain(train_stop) is not first


def test_kernel_of_the_pixel_that_was_clicked(painter: Painter, train_stop: Stop) -> None:
    explanation = painter.explain(train_stop)
    assert explanation is not None and explanation.proposal is not None
    proposal = explanation.proposal
    row, column = 30, 11
    kernel = painter.kernel(train_stop, (column + 0.5) / 64, (row + 0.5) / 48)
    assert kernel is not None
    weights = proposal.kernels_at(torch.tensor([row]), torch.tensor([column]))[0]
    mask = float(proposal.mask[row, column])
    weights = mask * weights
    side = proposal.kernel_size
    weights[side // 2, side // 2] += 1 - mask
    y, x = torch.meshgrid(*(torch.arange(side) - side // 2.0,) * 2, indexing="ij")
    mean = (weights * x).sum(), (weights * y).sum()
    spread = (weights * ((x - mean[0]) ** 2 + (y - mean[1]) ** 2)).sum().sqrt()
    assert kernel.spread == pytest.approx(float(spread), rel=1e-3)
    assert kernel.mask == pytest.approx(mask) and kernel.side == side
    every = kernel.picture.shape[1] // side
    shown = kernel.picture[0, every // 2 :: every, every // 2 :: every]
    torch.testing.assert_close(shown, weights / weights.max())
    assert painter.kernel(train_stop, 1.2, 0.5) is None and painter.kernel(train_stop, 0.5, -0.1) is None


def test_pace_finds_the_resolution_and_keeps_its_limits() -> None:
    pace = Pace(seconds=0.1, least=1000, most=50_000)
    for _ in range(20):
        pace.took(pace.pixels * 5e-6)  # 5 microseconds a pixel: 20,000 fit
    assert pace.pixels == pytest.approx(20_000)
    pace.took(0.0)
    assert pace.pixels == pytest.approx(40_000)  # no more than twice as many
    pace.took(0.0)
    assert pace.pixels == 50_000
    for _ in range(10):
        pace.took(100.0)
    assert pace.pixels == 1000


def test_camera_turns_around_what_lies_ahead() -> None:
    means = torch.tensor([[0.0, 0, 5], [0.2, 0, 5], [-0.2, 0, 5]])
    assert orbit_distance(means, (0, 0, 1), (0.0, 0.0, 1.0), extent=2.0) == pytest.approx(4.0)
    assert orbit_distance(means, (0, 0, 9), (0.0, 0.0, 1.0), extent=2.0) == 2.0
