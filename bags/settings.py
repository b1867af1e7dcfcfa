"""Every setting of a run, typed and checked: one frozen dataclass a section of the configuration.

The YAML files under ``conf/`` give the values; these classes give the types, the meaning and the limits. A value that
cannot be raises ``SettingError`` at once, naming its key. This module imports neither torch nor lightning, so that a
mistake on the command line is reported before they load. Section numbers refer to the method (Peng et al., BAGS,
ECCV 2024) as stated in docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bags.errors import SettingError


def _need(good: bool, key: str, value: object, remedy: str) -> None:
    if not good:
        raise SettingError(key, value, remedy)


def _at_least(low: float, **values: float) -> None:
    for key, value in values.items():
        _need(value >= low, key.replace("__", "."), value, f"must be at least {low:g}")


def _at_most(high: float, **values: float) -> None:
    for key, value in values.items():
        _need(value <= high, key.replace("__", "."), value, f"must be at most {high:,.0f}")


def _odd(key: str, value: int) -> None:
    _need(value >= 1 and value % 2 == 1, key, value, "a kernel side must be an odd number, 1 or more")


def _one_of(key: str, value: str, options: tuple[str, ...]) -> None:
    _need(value in options, key, value, f"must be one of {', '.join(options)}")


@dataclass(frozen=True)
class SyntheticSettings:
    """The built-in scene: textured solids, ray-cast in linear light, photographed with real blur.

    Attributes:
        layout: ``room`` (the demo's), ``walk_around``, ``facade`` or ``forward_facing`` (docs/quality.md).
        width, height: photo size in pixels (at ``dataset.factor=1``).
        train_views, test_views: how many photos; test photos are always sharp.
        blurs: kinds of blur, dealt out over the training views in turn: ``motion``, ``one_direction`` (motion the same
            way in all photos), ``roll`` (motion with much camera roll), ``one_sided`` (motion whose nominal pose is
            where the exposure ends), ``defocus``, ``low_resolution``, ``sharp``.
        strength: multiplies every amount of blur, at most by 4; 0 makes all views sharp.
        least: blur of the least blurred photo of a kind, as a share of the most blurred one's.
        drift: exposure of the training photos, from so many stops below the test photos' to as many above, evenly
            spread in random order.
        points: SfM-like points to start from.
        point_noise: standard deviation of their position noise, in scene units.
        samples: rays averaged per pixel of a blurred photo (over the exposure path or the lens).
        seed: layout of textures, camera path, blur and points.
    """

    layout: str = "room"
    width: int = 192
    height: int = 128
    train_views: int = 24
    test_views: int = 6
    blurs: tuple[str, ...] = ("motion", "defocus", "low_resolution")
    strength: float = 1.0
    least: float = 0.0
    drift: float = 0.0
    points: int = 3000
    point_noise: float = 0.01
    samples: int = 64
    seed: int = 7

    def __post_init__(self) -> None:
        _one_of("dataset.synthetic.layout", self.layout, ("room", "walk_around", "facade", "forward_facing"))
        _at_least(16, dataset__synthetic__width=self.width, dataset__synthetic__height=self.height)
        _at_least(2, dataset__synthetic__train_views=self.train_views)
        _at_least(0, dataset__synthetic__test_views=self.test_views)
        _at_most(20_000, dataset__synthetic__width=self.width, dataset__synthetic__height=self.height)
        _at_most(
            10_000, dataset__synthetic__train_views=self.train_views, dataset__synthetic__test_views=self.test_views
        )
        _at_most(10_000_000, dataset__synthetic__points=self.points)
        _at_most(10_000, dataset__synthetic__samples=self.samples)
        _need(0 <= self.strength <= 4, "dataset.synthetic.strength", self.strength, "must lie in [0, 4]")
        _need(0 <= self.least <= 1, "dataset.synthetic.least", self.least, "must lie in [0, 1]")
        _need(0 <= self.drift <= 3, "dataset.synthetic.drift", self.drift, "must lie in [0, 3] stops")
        _at_least(4, dataset__synthetic__points=self.points, dataset__synthetic__samples=self.samples)
        _at_least(0, dataset__synthetic__point_noise=self.point_noise, dataset__synthetic__seed=self.seed)
        _need(len(self.blurs) > 0, "dataset.synthetic.blurs", self.blurs, "name at least one kind of blur")
        moving = ("motion", "one_direction", "roll", "one_sided")
        for blur in self.blurs:
            _one_of("dataset.synthetic.blurs", blur, (*moving, "defocus", "low_resolution", "sharp"))


@dataclass(frozen=True)
class MixedResolutionSettings:
    """Training views of mixed resolution, made from sharp photos (docs/datasets.md has the rule); test views stay.

    Attributes:
        factors: each training view is downsampled by one of these, dealt out evenly in random order, and brought back
            to its size; 1 leaves it sharp; empty: no view is changed.
        seed: of the dealing.
    """

    factors: tuple[float, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for factor in self.factors:
            _need(1 <= factor <= 64, "dataset.mixed_resolution.factors", factor, "must lie in [1, 64]")
        _at_least(0, dataset__mixed_resolution__seed=self.seed)


@dataclass(frozen=True)
class DatasetSettings:
    """Where the photos come from, their training resolution and the held-out split (section 5, docs/datasets.md).

    Attributes:
        parser: ``colmap``, ``nerfstudio``, ``blender``, ``multiscale_blender`` or ``synthetic``.
        root: folder of the scene; not used by the built-in scene.
        images: COLMAP: folder of the photos below ``root``; ``images`` is also looked for beside the model, and under
            other usual names (docs/inputs.md).
        sparse: COLMAP: folder of the model below ``root``; null: the one with the most photos in ``sparse/``, or
            wherever else one lies.
        missing_photos: where a photo that the data set names is not in its folder, ``refuse`` the scene or ``skip`` the
            photo, as long as half of them are there; which others are test views does not change.
        reduced_images: COLMAP: where ``factor`` is N and a folder ``<images>_N`` holds all photos at the training
            resolution already, take those instead of reducing.
        factor: training resolution: 1, 2, 4, 8, ... divides the photo's size (rounded); -1 keeps the size but at most
            1600 pixels wide; any other number is the width in pixels.
        window: side in pixels of the square part of the view that each training step sees, at any scale (a smaller view
            is seen whole); null: the whole view. It bounds a step's memory (docs/full_resolution.md).
        images_on: where photos are kept while training on a GPU: on the ``device``, on the ``host`` (each copied while
            the step before it runs), or ``auto``: on the device if they fit (docs/parallel.md).
        hold: COLMAP: every ``hold``-th view of the sorted names, from the first, is a test view; null: no held-out
            split; ``auto``: as the list ``test.txt`` or an empty file ``hold=N`` in ``root`` says, 8 without either
            (published: 8).
        resolutions: multi-scale Blender: train and test on ``all`` resolutions or only the ``highest``.
        white_background: composite onto white instead of black.
        mixed_resolution: training views of mixed resolution.
        synthetic: the built-in scene.
    """

    parser: str = "synthetic"
    root: str | None = None
    images: str = "images"
    sparse: str | None = None
    missing_photos: str = "refuse"
    reduced_images: bool = True
    factor: int = 1
    window: int | None = None
    images_on: str = "auto"
    hold: int | str | None = "auto"
    resolutions: str = "all"
    white_background: bool = False
    mixed_resolution: MixedResolutionSettings = field(default_factory=MixedResolutionSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)

    def __post_init__(self) -> None:
        _one_of("dataset.parser", self.parser, ("colmap", "nerfstudio", "blender", "multiscale_blender", "synthetic"))
        _one_of("dataset.missing_photos", self.missing_photos, ("refuse", "skip"))
        _need(self.factor == -1 or self.factor >= 1, "dataset.factor", self.factor, "must be -1 or at least 1")
        if self.window is not None:
            _at_least(32, dataset__window=self.window)
        fits = self.hold in (None, "auto") or (isinstance(self.hold, int) and self.hold >= 2)
        _need(fits, "dataset.hold", self.hold, "must be auto, null or a whole number, at least 2")
        _one_of("dataset.images_on", self.images_on, ("auto", "host", "device"))
        _one_of("dataset.resolutions", self.resolutions, ("all", "highest"))
        if self.parser != "synthetic":
            _need(bool(self.root), "dataset.root", self.root, "give the scene's folder: dataset.root=/path/to/scene")


@dataclass(frozen=True)
class BPNSettings:
    """The Blur Proposal Network (section 3).

    Attributes:
        kernels: kernel side of each scale, coarse to fine (published: 5, 9, 17).
        strides: pixels from one tap of the kernel to the next, for each scale; the kernel reaches
            ``stride * (side - 1) / 2`` pixels, over an image smoothed to that stride (docs/full_resolution.md); null:
            1 everywhere, as published.
        freeze_strided: while the taps lie several pixels apart only the Gaussians learn; kernels and masks stay what
            the coarser scale made of them (beyond the published method; docs/full_resolution.md).
        fit_to_width: training width in pixels that ``kernels`` and ``strides`` were chosen for; narrower photos get
            smaller ones, in proportion: strides down to 1 first, then kernels, never below the first; null keeps both.
        single_kernel: kernel side in the single-scale phase; null: that of the last scale.
        second_network: use the second network in the single-scale phase; null: only where ``single_kernel`` differs
            from the last scale's.
        use_position: feed the positional code (input b).
        use_rgbd: feed the features of the render and its depth (input c).
        use_mask: predict a mask; without it every pixel is blurred by its kernel (mask 1).
        embedding: channels of the view embedding (input a).
        position_channels: channels of the positional code; a multiple of 4.
        rgbd_channels: channels of the render features.
        hidden: channels of all hidden layers.
        mask_bias: added to the mask before its sigmoid; below 0 the network starts from "sharp" (published: 0).
        carry_over: a scale's head begins from that of the scale before instead of from random weights (beyond the
            published method; docs/full_resolution.md).
        margin: render half a kernel more on every side instead of padding with zeros (beyond the published method).
        rgbd_spacing: render and depth are averaged over so many pixels squared before their features are computed;
            a multiple of ``kernel_spacing`` (published: 1).
        kernel_spacing: pixels from one proposed kernel to the next; between them kernels are interpolated bilinearly;
            1, 2, 4, 8 or 16 (published: 1).
        bfloat16: run the network's convolutions and matrix products in bfloat16; parameters stay float32. ``auto``:
            where the processor or GPU has instructions for it (``bags.ops.precision``), without which it is slower.
    """

    kernels: tuple[int, ...] = (5, 9, 17)
    strides: tuple[int, ...] | None = None
    freeze_strided: bool = False
    fit_to_width: int | None = None
    single_kernel: int | None = None
    second_network: bool | None = None
    use_position: bool = True
    use_rgbd: bool = True
    use_mask: bool = True
    embedding: int = 32
    position_channels: int = 16
    rgbd_channels: int = 32
    hidden: int = 64
    mask_bias: float = 0.0
    carry_over: bool = False
    margin: bool = False
    rgbd_spacing: int = 1
    kernel_spacing: int = 1
    bfloat16: bool | str = False

    def __post_init__(self) -> None:
        _need(len(self.kernels) >= 1, "model.bpn.kernels", self.kernels, "give one kernel side per scale")
        for kernel in self.kernels:
            _odd("model.bpn.kernels", kernel)
        if self.strides is not None:
            _need(
                len(self.strides) == len(self.kernels) and min(self.strides) >= 1,
                "model.bpn.strides",
                self.strides,
                f"needs one number, at least 1, per kernel (model.bpn.kernels = {tuple(self.kernels)}), or null",
            )
        if self.single_kernel is not None:
            _odd("model.bpn.single_kernel", self.single_kernel)
        _need(
            self.kernel_spacing in (1, 2, 4, 8, 16),
            "model.bpn.kernel_spacing",
            self.kernel_spacing,
            "must be 1, 2, 4, 8 or 16",
        )
        _need(
            1 <= self.rgbd_spacing <= 64 and self.rgbd_spacing % self.kernel_spacing == 0,
            "model.bpn.rgbd_spacing",
            self.rgbd_spacing,
            f"must be a multiple of model.bpn.kernel_spacing ({self.kernel_spacing}), at most 64",
        )
        _need(
            isinstance(self.bfloat16, bool) or self.bfloat16 == "auto",
            "model.bpn.bfloat16",
            self.bfloat16,
            "must be true, false or auto",
        )
        if self.fit_to_width is not None:
            _at_least(1, model__bpn__fit_to_width=self.fit_to_width)
        _at_least(
            1,
            model__bpn__embedding=self.embedding,
            model__bpn__rgbd_channels=self.rgbd_channels,
            model__bpn__hidden=self.hidden,
        )
        _at_most(
            4096,
            model__bpn__embedding=self.embedding,
            model__bpn__rgbd_channels=self.rgbd_channels,
            model__bpn__hidden=self.hidden,
            model__bpn__position_channels=self.position_channels,
            model__bpn__kernels=max(self.kernels),
        )
        _need(
            self.position_channels > 0 and self.position_channels % 4 == 0,
            "model.bpn.position_channels",
            self.position_channels,
            "must be a positive multiple of 4 (sine and cosine for rows and columns)",
        )


@dataclass(frozen=True)
class GaussianSettings:
    """Mip-Splatting's Gaussians (sections 1 and 2).

    Attributes:
        sh_degree: largest degree of the spherical harmonics, 0 to 3.
        start_opacity: opacity of every Gaussian at the start.
        filter_variance: variance of the 3D smoothing filter in units of the finest pixel's size (published: 0.2).
        absorb_filter: where the training resolution grows, and with it the filter shrinks, let the Gaussians grow by as
            much, so that they are drawn as before instead of thinning at once (beyond the published method;
            docs/full_resolution.md).
        kernel_size: variance of the 2D Mip filter in pixels squared (published: 0.1).
        max_count: no more Gaussians than this: of more points to start from so many are drawn, and densification takes
            the largest gradients first; null: as many as the memory holds.
        random_points: points to start from where a scene has none.
        background_points: points to start from on a sphere behind those that a scene has (published: none); at most
            half of those that ``max_count`` leaves room for.
        neighbours: what finds the start scales' nearest points: ``scipy`` (CPU), ``simple_knn`` (Inria's CUDA
            extension, built by hand), or ``auto`` for simple_knn on CUDA where it is installed.
    """

    sh_degree: int = 3
    start_opacity: float = 0.1
    filter_variance: float = 0.2
    absorb_filter: bool = False
    kernel_size: float = 0.1
    max_count: int | None = 1_000_000
    random_points: int = 100_000
    background_points: int = 0
    neighbours: str = "auto"

    def __post_init__(self) -> None:
        _need(0 <= self.sh_degree <= 3, "model.gaussians.sh_degree", self.sh_degree, "must be 0, 1, 2 or 3")
        _need(
            0 < self.start_opacity < 1,
            "model.gaussians.start_opacity",
            self.start_opacity,
            "must lie between 0 and 1",
        )
        _at_least(0, model__gaussians__filter_variance=self.filter_variance)
        _at_least(0, model__gaussians__kernel_size=self.kernel_size)
        _at_least(1, model__gaussians__random_points=self.random_points)
        _at_least(0, model__gaussians__background_points=self.background_points)
        _at_most(
            100_000_000,
            model__gaussians__random_points=self.random_points,
            model__gaussians__background_points=self.background_points,
        )
        if self.max_count is not None:
            _at_least(1, model__gaussians__max_count=self.max_count)
        _one_of("model.gaussians.neighbours", self.neighbours, ("auto", "scipy", "simple_knn"))


@dataclass(frozen=True)
class ModelSettings:
    """What is trained: ``blur`` tells whether a Blur Proposal Network goes with the Gaussians.

    Attributes:
        name: for tables and logs.
        blur: model the blur (``model=bags``) or not (``model=mip_splatting``).
        ray_jitter: shift the pixel grid by a random sub-pixel offset (uniform in +-0.5 px) at every training step.
    """

    name: str = "bags"
    blur: bool = True
    ray_jitter: bool = False
    gaussians: GaussianSettings = field(default_factory=GaussianSettings)
    bpn: BPNSettings = field(default_factory=BPNSettings)


@dataclass(frozen=True)
class ScheduleSettings:
    """When what happens (section 4). All numbers are optimiser steps of the full schedule.

    ``steps``, or those that fit into ``minutes``, shorten the whole schedule by the factor ``steps / iterations``; the
    ``shortest_*`` limits keep a short run from densifying or resetting too often.

    Attributes:
        iterations: steps of both phases together.
        ms_steps: steps of the multi-scale phase; after it the schedule's clock restarts from 1.
        steps: steps to run, everything scaled; null: ``iterations``, or as ``minutes`` says.
        minutes: time that training may take on this machine; as many steps are run as fit, at most ``iterations``, as
            with ``steps`` (docs/experiments.md).
        scale_divisors: training resolution divided by these, coarse to fine.
        scale_starts: first step at each of the scales (1-based).
        coarse_to_fine: go through the scales; else every step is at the last one, with its kernel.
        sharp_steps: steps without blur model at the start of the clock.
        restart: let the clock start over after the multi-scale phase.
        sharp_after_restart: also leave blur out for ``sharp_steps`` after the restart, as published.
        position_lr_steps: length of the position rate's decay.
        cooldown: part of the run, at its end, over which all learning rates shrink (published: 0).
        cooldown_to: the rates' factor at the last step, log-linear from 1.
        sh_every: steps per degree of the spherical harmonics.
        densify_from, densify_until, densify_every: densify at multiples of ``densify_every`` strictly between the two.
        opacity_reset_every: opacity reset at its multiples, while densification goes on.
        prune_big_from: Gaussians too large in the world are pruned after this step.
        filter_every: 3D filter recomputed this often after densification has ended.
        shortest_densify_every, shortest_densify_from, shortest_opacity_reset_every: limits of scaled schedules.
        shortest_recovery: a shortened run resets no opacities in its last so many steps.
    """

    iterations: int = 30_000
    ms_steps: int = 9_000
    steps: int | None = None
    minutes: float | None = None
    scale_divisors: tuple[int, ...] = (4, 2, 1)
    scale_starts: tuple[int, ...] = (1, 3000, 6000)
    coarse_to_fine: bool = True
    sharp_steps: int = 250
    restart: bool = True
    sharp_after_restart: bool = True
    position_lr_steps: int = 60_000
    cooldown: float = 0.0
    cooldown_to: float = 0.1
    sh_every: int = 1000
    densify_from: int = 500
    densify_until: int = 35_000
    densify_every: int = 100
    opacity_reset_every: int = 3000
    prune_big_from: int = 3000
    filter_every: int = 100
    shortest_densify_every: int = 50
    shortest_densify_from: int = 100
    shortest_opacity_reset_every: int = 800
    shortest_recovery: int = 1200

    def __post_init__(self) -> None:
        for key in (
            "iterations", "position_lr_steps", "sh_every", "densify_every", "opacity_reset_every", "filter_every",
            "shortest_densify_every", "shortest_opacity_reset_every",
        ):  # fmt: skip
            _at_least(1, **{f"schedule__{key}": getattr(self, key)})
        for key in ("ms_steps", "sharp_steps", "densify_from", "densify_until", "prune_big_from"):
            _at_least(0, **{f"schedule__{key}": getattr(self, key)})
        for key in ("shortest_densify_from", "shortest_recovery"):
            _at_least(0, **{f"schedule__{key}": getattr(self, key)})
        if self.steps is not None:
            _at_least(1, schedule__steps=self.steps)
        if self.minutes is not None:
            _need(0 < self.minutes <= 100_000, "schedule.minutes", self.minutes, "must be above 0, at most 100,000")
            remedy = f"schedule.steps = {self.steps} says how long already; add schedule.steps=null"
            _need(self.steps is None, "schedule.minutes", self.minutes, remedy)
        _need(0 <= self.cooldown <= 1, "schedule.cooldown", self.cooldown, "is a part of the run: 0 to 1")
        _need(0 < self.cooldown_to <= 1, "schedule.cooldown_to", self.cooldown_to, "must be above 0 and at most 1")
        _need(
            self.ms_steps <= self.iterations,
            "schedule.ms_steps",
            self.ms_steps,
            f"must not exceed schedule.iterations ({self.iterations})",
        )
        _need(
            len(self.scale_starts) == len(self.scale_divisors) >= 1,
            "schedule.scale_starts",
            self.scale_starts,
            f"needs one entry per scale divisor {tuple(self.scale_divisors)}",
        )
        _need(
            self.scale_starts[0] == 1 and list(self.scale_starts) == sorted(set(self.scale_starts)),
            "schedule.scale_starts",
            self.scale_starts,
            "must begin at 1 and increase",
        )
        _need(
            min(self.scale_divisors) >= 1 and list(self.scale_divisors) == sorted(self.scale_divisors, reverse=True),
            "schedule.scale_divisors",
            self.scale_divisors,
            "must go from coarse (large) to fine, all 1 or more",
        )


@dataclass(frozen=True)
class OptimSettings:
    """Adam's learning rates (section 4); position rates are multiplied by the scene's extent.

    Attributes:
        position, position_final: at the clock's start and after ``schedule.position_lr_steps`` (log-linear between).
        sh_dc, sh_rest, opacity, scale, rotation, bpn: constant rates.
        eps: Adam's epsilon, for all parameters.
        most_skipped: steps with NaN or infinity in the loss or its gradient are left out; so many in a row end the run.
    """

    position: float = 1.6e-4
    position_final: float = 1.6e-6
    sh_dc: float = 2.5e-3
    sh_rest: float = 1.25e-4
    opacity: float = 0.05
    scale: float = 5e-3
    rotation: float = 1e-3
    bpn: float = 5e-4
    eps: float = 1e-15
    most_skipped: int = 5

    def __post_init__(self) -> None:
        for key in ("sh_dc", "sh_rest", "opacity", "scale", "rotation", "bpn"):
            _at_least(0, **{f"optim__{key}": getattr(self, key)})
        _at_least(1, optim__most_skipped=self.most_skipped)
        for key in ("position", "position_final", "eps"):
            _need(getattr(self, key) > 0, f"optim.{key}", getattr(self, key), "must be positive")


@dataclass(frozen=True)
class DensifySettings:
    """Who is cloned, split and pruned (section 4).

    Attributes:
        gradient: threshold of the mean screen-space gradient (NDC) in the single-scale phase.
        init_gradient: the same in the multi-scale phase ("init_dgt").
        percent_dense: clone up to this largest scale, split above it; in units of the scene's extent.
        split_into: Gaussians that a split one becomes.
        split_shrink: their scale is divided by ``split_shrink * split_into`` (published: 0.8 * 2).
        min_opacity: prune below this opacity (unfiltered).
        init_opacity: replaces it in the multi-scale phase where not negative.
        reset_opacity: an opacity reset sets the filtered opacity to at most this.
        prune_big: with ``min_opacity`` at most 0.005, prune world scales above this part of the extent.
        prune_screen: prune screen radii above this many pixels; null (published behaviour): never.
    """

    gradient: float = 2e-4
    init_gradient: float = 8e-4
    percent_dense: float = 0.01
    split_into: int = 2
    split_shrink: float = 0.8
    min_opacity: float = 0.1
    init_opacity: float = -1.0
    reset_opacity: float = 0.01
    prune_big: float = 0.1
    prune_screen: float | None = None

    def __post_init__(self) -> None:
        _at_least(0, densify__gradient=self.gradient, densify__init_gradient=self.init_gradient)
        _at_least(0, densify__percent_dense=self.percent_dense, densify__min_opacity=self.min_opacity)
        _at_least(2, densify__split_into=self.split_into)
        for key in ("split_shrink", "prune_big", "reset_opacity"):
            _need(getattr(self, key) > 0, f"densify.{key}", getattr(self, key), "must be positive")
        for key in ("min_opacity", "init_opacity", "reset_opacity"):
            _need(getattr(self, key) < 1, f"densify.{key}", getattr(self, key), "must be below 1")
        if self.prune_screen is not None:
            _need(self.prune_screen > 0, "densify.prune_screen", self.prune_screen, "must be positive or null")


@dataclass(frozen=True)
class LossSettings:
    """Weights of the loss's terms (section 4): ``(1 - ssim) L1 + ssim (1 - SSIM) + mask mean(m) + TV terms``."""

    ssim: float = 0.2
    mask: float = 0.001
    depth_tv: float = 0.0
    rgb_tv: float = 0.0

    def __post_init__(self) -> None:
        _need(0 <= self.ssim <= 1, "loss.ssim", self.ssim, "must lie in [0, 1]")
        _at_least(0, loss__mask=self.mask, loss__depth_tv=self.depth_tv, loss__rgb_tv=self.rgb_tv)


