"""The learned Gaussians (docs/method.md section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bags.ops.filter3d import filter_sigma, opacity_coefficient
from bags.ops.knn import mean_square_distance
from bags.ops.sh import dc_to_rgb, rgb_to_dc
from bags.settings import GaussianSettings
from bags.types import Camera, PointCloud, Splats


def random_points(count: int, seed: int) -> PointCloud:
    """Start without SfM points: uniform in [-1.3, 1.3]^3 with near-grey colour (docs/method.md section 1)."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.rand(count, 3, generator=generator) * 2.6 - 1.3
    return PointCloud(xyz, dc_to_rgb(torch.rand(count, 3, generator=generator) / 255))


class Gaussians(nn.Module):
    """Parameters of N Gaussians and statistics of each of them.

    Every tensor whose first dimension is N is *per Gaussian*: ``bags.densification.surgery`` edits them together. They
    are created on the device of the points. Checkpoints of any N load into any instance.

    Attributes:
        means: (N, 3) world positions.
        log_scales: (N, 3).
        rotations: (N, 4) quaternions wxyz, normalised on use.
        opacity_logits: (N,).
        sh_dc: (N, 1, 3); sh_rest: (N, S, 3) with S = (sh_degree + 1)^2 - 1.
        filter_sigma: (N,) standard deviation of the 3D filter last computed.
        gradient_sum, gradient_count: (N,) screen-space gradient statistics since the last densification.
        max_radius: (N,) largest screen radius in pixels since then.
        extent: scene extent.
        sh_degree: active degree. Both are plain numbers: reading a tensor from the device would wait for it.
    """

    PARAMETERS = ("means", "log_scales", "rotations", "opacity_logits", "sh_dc", "sh_rest")
    STATISTICS = ("gradient_sum", "gradient_count", "max_radius")
    BUFFERS = ("filter_sigma", *STATISTICS)

    means: nn.Parameter
    log_scales: nn.Parameter
    rotations: nn.Parameter
    opacity_logits: nn.Parameter
    sh_dc: nn.Parameter
    sh_rest: nn.Parameter
    filter_sigma: Tensor
    gradient_sum: Tensor
    gradient_count: Tensor
    max_radius: Tensor

    def __init__(self, points: PointCloud, settings: GaussianSettings, extent: float) -> None:
        super().__init__()
        self.settings = settings
        count, device = len(points.xyz), points.xyz.device
        scale = mean_square_distance(points.xyz, method=settings.neighbours).clamp_min(1e-7).sqrt().log()
        rest = (settings.sh_degree + 1) ** 2 - 1
        opacity = torch.full((count,), settings.start_opacity, device=device).logit()
        self.means = nn.Parameter(points.xyz.clone())
        self.log_scales = nn.Parameter(scale[:, None].repeat(1, 3))
        self.rotations = nn.Parameter(torch.eye(1, 4, device=device).repeat(count, 1))
        self.opacity_logits = nn.Parameter(opacity)
        self.sh_dc = nn.Parameter(rgb_to_dc(points.rgb)[:, None, :].clone())
        self.sh_rest = nn.Parameter(torch.zeros(count, rest, 3, device=device))
        for name in self.BUFFERS:
            self.register_buffer(name, torch.zeros(count, device=device))
        self.extent = extent
        self.sh_degree = 0

    def __len__(self) -> int:
        return len(self.means)

    @property
    def scales(self) -> Tensor:
        """(N, 3) unfiltered standard deviations."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """(N,) unfiltered opacities."""
        return self.opacity_logits.sigmoid()

    def splats(self) -> Splats:
        """The Gaussians as they are drawn: activated, with the 3D filter applied (docs/method.md section 1)."""
        scales = self.scales
        sigma = self.filter_sigma
        return Splats(
            means=self.means,
            scales=(scales.square() + sigma[:, None].square()).sqrt(),
            rotations=self.rotations,
            opacities=self.opacities * opacity_coefficient(scales, sigma),
            sh_dc=self.sh_dc,
            sh_rest=self.sh_rest,
        )

    @torch.no_grad()
    def update_filter(self, cameras: Sequence[Camera]) -> None:
        """Recompute the 3D filter for ``cameras`` (all training cameras at the current training resolution)."""
        self.filter_sigma = filter_sigma(self.means.detach(), cameras, self.settings.filter_variance)

    @torch.no_grad()
    def absorb_filter(self, cameras: Sequence[Camera]) -> None:
        """As ``update_filter``, but where the filter becomes narrower the Gaussians widen, so they look the same.

        ``s'^2 = s^2 + sigma^2 - sigma'^2`` keeps the filtered scales. The opacity coefficients then have the same
        denominators, so ``o' = o sqrt(prod s^2 / prod s'^2)`` keeps the filtered opacity. Where the filter becomes
        wider, the Gaussians are not changed.
        """
        before, square = self.filter_sigma, self.scales.square()
        self.update_filter(cameras)
        gained = (before.square() - self.filter_sigma.square()).clamp_min(0)
        wider = square + gained[:, None]
        opacities = self.opacities * (square / wider).prod(dim=1).sqrt()
        grows = gained > 0
        self.log_scales.copy_(torch.where(grows[:, None], wider.log() / 2, self.log_scales))
        logits = opacities.clamp(1e-6, 1 - 1e-6).logit()  # finite even if rounding gives 0 or 1
        self.opacity_logits.copy_(torch.where(grows, logits, self.opacity_logits))

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        """Keep only ``rows`` (N,) bool of a finished run; during training use ``densification.surgery``."""
        for name in self.PARAMETERS:
            setattr(self, name, nn.Parameter(getattr(self, name).data[rows]))
        for name in self.BUFFERS:
            setattr(self, name, getattr(self, name)[rows])

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint holds besides the tensors."""
        return {"extent": self.extent, "sh_degree": self.sh_degree}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore extent and degree from a checkpoint.

        Raises:
            ValueError: the extent is not a positive finite float32, or the degree exceeds the settings'.
        """
        extent, degree = float(state["extent"]), int(state["sh_degree"])
        if not 0 < extent < torch.finfo(torch.float32).max or not 0 <= degree <= self.settings.sh_degree:
            raise ValueError(f"extent {extent}, harmonics of degree {degree}")
        self.extent, self.sh_degree = extent, degree

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Resize to the checkpoint's number of Gaussians first; used by fit, test and plain ``load_state_dict``.

        Other dimensions are not changed, so that torch rejects a checkpoint in which they differ.
        """
        means = state_dict.get(prefix + "means")
        count = len(means) if isinstance(means, Tensor) and means.dim() == 2 and len(means) else len(self)
        for name in (*self.PARAMETERS, *self.BUFFERS):
            own = getattr(self, name)
            if len(own) != count:
                resized = own.data.new_empty(count, *own.shape[1:])
                setattr(self, name, nn.Parameter(resized) if name in self.PARAMETERS else resized)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
