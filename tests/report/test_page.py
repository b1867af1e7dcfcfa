"""The report's text, pictures and size; what strangers name their files does no harm."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bags.evaluation.sheets import marked
from bags.io.images import write_png
from bags.report import page as page_module
from bags.report.curves import HEIGHT, WIDTH, curves, read_history
from bags.report.jpegs import LARGEST, jpeg
from bags.report.page import flat, page, write_report
from bags.report.words import along, in_short, in_words
from tests.report.folder import HOSTILE, made_up


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def test_words() -> None:
    soft = "soft all over by about 2 px: low resolution, or shake with no one direction"
    shake = {"kind": "motion", "length": 9.2, "direction": 135.0}
    assert in_words(shake) == "camera shake, about 9 px, up to the right"
    assert in_words(shake | {"length": 0.6, "direction": 92.0}) == "camera shake, less than 1 px, up and down"
    assert in_words({"kind": "defocus", "radius": 3.1}) == "out of focus, discs about 6 px across"
    assert in_words({"kind": "low_resolution", "spread": 1.6}) == soft
    assert (in_words({"kind": "sharp"}), in_words({})) == ("sharp", "blur not estimated")


def test_views_are_counted_by_kind() -> None:
    kinds = ["motion", "sharp", "motion", "low_resolution"]
    assert in_short([{"kind": kind} for kind in kinds]) == "1 sharp, 2 shaken, 1 soft all over"
    assert in_short([{"kind": "sharp"}, {"name": "a.png"}]) is None and in_short([]) is None


def test_so_many_out_of_focus_are_doubted() -> None:
    assert in_short([{"kind": kind} for kind in ["defocus"] * 3 + ["sharp"]]) == "1 sharp, 3 out of focus"
    assert "may only mean that distant parts" in str(in_short([{"kind": "defocus"}] * 4 + [{"kind": "sharp"}]))


def test_directions_have_no_front() -> None:
    told = [along(degrees) for degrees in (0, 179, 45, 90, 135, 22, 23, 157, 158)]
    down, up = "down to the right", "up to the right"
    assert told == ["sideways", "sideways", down, "up and down", up, "sideways", down, up, "sideways"]


def test_names_are_escaped_and_nothing_is_fetched(tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, [HOSTILE, "b.png", "c.png"])
    settings |= {"name": "</title><script>alert(2)</script>", "scene": "</script><script>alert(3)</script>"}
    metrics |= {"device": "<b>", "scene": "<i>", "left_out": [{"file": HOSTILE, "reason": "<i>not a photo</i>"}]}
    text = page(tmp_path, metrics, settings)
    tags = Tags(text)
    assert len(tags.all("script")) == 1 and not tags.all("b") and not tags.all("i") and not tags.all("link")
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in tags.all("img"))
    assert not any(name.startswith("on") for _, attributes in tags.seen for name in attributes)
    assert not re.search(r"https?://|url\(|@import", text)
    policy = next(meta["content"] for meta in tags.all("meta") if "http-equiv" in meta)
    assert policy is not None and policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy


def test_everything_is_shown_and_has_a_name(tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, ["a.png", "b.png", "c.png"])
    tags = Tags(page(tmp_path, metrics, settings))
    assert len(tags.all("img")) == 3 * 6 + 3 * 2 and all(image["alt"] for image in tags.all("img"))
    assert sum(button["type"] == "radio" for button in tags.all("input")) == 18
    assert all("aria-label" in button for button in tags.all("input") if button["type"] == "range")
    assert len(tags.all("svg")) == 3 and all(drawing["aria-label"] for drawing in tags.all("svg"))
    ids = [attributes["id"] for _, attributes in tags.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(link["href"]) for link in tags.all("a")}
    assert {target[1:] for target in targets} <= set(ids) and "#view-2" in targets and "#beside" not in targets


@pytest.mark.parametrize("mask", [0.0, None])
def test_masks_are_told_where_there_are_any(mask: float | None, tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, ["a.png", "b.png"])
    metrics["train_views"] = [{**view, "mask": mask} for view in metrics["train_views"]]
    text = page(tmp_path, metrics, settings)
    heads, note = '<th scope="col">Mask</th>' in text, "Mask: share" in text
    assert ("compare their sizes only within a photo" in " ".join(text.split())) == (mask is None), "windows differ"
    assert (heads, note) == ((mask is not None),) * 2 and len(re.findall("<td>0.00</td>", text)) == 2 * heads


def test_what_lies_beside_the_report_is_led_to(tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, ["a.png"])
    for name in ("renders/step_900/train.mp4", "renders/step_2000/train.mp4", "time_lapse.mp4", "scene.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "renders/step_x").mkdir()
    (tmp_path / "renders/step_x/train.mp4").touch()  # somebody's own
    targets = [
        link["href"] for link in Tags(page(tmp_path, metrics, settings)).all("a") if "#" not in str(link["href"])
    ]
    assert targets == ["scene.html", "renders/step_2000/train.mp4", "time_lapse.mp4"]


def test_views_without_pictures_blur_or_history_are_still_told(tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, ["a.png"])
    (tmp_path / "history.csv").unlink()
    metrics |= {"per_view": [], "psnr": None, "ssim": None, "train_seconds": None}
    metrics["train_views"] = [{"name": "a.png", "psnr": 20.0, "sharpness": [1.0, 2.0]}, {**metrics["train_views"][0]}]
    metrics["train_views"][1] |= {"name": "unseen.png"}
    text = page(tmp_path, metrics, settings)
    assert "unseen.png" in text and "blur not estimated" in text and 'href="#view-2"' not in text
    assert "No photo was held out" in text and "has no history" in text
    assert "PSNR, SSIM" not in text and "Training photos:" not in text  # no figures, no kinds: no places for them
    assert "the sharpest first" in text and "drawn in orange" in text  # one of the two is ranked
    metrics["train_views"] = metrics["train_views"][:1]
    text = page(tmp_path, metrics, settings)
    assert "the sharpest first" not in text and "start with the last ones" not in text and "not ranked" in text
    assert "drawn in orange" not in text and "near is bright" in text


def test_exposure_and_colour_correction_are_told_where_they_are_known(tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, ["a.png", "b.png", "c.png"])
    text = page(tmp_path, metrics, settings)
    assert "olour corrected" not in text and "stops" not in text
    metrics |= {"psnr_colour_corrected": 34.5}
    metrics["per_view"] = [{**view, "psnr_colour_corrected": 35.25} for view in metrics["per_view"]]
    for view, stops in zip(metrics["train_views"], (0.42, -1.0, 0.04), strict=True):
        view["exposure"] = stops
    text = page(tmp_path, metrics, settings)
    assert "<dt>PSNR, dB, colour corrected</dt><dd>34.50</dd>" in text
    assert text.count("colour corrected PSNR 35.25 dB") == 3
    assert "sharp; 0.4 stops too bright" in text and "; 1.0 stops too dark" in text and "; 0.0 stops" not in text


def test_photos_left_out_are_reported(tmp_path: Path) -> None:
    metrics, settings = made_up(tmp_path, ["a.png", "b.png"])
    assert 'id="left-out"' not in page(tmp_path, metrics, settings)
    metrics["left_out"] = [{"file": "trip/dark.jpg", "reason": "too few details"}]
    text = page(tmp_path, metrics, settings)
    assert "trip/dark.jpg</th><td>too few details</td>" in text
    assert "Training photos: 1 sharp, 1 shaken." in text and 'href="#left-out">Left out: 1</a>' in text


def test_page_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise, the worst there is to compress: the pictures keep to what is left for each."""
    metrics, settings = made_up(tmp_path, ["a.png", "b.png"], size=(200, 300))
    monkeypatch.setattr(page_module, "PICTURE_BYTES", 60_000)
    write_report(tmp_path, metrics, settings, "small.html")
    text = (tmp_path / "small.html").read_text()
    pictures = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', text)]
    assert len(pictures) == 16 and sum(map(len, pictures)) <= 60_000
    assert len(text) < 60_000 * 4 / 3 + 30_000
    assert all(min(Image.open(io.BytesIO(data)).size) > 20 for data in pictures)