@dataclass(frozen=True)
class RasterizerSettings:
    """Which rasteriser draws; docs/rasterizers.md compares them.

    Attributes:
        name: ``auto`` (gsplat on CUDA, numba on the CPU), ``numba``, ``gsplat``, ``diff_gaussian`` or ``reference``.
        absolute_gradients: densify by the sum of the pixels' absolute gradients instead of their sum (AbsGS; beyond
            the published method, and larger, so raise ``densify.gradient`` with it). gsplat only.
    """

    name: str = "auto"
    absolute_gradients: bool = False

    def __post_init__(self) -> None:
        _one_of("rasterizer.name", self.name, ("auto", "numba", "gsplat", "diff_gaussian", "reference"))
        _need(
            not self.absolute_gradients or self.name in ("auto", "gsplat"),
            "rasterizer.absolute_gradients",
            self.absolute_gradients,
            f"rasterizer.name={self.name} does not give them, only gsplat does",
        )


@dataclass(frozen=True)
class MetricsSettings:
    """How test views are judged (section 5). Both protocols are always computed and stored.

    Attributes:
        protocol: the one whose figures head the results: ``deblur_nerf`` or ``mip_splatting``.
        lpips: compute LPIPS too (null in the results where its weights cannot be had).
    """

    protocol: str = "deblur_nerf"
    lpips: bool = True

    def __post_init__(self) -> None:
        _one_of("metrics.protocol", self.protocol, ("deblur_nerf", "mip_splatting"))


