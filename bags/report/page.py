"""The report page: collects its content and renders the template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bags import __version__
from bags.evaluation.sheets import marked
from bags.evaluation.views import spread_out, stem
from bags.io.records import write_text
from bags.report.curves import HEIGHT, WIDTH, curves, read_history
from bags.report.jpegs import Jpeg, Layer, jpeg, plain
from bags.report.words import in_short, in_words

PICTURE_BYTES = 10_000_000  # of all pictures together; the page is below 15 MB with base64 and all else
MOST_PICTURE_BYTES = 150_000  # of one picture
TEST_VIEWS, TRAIN_VIEWS = 24, 40  # largest numbers of views with pictures, evenly spread over all views

# Pictures of a training view: folder, label of the button, how it is drawn.
LAYERS: tuple[tuple[str, str, Layer], ...] = (
    ("photo", "photo", plain),
    ("sharp", "sharp render", plain),
    ("prediction", "predicted blur", plain),
    ("mask", "mask", marked),
    ("kernels", "kernels", marked),
    ("depth", "depth", plain),
)

# Other results that the report links to if they exist, and the texts of the links; of several matches, the latest step.
BESIDE: tuple[tuple[str, str], ...] = (
    ("scene.html", "Interactive scene"),
    ("renders/step_*/before_after.mp4", "Video: from photo to photo, each beside its sharp render"),
    ("renders/step_*/train.mp4", "Video: flight past the photos"),
    ("renders/step_*/ellipse.mp4", "Video: flight on an ellipse"),
    ("renders/step_*/spiral.mp4", "Video: flight on a spiral"),
    ("time_lapse.mp4", "Video: time-lapse of the training, for one view"),
    ("before_after.png", "Picture: before and after"),
    ("kernels.png", "Picture: the kernels of all photos"),
    ("export/step_*/point_cloud.ply", "For other programs: PLY"),
    ("export/step_*/point_cloud.spz", "For other programs: SPZ"),
)


def write_report(
    folder: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any], name: str = "report.html"
) -> None:
    """Write the report of an evaluated run, one self-contained HTML file (docs/report.md).

    Args:
        folder: of the run, with the pictures below ``test/`` and ``train_views/``, and ``history.csv``.
        metrics: content of its metrics file.
        settings: of the run, as in ``config.yaml``.
        name: of the file.
    """
    write_text(folder / name, page(folder, metrics, settings))


def page(folder: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The report's HTML; the template engine escapes all texts, in particular file names."""
    tests = [view for view in metrics["per_view"] if _there(folder / "test" / "render", view)]
    tests = [tests[index] for index in spread_out(len(tests), TEST_VIEWS)]
    ranked = sorted(metrics["train_views"], key=lambda view: view.get("rank", 0))
    ranked = [{**view, "number": number, "words": in_words(view)} for number, view in enumerate(ranked, start=1)]
    trains = [view for view in ranked if _there(folder / "train_views" / "photo", view)]
    trains = [trains[index] for index in spread_out(len(trains), TRAIN_VIEWS)]
    limit = min(MOST_PICTURE_BYTES, PICTURE_BYTES // max(1, 2 * len(tests) + len(LAYERS) * len(trains)))
    for view in trains:
        view["layers"] = _layers(folder / "train_views", view["name"], limit)
    script, style = (files("bags.report").joinpath(part).read_text("utf-8") for part in ("script.js", "style.css"))
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    engine.filters["number"] = _number
    template = engine.from_string(files("bags.report").joinpath("report.html").read_text("utf-8"))
    return template.render(
        metrics=metrics,
        title=str(settings["name"]),
        tests=[{**view, **_pair(folder / "test", view["name"], limit)} for view in tests],
        ranked=ranked,
        masked=any(view.get("mask") is not None for view in ranked),
        in_short=in_short(ranked),
        shown={view["number"] for view in trains},
        trains=trains,
        curves=curves(read_history(folder / "history.csv")),
        drawing=(WIDTH, HEIGHT),
        settings=flat(settings),
        version=__version__,
        style=Markup(style),
        beside=beside(folder),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def beside(folder: Path) -> list[tuple[str, str]]:
    """Files of ``BESIDE`` in the run's folder, as relative paths, with the texts of their links."""
    found = []
    for pattern, words in BESIDE:
        if there := sorted(folder.glob(pattern), key=_step):
            found.append((there[-1].relative_to(folder).as_posix(), words))
    return found


def _step(path: Path) -> int:
    """Number of the folder ``step_N`` that contains ``path``; -1 for any other folder."""
    number = path.parent.name.removeprefix("step_")
    return int(number) if number.isdecimal() else -1


def flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Settings, including those of nested sections, as pairs of dotted key and value."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            pairs += flat(value, f"{above}{key}.")
        else:
            pairs.append((f"{above}{key}", "null" if value is None else str(value)))
    return pairs


def _there(folder: Path, view: Mapping[str, Any]) -> bool:
    return (folder / f"{stem(view['name'])}.png").is_file()


def _pair(folder: Path, name: str, limit: int) -> dict[str, Jpeg]:
    file = f"{stem(name)}.png"
    return {kind: jpeg(plain(folder / kind, file), limit) for kind in ("ground_truth", "render")}


def _layers(folder: Path, name: str, limit: int) -> Sequence[tuple[str, Jpeg]]:
    """Label and picture of every existing layer of a training view."""
    file = f"{stem(name)}.png"
    return [
        (words, jpeg(draw(folder / kind, file), limit))
        for kind, words, draw in LAYERS
        if (folder / kind / file).is_file()
    ]


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
