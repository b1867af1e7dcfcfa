"""Masks in whole trainings: what they hide leaves no trace, and one that cannot be stops the run before it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bags.errors import BagsError, DataError
from bags.settings import Settings
from bags.tasks import export, train
from tests.integration.test_training import assert_same, settings_of, state_of
from tests.standins import write_colmap

HIDDEN = (48, 16, 144, 112)  # left, top, right, bottom of the photo's 192 x 128 pixels
THING = (80, 48)  # left and top of what moves: away from the mask's edge by what resizing reaches
SIDE = 32


def valley(root: Path, colour: str) -> Path:
    """A scene whose photos have a square pasted in, each at a place of its own and hidden by its mask."""
    write_colmap(root, hold=4)
    (root / "masks").mkdir()
    for number, path in enumerate(sorted((root / "images").iterdir())):
        photo, step = Image.open(path), 16 * (number % 2)
        photo.paste(colour, (THING[0] - step, THING[1], THING[0] - step + SIDE, THING[1] + SIDE))
        photo.save(path.with_suffix(".png"))
        path.unlink()
        mask = Image.new("L", photo.size, 255)
        mask.paste(0, (HIDDEN[0] - step, *HIDDEN[1:]))
        mask.save(root / f"masks/{path.stem}.png.png")
    images = root / "sparse/0/images.txt"
    images.write_text(images.read_text().replace(".jpg", ".png"))
    return root


def of(root: Path, *words: str) -> Settings:
    return settings_of(root.parent / "outputs", "scene=own", f"dataset.root={root}", "dataset.factor=4", *words)


def test_a_moving_thing_under_a_mask_leaves_no_trace(tmp_path: Path) -> None:
    """Bit for bit the same weights, whatever it was."""
    states: list[Any] = []
    for colour in ("magenta", "lime"):
        settings = of(valley(tmp_path / colour, colour), "schedule.steps=20", "model.gaussians.background_points=0")
        train.run(settings)
        states.append(state_of(settings)["state_dict"])
    assert_same(*states)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((64, 96), 255), r"masks/001\.png\.png: the mask has 96 x 64 pixels, but its photo 001\.png 192 x 128"),
        (np.zeros((128, 192)), r"masks/001\.png\.png: the mask hides all of 001\.png"),
        (None, r"masks/001\.png\.png: cannot be read as an image"),
    ],
)
def test_nothing_is_written_where_a_mask_cannot_be(tmp_path: Path, pixels: np.ndarray | None, message: str) -> None:
    root = valley(tmp_path / "valley", "magenta")
    mask = root / "masks/001.png.png"
    mask.write_bytes(b"") if pixels is None else Image.fromarray(pixels.astype(np.uint8)).save(mask)
    with pytest.raises(DataError, match=message) as found:
        train.run(of(root))
    assert "\n" not in str(found.value) and not (tmp_path / "outputs").exists()


def test_a_page_that_cannot_be_made_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in (("BAGS_PAGE_CLIENT", tmp_path / "none"), ("PATH", tmp_path)):
        monkeypatch.setenv(key, str(value))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(BagsError, match="there is no npm"):
        export.run(settings_of(tmp_path / "outputs", "task=export", "export.formats=[ply,html]"))
    assert not (tmp_path / "outputs").exists()
