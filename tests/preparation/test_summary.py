"""The line in the end that can be checked against the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bags.preparation.scene import Prepared
from bags.tasks import prepare

RECORD = {
    "source": "trip",
    "photos": [
        {"name": f"{i}.jpg", "source": f"{i}.JPG", "placed": i > 1, "points": 200, "sharpness": 0.5} for i in range(41)
    ],
    "not_used": [
        {"file": "cut.jpg", "reason": "cannot be read", "photo": True},
        {"file": "masks/", "reason": "41 files: masks", "photo": False},
    ],
    "placed": 39, "points": 9252, "reprojection_error_px": 0.61, "cameras": [{}], "attempt": "careful",
    "test_views": ["7.jpg"], "seconds": 83.4,
}  # fmt: skip


def test_photos_used_and_left_out() -> None:
    assert prepare.summary(RECORD) == (
        "39 of 42 photos of trip used (3 left out: 0.JPG, 1.JPG, cut.jpg), 1 camera, 9,252 points, 0.61 px mean"
        " reprojection error, test views: 7.jpg, 83 s"
    )
    whole = RECORD | {"photos": RECORD["photos"][2:], "not_used": [], "test_views": [], "cameras": [{}, {}]}
    assert prepare.summary(whole).startswith("39 of 39 photos of trip used, 2 cameras, 9,252 points, ")
    assert "test views: none" in prepare.summary(whole)
    none = RECORD | {"photos": [{"source": f"{i}.JPG", "placed": False} for i in range(41)], "placed": 0}
    assert "(42 left out: 0.JPG, 1.JPG, 2.JPG, 3.JPG, 4.JPG, 5.JPG, 6.JPG, 7.JPG, ...)" in prepare.summary(none)


def test_omitted_folders_are_summarised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for row in RECORD["photos"]:
        row["reason"] = "too few details"
    prepare.report(Prepared(tmp_path, RECORD))
    said = capsys.readouterr().out
    assert "not taken as photos: masks/ (41 files: masks)\n" in said and "docs/your_photos.md" in said
