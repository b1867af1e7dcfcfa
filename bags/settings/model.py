"""What is trained: the section ``model``."""

from __future__ import annotations

from dataclasses import dataclass, field

from bags.settings.limits import Section, at_least, at_most, odd, one_of, positive, registered, setting, such_that

BLUR_MODELS = ["kernels", "trajectory", "lens", "hybrid", "auto"]


@dataclass(frozen=True)
class BPNSettings(Section, key="model.bpn"):
    """The Blur Proposal Network (section 3).

    Attributes:
        kernels: kernel side of each scale, coarse to fine (published: 5, 9, 17).
        strides: pixels from one tap of the kernel to the next, for each scale; the kernel reaches
            ``stride * (side - 1) / 2`` pixels, over an image smoothed to that stride (docs/full_resolution.md); null:
            1 everywhere, as published.
        freeze_strided: while the taps lie several pixels apart, only the Gaussians learn; kernels and masks stay as the
            coarser scale left them (beyond the published method; docs/full_resolution.md).
        fit_to_width: training width in pixels that ``kernels`` and ``strides`` were chosen for; narrower photos get
            proportionally smaller ones: first strides down to 1, then kernels, never below the first; null keeps both.
        single_kernel: kernel side in the single-scale phase; null: that of the last scale.
        second_network: use the second network in the single-scale phase; null: only if ``single_kernel`` differs from
            the last scale's.
        use_position: use the positional code (input b).
        use_rgbd: use the features of the render and its depth (input c).
        use_mask: predict a mask; without it every pixel is blurred by its kernel (mask 1).
        embedding: channels of the view embedding (input a).
        position_channels: channels of the positional code; a multiple of 4.
        rgbd_channels: channels of the render features.
        hidden: channels of all hidden layers.
        mask_bias: added to the mask before its sigmoid; below 0 the network starts from "sharp" (published: 0).
        carry_over: a scale's head starts from that of the previous scale instead of from random weights (beyond the
            published method; docs/full_resolution.md).
        margin: render half a kernel more on every side instead of padding with zeros (beyond the published method).
        rgbd_spacing: side in pixels of the squares over which render and depth are averaged before their features are
            computed; a multiple of ``kernel_spacing`` (published: 1).
        kernel_spacing: pixels from one proposed kernel to the next; in between, kernels are interpolated bilinearly
            (published: 1).
        bfloat16: run the network's convolutions and matrix products in bfloat16; parameters stay float32. ``auto``: if
            the processor or GPU has instructions for it (``bags.ops.precision``); without them it is slower.
    """

    kernels: tuple[int, ...] = setting((5, 9, 17), odd(), at_most(4096))
    strides: tuple[int, ...] | None = None
    freeze_strided: bool = False
    fit_to_width: int | None = setting(None, at_least(1))
    single_kernel: int | None = setting(None, odd())
    second_network: bool | None = None
    use_position: bool = True
    use_rgbd: bool = True
    use_mask: bool = True
    embedding: int = setting(32, at_least(1), at_most(4096))
    position_channels: int = setting(
        16,
        such_that(
            lambda channels: channels > 0 and channels % 4 == 0,
            "must be a positive multiple of 4 (sine and cosine for rows and columns)",
        ),
        at_most(4096),
    )
    rgbd_channels: int = setting(32, at_least(1), at_most(4096))
    hidden: int = setting(64, at_least(1), at_most(4096))
    mask_bias: float = 0.0
    carry_over: bool = False
    margin: bool = False
    rgbd_spacing: int = 1
    kernel_spacing: int = setting(1, one_of(1, 2, 4, 8, 16))
    bfloat16: bool | str = setting(False, one_of(True, False, "auto"))

    def _check(self) -> None:
        self.need(len(self.kernels) >= 1, "kernels", "give one kernel side per scale")
        if self.strides is not None:
            fits = len(self.strides) == len(self.kernels) and min(self.strides) >= 1
            kernels = f"model.bpn.kernels = {tuple(self.kernels)}"
            self.need(fits, "strides", f"needs one number, at least 1, per kernel ({kernels}), or null")
        self.need(
            1 <= self.rgbd_spacing <= 64 and self.rgbd_spacing % self.kernel_spacing == 0,
            "rgbd_spacing",
            f"must be a multiple of model.bpn.kernel_spacing ({self.kernel_spacing}), at most 64",
        )