def test_only_so_many_views_are_shown_in_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, settings = made_up(tmp_path, [f"{n}.png" for n in range(5)])
    monkeypatch.setattr(page_module, "TRAIN_VIEWS", 2)
    monkeypatch.setattr(page_module, "TEST_VIEWS", 1)
    tags = Tags(page(tmp_path, metrics, settings))
    assert len(tags.all("article")) == 2 and len(tags.all("img")) == 2 * 6 + 2


def test_large_pictures_shrink_and_small_ones_do_not() -> None:
    assert (jpeg(Image.new("RGB", (4000, 1000)), 10**6).width, jpeg(Image.new("RGB", (30, 20)), 10**6).width) == (
        LARGEST,
        30,
    )


def test_marks_are_drawn_over_the_photo(tmp_path: Path) -> None:
    write_png(tmp_path / "photo" / "a.png", torch.ones(3, 8, 12))
    mask = torch.zeros(3, 8, 12)
    mask[:, :, 6:] = 1
    write_png(tmp_path / "mask" / "a.png", mask)
    picture = np.asarray(marked(tmp_path / "mask", "a.png")).astype(int)
    assert picture.shape == (8, 12, 3)
    assert (picture[:, 0] == 128).all()  # the photo, darkened
    assert (picture[:, -1, 0] > 200).all() and (picture[:, -1, 2] < 60).all()  # orange