@dataclass(frozen=True)
class OutputSettings:
    """What a run writes, and at which steps (of the run itself, not scaled).

    Attributes:
        checkpoint_every: write ``checkpoints/last.ckpt`` this often; null: only at the end and when stopped.
        checkpoint_steps: also keep ``checkpoints/step_N.ckpt`` of these steps.
        save_steps: also keep ``point_cloud_N.ply`` of these steps.
        test_steps: compute test metrics at these steps too (into ``metrics_N.json``).
        images_every: write and log training pictures this often; null: never.
        train_views: at the end look at no more than this many training views, spread over the list: how much blur the
            network sees in them, and pictures of photo, blurry prediction, sharp render, mask, kernels and depth; null:
            all.
        report: write ``report.html`` after the run and after ``task=evaluate`` (docs/report.md).
    """

    checkpoint_every: int | None = 1000
    checkpoint_steps: tuple[int, ...] = ()
    save_steps: tuple[int, ...] = ()
    test_steps: tuple[int, ...] = ()
    images_every: int | None = 500
    train_views: int | None = None
    report: bool = True

    def __post_init__(self) -> None:
        for key in ("checkpoint_every", "images_every"):
            if getattr(self, key) is not None:
                _at_least(1, **{f"output__{key}": getattr(self, key)})
        for key in ("checkpoint_steps", "save_steps", "test_steps"):
            for value in getattr(self, key):
                _at_least(1, **{f"output__{key}": value})
        if self.train_views is not None:
            _at_least(0, output__train_views=self.train_views)


