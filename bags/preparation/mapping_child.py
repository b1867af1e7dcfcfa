"""Finds camera poses with pycolmap, in a separate process: ``python mapping_child.py WORK``.

``WORK/job.json`` says what to do; ``WORK/photos/`` contains the photos. Writes ``WORK/scene/`` (undistorted photos and
the model) and ``WORK/result.json``; lines of ``WORK/progress`` say what is being done. Settings that are not set here
are COLMAP's defaults. If the first attempt leaves photos out, a second one follows with what users of blurry photos
report to help: no lens distortion, which may be estimated wrongly; guided matching of the pairs with photos left out;
fewer matches and smaller triangulation angles.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pycolmap

MODELS = {"careful": "SIMPLE_RADIAL", "tolerant": "SIMPLE_PINHOLE"}
SMALLEST_MODEL = 3  # photos
FIRM = 20  # points; a photo with fewer counts as left out


class Job:
    """The files of one run, and the content of ``job.json``."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.photos = work / "photos"
        self.database = work / "database.db"
        self.said: dict[str, Any] = json.loads((work / "job.json").read_text(encoding="utf-8"))
        self.names: list[str] = self.said["names"]
        self.masks, self.alphas = work / "masks", work / "alphas"  # if a photo is partly transparent or masked
        self.covers = work / "covers"
        self.pairs: list[tuple[str, str]] = [(first, second) for first, second in self.said["pairs"]]

    def tell(self, what: str, total: int) -> None:
        """Write to the progress file what begins now, and how many items it has."""
        with (self.work / "progress").open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, total]) + "\n")


def main(work: Path) -> None:
    """Find all poses, carefully and, if that leaves many photos out, tolerantly; undistort the better result."""
    pycolmap.logging.minloglevel = 2  # errors only
    job = Job(work)
    pycolmap.set_random_seed(job.said["seed"])
    extract(job)
    best: list[Any] = []
    for attempt in MODELS:
        match(job, attempt, firm(best))
        models = place(job, attempt)
        if not (work / "result.json").exists() or quality(models) > quality(best):
            best = models
            (work / "result.json").write_text(json.dumps(described(job, attempt, models)), encoding="utf-8")
        if quality(best)[0] >= job.said["enough"] * len(job.names):
            break
    if best:
        undistort(job, best[0])


def quality(models: list[Any]) -> tuple[int, int]:
    """How many photos of the largest model are well placed, and how many are placed at all."""
    return (len(firm(models)), models[0].num_reg_images()) if models else (0, 0)


def firm(models: list[Any]) -> set[str]:
    """Names of the photos that are well placed in the largest model: with at least ``FIRM`` points."""
    images = models[0].images.values() if models else ()
    return {image.name for image in images if image.has_pose and image.num_points3D >= FIRM}


def extract(job: Job) -> None:
    """Extract SIFT features that are robust to blur: with domain size pooling, on reduced photos.

    SIFT's default is to enlarge photos twofold first. That takes four times as long, and blurred photos have no details
    that small, so only small photos are enlarged.
    """
    job.tell("finding details", len(job.names))
    reader, extraction = pycolmap.ImageReaderOptions(), pycolmap.FeatureExtractionOptions()
    reader.camera_model = MODELS["careful"]
    if job.masks.is_dir():
        reader.mask_path = job.masks
    extraction.num_threads = job.said["threads"]
    extraction.max_image_size = job.said["feature_size"]
    extraction.sift.max_num_features = job.said["features"]
    extraction.sift.domain_size_pooling = True
    for group in job.said["cameras"]:
        extraction.sift.first_octave = -1 if group["small"] else 0
        pycolmap.extract_features(
            job.database,
            job.photos,
            image_names=group["photos"],
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=reader,
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )


