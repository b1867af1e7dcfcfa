"""Where the photos come from: the section ``dataset``."""

from __future__ import annotations

from dataclasses import dataclass, field

from bags.settings.limits import Section, at_least, at_most, one_of, registered, resolution, setting, such_that, within

PARSERS = ["colmap", "nerfstudio", "blender", "multiscale_blender", "synthetic"]


def _holds_out(hold: int | str) -> bool:
    return hold == "auto" or (isinstance(hold, int) and hold >= 2)


@dataclass(frozen=True)
class SyntheticSettings(Section, key="dataset.synthetic"):
    """The built-in scene: textured solids, ray-cast in linear light, photographed with real blur.

    Attributes:
        layout: ``room`` (the demo's), ``walk_around``, ``facade`` or ``forward_facing`` (docs/quality.md).
        width, height: photo size in pixels (at ``dataset.factor=1``).
        train_views, test_views: number of photos; test photos are always sharp.
        blurs: kinds of blur, assigned to the training views in turn: ``motion``, ``one_direction`` (motion in the same
            direction in all photos), ``roll`` (motion with much camera roll), ``one_sided`` (motion whose nominal pose
            is that at the end of the exposure), ``defocus``, ``low_resolution``, ``sharp``.
        strength: multiplies every amount of blur, at most by 4; 0 makes all views sharp.
        least: blur of the least blurred photo of a kind, as a fraction of that of the most blurred one.
        drift: exposure of the training photos, from this many stops below the test photos' to as many above, evenly
            spread in random order.
        points: number of initial points, as SfM would find them.
        point_noise: standard deviation of their position noise, in scene units.
        samples: rays averaged per pixel of a blurred photo (over the exposure path or the lens).
        seed: of textures, camera path, blur and points.
    """

    layout: str = setting("room", one_of("room", "walk_around", "facade", "forward_facing"))
    width: int = setting(192, at_least(16), at_most(20_000))
    height: int = setting(128, at_least(16), at_most(20_000))
    train_views: int = setting(24, at_least(2), at_most(10_000))
    test_views: int = setting(6, at_least(0), at_most(10_000))
    blurs: tuple[str, ...] = setting(
        ("motion", "defocus", "low_resolution"),
        one_of("motion", "one_direction", "roll", "one_sided", "defocus", "low_resolution", "sharp"),
    )
    strength: float = setting(1.0, within(0, 4))
    least: float = setting(0.0, within(0, 1))
    drift: float = setting(0.0, within(0, 3))
    points: int = setting(3000, at_least(4), at_most(10_000_000))
    point_noise: float = setting(0.01, at_least(0))
    samples: int = setting(64, at_least(4), at_most(10_000))
    seed: int = setting(7, at_least(0))

    def _check(self) -> None:
        self.need(len(self.blurs) > 0, "blurs", "name at least one kind of blur")


@dataclass(frozen=True)
class MixedResolutionSettings(Section, key="dataset.mixed_resolution"):
    """Training views of mixed resolution, made from sharp photos (docs/datasets.md has the rule); test views stay.

    Attributes:
        factors: each training view is downsampled by one of these, assigned evenly in random order, and enlarged to its
            size again; 1 leaves it sharp; empty: no view is changed.
        seed: of the random order.
    """

    factors: tuple[float, ...] = setting((), within(1, 64))
    seed: int = setting(0, at_least(0))


@dataclass(frozen=True)
class DatasetSettings(Section, key="dataset"):
    """Where the photos come from, their training resolution and the held-out split (section 5, docs/datasets.md).

    Attributes:
        parser: ``colmap``, ``nerfstudio``, ``blender``, ``multiscale_blender``, ``synthetic``, or one of your own
            (``register_parser``, examples/03_own_dataset.py).
        root: folder of the scene; not used by the built-in scene.
        images: COLMAP: folder of the photos below ``root``; ``images`` is also looked for beside the model, and under
            other common names (docs/inputs.md).
        sparse: COLMAP: folder of the model below ``root``; null: the one with the most photos in ``sparse/``, or
            wherever else there is one.
        missing_photos: if a photo that the data set names is not in its folder, ``refuse`` the scene or ``skip`` the
            photo (as long as half of the photos exist); the other test views do not change.
        reduced_images: COLMAP: if ``factor`` is N and a folder ``<images>_N`` already holds all photos at the training
            resolution, use these instead of reducing the photos.
        factor: training resolution: 1, 2, 4, 8, ... divides the photo's size (rounded); -1 keeps the size, but at most
            1600 pixels in width; any other number is the width in pixels.
        window: side in pixels of the square part of the view that each training step sees, at any scale (a smaller view
            is seen whole); null: the whole view. It bounds a step's memory (docs/full_resolution.md).
        images_on: where photos are kept while training on a GPU: on the ``device``, on the ``host`` (each copied during
            the step before it), or ``auto``: on the device if they fit (docs/parallel.md).
        hold: COLMAP: every ``hold``-th view in name order, from the first, is a test view; null: no test views;
            ``auto``: as the list ``test.txt`` or an empty file ``hold=N`` in ``root`` says, 8 without either
            (published: 8).
        resolutions: multi-scale Blender: train and test on ``all`` resolutions or only on the ``highest``.
        white_background: composite onto white instead of black.
        mixed_resolution: training views of mixed resolution.
        synthetic: the built-in scene.
    """

    parser: str = setting("synthetic", registered(PARSERS, "register_parser"))
    root: str | None = None
    images: str = "images"
    sparse: str | None = None
    missing_photos: str = setting("refuse", one_of("refuse", "skip"))
    reduced_images: bool = True
    factor: int = setting(1, resolution())
    window: int | None = setting(None, at_least(32))
    images_on: str = setting("auto", one_of("auto", "host", "device"))
    hold: int | str | None = setting("auto", such_that(_holds_out, "must be auto, null or a whole number, at least 2"))
    resolutions: str = setting("all", one_of("all", "highest"))
    white_background: bool = False
    mixed_resolution: MixedResolutionSettings = field(default_factory=MixedResolutionSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)

    def _check(self) -> None:
        if self.parser != "synthetic":
            self.need(bool(self.root), "root", "give the scene's folder: dataset.root=/path/to/scene")