@dataclass(frozen=True)
class TrainerSettings:
    """The machine, and how many views make a step.

    Attributes:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: processes that train together, each on a GPU of its own (or on the CPU).
        views_per_step: views per optimiser step, over all processes; a multiple of ``devices``; null: one per process.
            Gradients are averaged over them; learning rates and thresholds stay as they are.
        threads: CPU threads of each process; null: torch's own choice.
        progress: show it.
    """

    accelerator: str = "auto"
    devices: int = 1
    views_per_step: int | None = None
    threads: int | None = None
    progress: bool = True

    @property
    def views(self) -> int:
        """Views per optimiser step over all processes."""
        return self.views_per_step or self.devices

    def __post_init__(self) -> None:
        _one_of("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu"))
        _at_least(1, trainer__devices=self.devices)
        if self.views_per_step is not None:
            _at_least(1, trainer__views_per_step=self.views_per_step)
            _need(
                self.views_per_step % self.devices == 0,
                "trainer.views_per_step",
                self.views_per_step,
                f"must be a multiple of trainer.devices ({self.devices}): every process takes as many views",
            )
        if self.threads is not None:
            _at_least(1, trainer__threads=self.threads)


@dataclass(frozen=True)
class RenderSettings:
    """``task=render``: sharp pictures of the views, or a video (docs/export.md).

    Attributes:
        split: whose views are drawn: ``test``, ``train`` or ``both``.
        path: a video instead: past the training cameras (``train``), on an ``ellipse`` or a ``spiral``; null: pictures.
        frames, fps: length of the video, and its frames per second.
        depth: draw depth, too.
        factor: resolution, as ``dataset.factor``; null: that of training.
    """

    split: str = "test"
    path: str | None = None
    frames: int = 240
    fps: float = 30.0
    depth: bool = True
    factor: int | None = None

    def __post_init__(self) -> None:
        _one_of("render.split", self.split, ("test", "train", "both"))
        if self.path is not None:
            _one_of("render.path", self.path, ("train", "ellipse", "spiral"))
        _at_least(2, render__frames=self.frames)
        _need(1 <= self.fps <= 240, "render.fps", self.fps, "must lie in [1, 240]")
        if self.factor is not None:
            _need(self.factor == -1 or self.factor >= 1, "render.factor", self.factor, "must be -1 or at least 1")