@dataclass(frozen=True)
class GaussianSettings(Section, key="model.gaussians"):
    """Mip-Splatting's Gaussians (sections 1 and 2).

    Attributes:
        sh_degree: largest degree of the spherical harmonics, 0 to 3.
        start_opacity: initial opacity of every Gaussian.
        filter_variance: variance of the 3D smoothing filter in units of the finest pixel's size (published: 0.2).
        absorb_filter: when the training resolution grows, and the filter shrinks with it, enlarge the Gaussians by as
            much, so that they are drawn as before instead of thinning at once (beyond the published method;
            docs/full_resolution.md).
        kernel_size: variance of the 2D Mip filter in pixels squared (published: 0.1).
        max_count: upper limit for the number of Gaussians. If there are more initial points, this many are drawn from
            them, and densification takes the largest gradients first; null: as many as fit into memory.
        random_points: number of initial points if a scene has none.
        background_points: additional initial points on a sphere behind those of the scene (published: none); they fill
            at most half of the room up to ``max_count``.
        neighbours: what finds the nearest points for the initial scales: ``scipy`` (CPU), ``simple_knn`` (Inria's CUDA
            extension, built by hand), or ``auto``: simple_knn on CUDA if it is installed.
    """

    sh_degree: int = setting(3, one_of(0, 1, 2, 3))
    start_opacity: float = setting(0.1, such_that(lambda opacity: 0 < opacity < 1, "must lie between 0 and 1"))
    filter_variance: float = setting(0.2, at_least(0))
    absorb_filter: bool = False
    kernel_size: float = setting(0.1, at_least(0))
    max_count: int | None = setting(1_000_000, at_least(1))
    random_points: int = setting(100_000, at_least(1), at_most(100_000_000))
    background_points: int = setting(0, at_least(0), at_most(100_000_000))
    neighbours: str = setting("auto", one_of("auto", "scipy", "simple_knn"))


@dataclass(frozen=True)
class TrajectorySettings(Section, key="model.trajectory"):
    """The camera's path during the exposure (``bags.modules.trajectory``; not part of the published method).

    Attributes:
        instants: largest number of instants of the exposure (odd) that are averaged.
        pixels: length of path per instant, in pixels: short paths take fewer instants, but at least three.
        order: of the polynomial in time: 1 is a line at constant speed, 2 has a bend, and so on.
        start: standard deviation of the random initial coefficients, in pixels (translations: times extents).
        pose: which pose of the path the photos' known poses are: the ``mean``, as they are found from the photos
            themselves; the one at the ``end`` of the exposure, as a tracker may report it (then the one at its
            beginning too, because a path and its reverse blur alike); or ``learned`` for each photo, from its mean.
    """

    instants: int = setting(33, odd("the number of instants"), at_least(3), at_most(99))
    pixels: float = setting(1.0, positive())
    order: int = setting(2, at_least(1), at_most(9))
    start: float = setting(0.2, at_least(0))
    pose: str = setting("learned", one_of("mean", "end", "learned"))


@dataclass(frozen=True)
class LensSettings(Section, key="model.lens"):
    """How far a photo is out of focus (``bags.modules.lens``; not part of the published method).

    Attributes:
        start: standard deviation of the random numbers to start from, in pixels.
    """

    start: float = setting(0.1, at_least(0))


@dataclass(frozen=True)
class ModelSettings(Section, key="model"):
    """What is trained: the Gaussians, and a blur model if ``blur`` is set.

    Attributes:
        name: for tables and logs.
        blur: model the blur (``model=bags``) or not (``model=mip_splatting``).
        blur_model: ``kernels``, which a network proposes for every pixel (``bpn``); the camera's ``trajectory``; its
            ``lens``; both of them (``hybrid``); ``auto``, which is ``hybrid``, but in a scene whose photos are nearly
            all sharp only for the blurred ones (``bags.modules.auto_blur``); or a model of your own
            (``register_blur_model``, examples/02_own_blur_model.py).
        linear_light: kernels mix linear light, as an exposure does, instead of the photos' sRGB values (beyond the
            published method; docs/defaults.md).
        exposure: correct for photos of different exposure (beyond the published method; docs/quality.md): ``off``;
            ``gain``, one factor on the light of each photo; ``affine``, an affine map of each photo's colours, for
            changing white balance too. It applies to what is compared with the photos. Test views, films and exports
            have the photos' mean exposure.
        refine_poses: learn small corrections of the training photos' poses (``bags.modules.poses``; not part of the
            published method).
        sharp_weight: how far sharper photos, and sharper parts of them, count more, once they are trained on at full
            resolution: a pixel whose light path and lens spread by a variance of v pixels squared counts (1 + v) to the
            power of minus this, relative to the mean (not part of the published method; without effect on kernels).
        ray_jitter: shift the pixel grid by a random sub-pixel offset (uniform in +-0.5 px) at every training step.
    """

    name: str = "bags"
    blur: bool = True
    blur_model: str = setting("kernels", registered(BLUR_MODELS, "register_blur_model"))
    linear_light: bool = False
    refine_poses: bool = False
    sharp_weight: float = setting(0.0, at_least(0))
    exposure: str = setting("off", one_of("off", "gain", "affine"))
    ray_jitter: bool = False
    gaussians: GaussianSettings = field(default_factory=GaussianSettings)
    bpn: BPNSettings = field(default_factory=BPNSettings)
    trajectory: TrajectorySettings = field(default_factory=TrajectorySettings)
    lens: LensSettings = field(default_factory=LensSettings)
