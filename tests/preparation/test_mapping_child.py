"""The second attempt compares again only what concerns photos left out."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pycolmap
import pytest

from bags.preparation import mapping, mapping_child
from bags.preparation.mapping_child import FIRM, Job, firm, match, quality


def job_of(work: Path) -> Job:
    """Three photos whose pairs have been compared."""
    names = ["a.jpg", "b.jpg", "c.jpg"]
    pairs = [("a.jpg", "b.jpg"), ("a.jpg", "c.jpg"), ("b.jpg", "c.jpg")]
    said = {"names": names, "cameras": [{"photos": names, "small": False}], "pairs": pairs, "threads": 1, "seed": 7}
    (work / "job.json").write_text(json.dumps(said))
    with pycolmap.Database.open(str(work / "database.db")) as database:
        camera = database.write_camera(pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", 100.0, 96, 64))
        ids = [database.write_image(pycolmap.Image(name=name, camera_id=camera)) for name in names]
        geometry = pycolmap.TwoViewGeometry()
        geometry.inlier_matches = np.zeros((1, 2), dtype=np.uint32)
        for first, second in ((0, 1), (0, 2), (1, 2)):
            database.write_matches(ids[first], ids[second], np.zeros((1, 2), dtype=np.uint32))
            database.write_two_view_geometry(ids[first], ids[second], geometry)
    return Job(work)


def compared(job: Job) -> set[tuple[str, ...]]:
    with pycolmap.Database.open(str(job.database)) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        found = [pycolmap.pair_id_to_image_pair(pair) for pair in database.read_two_view_geometries()[0]]
        assert len(database.read_all_matches()[0]) == len(found)
    return {tuple(sorted(names[number] for number in pair)) for pair in found}


def test_pairs_of_photos_that_are_placed_are_kept(tmp_path: Path, monkeypatch: Any) -> None:
    job = job_of(tmp_path)
    seeds = []
    monkeypatch.setattr(
        mapping_child.pycolmap,
        "match_image_pairs",
        lambda *_, verification_options, **__: seeds.append(verification_options.ransac.random_seed),
    )
    match(job, "careful", set())
    assert len(compared(job)) == 3 and len((tmp_path / "pairs.txt").read_text().splitlines()) == 3
    match(job, "tolerant", {"a.jpg", "b.jpg"})
    assert compared(job) == {("a.jpg", "b.jpg")}
    assert seeds == [7, 7]  # without it, matches differed from run to run with several threads
    assert (tmp_path / "pairs.txt").read_text() == "a.jpg c.jpg\nb.jpg c.jpg\n"


def test_a_photo_with_few_points_counts_as_left_out() -> None:
    images = {
        number: SimpleNamespace(name=f"{number}.jpg", has_pose=number != 3, num_points3D=points)
        for number, points in enumerate((FIRM, FIRM - 1, 900, 900))
    }
    model = SimpleNamespace(images=images, num_reg_images=lambda: 3)
    assert firm([model]) == {"0.jpg", "2.jpg"} and quality([model]) == (2, 3)
    assert firm([]) == set() and quality([]) == (0, 0)


@pytest.mark.parametrize("written", ["", "\n", '["comp', '["comparing", 3]\n["plac'])
def test_progress_that_is_still_being_written_is_not_reported(written: str, tmp_path: Path) -> None:
    reported: list[tuple[str, int, int]] = []
    (tmp_path / "progress").write_text(written)
    (tmp_path / "placed").write_bytes(b"..")
    mapping._tell(tmp_path, lambda *said: reported.append(said))
    assert not reported
    with (tmp_path / "progress").open("w") as file:
        file.write('["placing", 3]\n')
    mapping._tell(tmp_path, lambda *said: reported.append(said))
    assert reported == [("placing", 2, 3)]