@dataclass(frozen=True)
class ExportSettings:
    """``task=export``: files for other programs (docs/export.md).

    Attributes:
        formats: ``ply`` (the common 3DGS layout, 3D filter baked in), ``ply_with_filter`` (Mip-Splatting's: the filter
            in a column of its own), ``compressed_ply`` and ``splat`` (both smaller, and coarser).
        cameras: also the training views' cameras as a COLMAP model, ``sparse/0/``.
    """

    formats: tuple[str, ...] = ("ply",)
    cameras: bool = True

    def __post_init__(self) -> None:
        known = ("ply", "ply_with_filter", "compressed_ply", "splat")
        for name in self.formats:
            remedy = f"must be one of {', '.join(known)}; export ply and convert that for others (docs/export.md)"
            _need(name in known, "export.formats", name, remedy)


@dataclass(frozen=True)
class ViewerSettings:
    """The scene in a browser: ``task=view`` of a finished run, ``viewer=live`` of one that trains (docs/viewer.md).

    Attributes:
        live: serve while training.
        keep: after a live training, go on serving its final state until Ctrl-C.
        host: address to listen on; the default is reached from this machine only, ``0.0.0.0`` from any.
        port: to listen on; where it is taken, and for 0, any free one is used. The log says which.
        fps: pictures per second while somebody moves; they become smaller until they can be had.
        pixels: of a picture while nobody moves, at most.
        share: part of the time of a training that drawing may take, while somebody looks.
    """

    live: bool = False
    keep: bool = False
    host: str = "127.0.0.1"
    port: int = 8080
    fps: float = 15.0
    pixels: int = 1_000_000
    share: float = 0.1

    def __post_init__(self) -> None:
        _need(bool(self.host), "viewer.host", self.host, "give an address to listen on, such as 127.0.0.1")
        _need(0 <= self.port <= 65535, "viewer.port", self.port, "must lie in [0, 65535]; 0 takes any free one")
        _need(0.1 <= self.fps <= 120, "viewer.fps", self.fps, "must lie in [0.1, 120]")
        _at_least(1024, viewer__pixels=self.pixels)
        _need(0 < self.share < 1, "viewer.share", self.share, "is a part of the time: above 0, below 1")
        _need(self.live or not self.keep, "viewer.keep", self.keep, "goes with viewer=live")