def test_curves_run_from_end_to_end(tmp_path: Path) -> None:
    made_up(tmp_path, [])
    history = read_history(tmp_path / "history.csv")
    loss, quality, count = curves(history)
    assert quality.points.split()[0] == f"0.0,{float(HEIGHT)}" and quality.points.split()[-1] == f"{float(WIDTH)},0.0"
    assert (loss.low, loss.high, loss.last, count.high) == ("0.2000", "1.0000", "0.2000", "500")
    assert loss.changes == (WIDTH / 2,)
    middle = float(loss.points.split()[1].split(",")[1]) / HEIGHT
    assert middle == pytest.approx(np.log(2) / np.log(5), abs=1e-3)  # logarithmic
    assert curves(history[:1]) == [] and read_history(tmp_path / "none.csv") == []
    flat_line = curves([{**row, "gaussians": 7.0} for row in history])[2]
    assert {point.split(",")[1] for point in flat_line.points.split()} == {str(HEIGHT / 2)}


def test_settings_are_opened_up() -> None:
    assert flat({"a": {"b": None, "c": {"d": (1, 2)}}, "e": {}}) == [("a.b", "null"), ("a.c.d", "(1, 2)"), ("e", "{}")]


def test_a_damaged_history_costs_its_rows_and_not_the_report(tmp_path: Path, subtests: pytest.Subtests) -> None:
    made_up(tmp_path, ["a.png"])
    path = tmp_path / "history.csv"
    whole, lines = read_history(path), path.read_text().splitlines()
    assert len(whole) == 5
    for damage in ("x", "nan", "1e400", "", "1,2,3,4,5,6,7", "1", "\0", '"', "y" * 200_000):
        with subtests.test(repr(damage[:20])):
            damaged = damage + lines[4][lines[4].index(",") :]
            path.write_text("\n".join([*lines[:4], damaged, *lines[5:]]) + "\n")
            found = read_history(path)
            assert [row for row in found if row in whole] == found and 3 <= len(found) < 5
            assert len(curves(found)) == 3
    path.write_bytes(b"\xff" * 100)
    assert read_history(path) == []