def match(job: Job, attempt: str, settled: set[str]) -> None:
    """Match photos in pairs; in the second attempt again those pairs of which not both are ``settled``."""
    pairs, matching, verification = job.pairs, pycolmap.FeatureMatchingOptions(), pycolmap.TwoViewGeometryOptions()
    matching.num_threads = job.said["threads"]
    verification.ransac.random_seed = job.said["seed"]  # else every thread has its own random seed
    if attempt == "tolerant":
        pairs = [pair for pair in pairs if not settled.issuperset(pair)]
        matching.guided_matching = True
        verification.min_num_inliers = 10
        forget(job, pairs)
    job.tell("comparing photos" if attempt == "careful" else "comparing photos again, more tolerantly", len(job.pairs))
    listed = job.work / "pairs.txt"
    listed.write_text("".join(f"{first} {second}\n" for first, second in pairs), encoding="utf-8")
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(listed)
    pycolmap.match_image_pairs(
        job.database,
        matching_options=matching,
        pairing_options=pairing,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def forget(job: Job, pairs: list[tuple[str, str]]) -> None:
    """Delete the matches of ``pairs`` from the database."""
    with pycolmap.Database.open(str(job.database)) as database:
        number_of = {image.name: image.image_id for image in database.read_all_images()}
        with pycolmap.DatabaseTransaction(database):
            for first, second in pairs:
                database.delete_matches(number_of[first], number_of[second])
                database.delete_two_view_geometry(number_of[first], number_of[second])


def place(job: Job, attempt: str) -> list[Any]:
    """Run the mapper; returns the models found, the largest first."""
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = job.said["threads"]
    options.random_seed = job.said["seed"]
    options.min_model_size = SMALLEST_MODEL
    if attempt == "tolerant":
        options.min_num_matches = 10
        options.mapper.init_min_num_inliers = 40
        options.mapper.init_min_tri_angle = 5.0
        options.mapper.abs_pose_min_num_inliers = 15
        options.mapper.abs_pose_min_inlier_ratio = 0.15
        options.mapper.filter_min_tri_angle = 1.0
        options.triangulation.min_angle = 1.0
        with pycolmap.Database.open(str(job.database)) as database:
            for camera in database.read_all_cameras():
                focal = camera.mean_focal_length()
                plain = pycolmap.Camera.create_from_model_name(
                    camera.camera_id, MODELS[attempt], focal, camera.width, camera.height
                )
                plain.has_prior_focal_length = camera.has_prior_focal_length
                database.update_camera(plain)
    out = job.work / attempt
    out.mkdir()
    job.tell("placing photos", len(job.names))
    placed = job.work / "placed"

    def count() -> None:
        with placed.open("a") as file:
            file.write(".")

    placed.write_text("..")
    models = pycolmap.incremental_mapping(job.database, job.photos, out, options, next_image_callback=count)
    return sorted(models.values(), key=lambda model: -model.num_reg_images())


def described(job: Job, attempt: str, models: list[Any]) -> dict[str, Any]:
    """Facts on the model and on every photo, for the report."""
    groups = [{image.name: image for image in model.images.values() if image.has_pose} for model in models]
    placed, elsewhere = (groups[0] if groups else {}), {name for group in groups[1:] for name in group}
    photos = {}
    with pycolmap.Database.open(str(job.database)) as database:
        images = database.read_all_images()
        partners = {image.image_id: 0 for image in images}
        for pair, geometry in zip(*database.read_two_view_geometries(), strict=True):
            if len(geometry.inlier_matches):
                for number in pycolmap.pair_id_to_image_pair(pair):
                    partners[number] += 1
        for image in images:
            photos[image.name] = {
                "placed": image.name in placed,
                "elsewhere": image.name in elsewhere,
                "details": database.num_keypoints_for_image(image.image_id),
                "partners": partners[image.image_id],
                "points": placed[image.name].num_points3D if image.name in placed else 0,
            }
    best = models[0] if models else None
    return {
        "attempt": attempt,
        "photos": photos,
        "points": best.num_points3D() if best else 0,
        "error": best.compute_mean_reprojection_error() if best else None,
        "cameras": [
            {"model": c.model.name, "width": c.width, "height": c.height, "focal": c.mean_focal_length(),
             "focal_from_exif": c.has_prior_focal_length}
            for c in (best.cameras.values() if best else ())
        ],
        "pycolmap": pycolmap.__version__,
    }  # fmt: skip


def undistort(job: Job, model: Any) -> None:
    """Undistort the photos of ``model`` to pinhole cameras, and write them with the matching model."""
    job.tell("undistorting photos", model.num_reg_images())
    chosen, flat = job.work / "chosen", job.work / "scene"
    chosen.mkdir()
    model.write_binary(str(chosen))
    pycolmap.undistort_images(flat, chosen, job.photos, jpeg_quality=95, num_threads=job.said["threads"])
    for beside in (job.alphas, job.covers):
        names = [image.name for image in model.images.values() if image.has_pose and (beside / image.name).is_file()]
        if names:
            flat = job.work / f"flat_{beside.name}"
            pycolmap.undistort_images(flat, chosen, beside, image_names=names, num_threads=1, jpeg_quality=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