@dataclass(frozen=True)
class BenchmarkSettings:
    """``task=benchmark``.

    Attributes:
        repeats: of every row; the median is reported.
        full: run the large cases, too.
        processor: ``native``, or ``avx2`` to use no more instructions than a processor with AVX2 has, as many laptops.
    """

    repeats: int = 5
    full: bool = True
    processor: str = "native"

    def __post_init__(self) -> None:
        _at_least(1, benchmark__repeats=self.repeats)
        _one_of("benchmark.processor", self.processor, ("native", "avx2"))


@dataclass(frozen=True)
class SummarizeSettings:
    """``task=summarize``: which finished runs go into the tables, and what makes a column (docs/experiments.md).

    Attributes:
        runs: globs of run folders below ``output_root``.
        columns: settings whose values make a column; runs that share them and their scene are taken as seeds of one
            experiment.
    """

    runs: tuple[str, ...] = ("**",)
    columns: tuple[str, ...] = ("model.name",)

    def __post_init__(self) -> None:
        _need(len(self.runs) > 0, "summarize.runs", self.runs, "name at least one folder or glob")
        for pattern in self.runs:
            _need(
                bool(pattern) and not pattern.startswith("/") and ".." not in Path(pattern).parts,
                "summarize.runs",
                pattern,
                "names folders below output_root: no empty name, no '..', no absolute path",
            )
        _need(len(self.columns) > 0, "summarize.columns", self.columns, "name at least one setting, as model.name")


@dataclass(frozen=True)
class PrepareSettings:
    """``task=prepare``: a COLMAP scene of photos or a video (docs/your_photos.md).

    Attributes:
        frames: of a video, so many frames are taken.
        feature_size: details are looked for on photos whose longer side is at most so many pixels.
        features: at most so many details a photo; comparing takes time with their square.
        enough: where the careful settings place less than this part of the photos (by 20 points or more), tolerant
            ones are tried too.
        test_views: hold out so many photos to test on: the sharpest of as many equal runs of them, in the order of
            their names; null: none, all photos are trained on.
        threads: CPU threads; null: all.
    """

    frames: int = 60
    feature_size: int = 1200
    features: int = 2048
    enough: float = 0.9
    test_views: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        _at_least(3, prepare__frames=self.frames)
        _at_least(64, prepare__feature_size=self.feature_size, prepare__features=self.features)
        _need(0 <= self.enough <= 1, "prepare.enough", self.enough, "is a part of the photos: 0 to 1")
        for key in ("test_views", "threads"):
            if getattr(self, key) is not None:
                _at_least(1, **{f"prepare__{key}": getattr(self, key)})


@dataclass(frozen=True)
class PathsSettings:
    """Where things are on this machine: ``data`` is the folder of the scenes' folders (``dataset.root`` may use it)."""

    data: str = "data"


@dataclass(frozen=True)
class Settings:
    """A whole run.

    Attributes:
        task: ``train``, ``evaluate``, ``render``, ``view``, ``prepare``, ``reconstruct``, ``export``,
            ``benchmark``, ``summarize`` or ``gpu_check``.
        scene: name of the scene, for people; ``name`` is the folder below ``output_root``.
        group: what runs that belong together, as those of a sweep, are filed under by ``logger=wandb``; null: in a
            sweep the experiment's name, or else the keys given.
        seed: of every random draw.
        source: folder of photos or video file that ``task=prepare`` and ``task=reconstruct`` begin with.
        ckpt_path: checkpoint to go on from or to draw from: a path, or ``last`` for the run's own last one. ``auto``
            (what a sweep's jobs use) takes a run of this very configuration up where it was left, does nothing where
            that is finished, and trains anew where there is none.
        callbacks, logger: ``_target_`` nodes, made by ``bags.config.instantiate``.
    """

    task: str = "train"
    scene: str = "synthetic"
    name: str = "run"
    group: str | None = None
    seed: int = 0
    output_root: str = "outputs"
    source: str | None = None
    ckpt_path: str | None = None
    paths: PathsSettings = field(default_factory=PathsSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    densify: DensifySettings = field(default_factory=DensifySettings)
    loss: LossSettings = field(default_factory=LossSettings)
    rasterizer: RasterizerSettings = field(default_factory=RasterizerSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    viewer: ViewerSettings = field(default_factory=ViewerSettings)
    benchmark: BenchmarkSettings = field(default_factory=BenchmarkSettings)
    summarize: SummarizeSettings = field(default_factory=SummarizeSettings)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the run's results are."""
        return Path(self.output_root) / self.name

    def __post_init__(self) -> None:
        _need(0 <= self.seed < 2**31, "seed", self.seed, "must lie in [0, 2**31)")
        parts = Path(self.name).parts
        _need(
            len(parts) > 0 and ".." not in parts and not self.name.startswith("/"),
            "name",
            self.name,
            "names a folder below output_root: no empty name, no '..', no absolute path",
        )
        _need(
            len(self.model.bpn.kernels) == len(self.schedule.scale_divisors),
            "model.bpn.kernels",
            self.model.bpn.kernels,
            f"needs one kernel side per scale (schedule.scale_divisors = {tuple(self.schedule.scale_divisors)})",
        )
