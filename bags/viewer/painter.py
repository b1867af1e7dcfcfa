"""The pictures of the viewer: the scene from anywhere, and how the model explains a training view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bags.evaluation.pictures import effective_kernels
from bags.io.images import depth_picture
from bags.modules.bags_module import BagsModule, Explanation
from bags.schedule import Phase
from bags.types import Camera, RenderOutput, Splats, ViewBatch

FROM_ANYWHERE = ("sharp", "depth", "points", "ellipsoids")
OF_A_PHOTO = ("photo", "predicted blur", "mask")  # the last two only of a training view

POINT = 0.7  # pixels: standard deviation of a Gaussian drawn as a point
HALF_AT_SIGMA = 0.849  # 1 / sqrt(2 ln 2): an opaque Gaussian scaled by it is half transparent at its old sigma
OPAQUE = 0.99
KERNEL_SIDE = 255  # approximate side of a kernel's picture in pixels


@dataclass(frozen=True, eq=False)
class Stop:
    """A photo and its viewpoint, to jump to.

    Attributes:
        name: file name of the photo.
        split: ``train`` or ``test``.
        camera: at full training resolution.
        load: returns the view at a scale of the schedule; test views have only one scale and always return that.
    """

    name: str
    split: Literal["train", "test"]
    camera: Camera
    load: Callable[[int], ViewBatch]

    @property
    def label(self) -> str:
        """Its name in the list of views."""
        return f"{self.split} {self.name}"


@dataclass(frozen=True)
class KernelPicture:
    """The blur kernel of one pixel.

    Attributes:
        picture: (3, h, w) in [0, 1], scaled to its maximum.
        side: of the window that the kernel can cover, in pixels of the view.
        spread: root mean square spread of the effective kernel ``m w + (1 - m) delta``, in pixels of the view.
        mask: how much of the pixel is blurred, in [0, 1]; None if the model has no mask.
    """

    picture: Tensor
    side: int
    spread: float
    mask: float | None


class Painter:
    """Draws layers with the model's Gaussians, rasteriser and blur model, without changing them.

    Args:
        module: trained, or being trained.
        step: its current step; must be updated during training.
    """

    def __init__(self, module: BagsModule, step: int) -> None:
        self.module = module
        self.step = step
        self._explained: tuple[Stop, int, Explanation] | None = None

    @property
    def phase(self) -> Phase:
        """Phase of the current step."""
        return self.module.schedule.at(self.step)

    @torch.no_grad()
    def from_anywhere(self, layer: str, camera: Camera) -> Tensor:
        """(3, H, W) in [0, 1]: one of ``FROM_ANYWHERE`` as ``camera`` sees it."""
        camera = camera.to(self.module.background.device)
        if layer in ("points", "ellipsoids"):
            return self._draw(_shapes(self.module.gaussians.splats(), layer, camera), camera).rgb.clamp(0, 1)
        render = self.module.render(camera)
        return depth_picture(render.depth, render.alpha) if layer == "depth" else render.rgb.clamp(0, 1)

    def _draw(self, splats: Splats, camera: Camera) -> RenderOutput:
        module = self.module
        return module.rasterizer(
            splats,
            camera,
            sh_degree=module.gaussians.sh_degree,
            background=module.background,
            kernel_size=module.model.gaussians.kernel_size,
        )

    def of_photo(self, layer: str, stop: Stop) -> Tensor | None:
        """(3, h, w) in [0, 1]: one of ``OF_A_PHOTO``; None if there is none (no blur yet, or no mask)."""
        if layer == "photo":
            return stop.load(self.phase.scale).image
        explanation = self.explain(stop)
        if explanation is None or explanation.proposal is None:
            return None
        if layer == "predicted blur":
            return explanation.prediction.clamp(0, 1)
        return explanation.proposal.mask.expand(3, -1, -1) if explanation.proposal.has_mask else None

    def explain(self, stop: Stop) -> Explanation | None:
        """How the model explains a training view at its current training resolution; None for a test view."""
        if stop.split != "train":
            return None
        if self._explained is None or self._explained[0] is not stop or self._explained[1] != self.step:
            self.forget()  # before the next one is computed, because explanations are large
            batch = stop.load(self.phase.scale).to(self.module.background.device)
            self._explained = stop, self.step, self.module.explain_whole(batch, self.phase)
        return self._explained[2]

    def forget(self) -> None:
        """Release the memory of the last explanation."""
        self._explained = None

    @torch.no_grad()
    def kernel(self, stop: Stop, across: float, down: float) -> KernelPicture | None:
        """The kernel at a place of the photo, given as fractions of its width and height; None if there is none."""
        explanation = self.explain(stop)
        if explanation is None or explanation.proposal is None or not (0 <= across < 1 and 0 <= down < 1):
            return None
        proposal = explanation.proposal
        height, width = proposal.mask.shape
        row, column = (torch.tensor([int(part * side)]) for part, side in ((down, height), (across, width)))
        kernel = effective_kernels(proposal, row, column)
        _, covariance = proposal.moments()
        xx, _, yy = covariance[:, row, column]
        enlarged = interpolate(kernel[:, None].float(), scale_factor=max(1, KERNEL_SIDE // proposal.kernel_size))[0]
        return KernelPicture(
            picture=(enlarged / enlarged.max().clamp_min(1e-12)).expand(3, -1, -1),
            side=2 * proposal.reach + 1,
            spread=float((xx + yy).clamp_min(0).sqrt()),
            mask=float(proposal.mask[row, column]) if proposal.has_mask else None,
        )


def _shapes(splats: Splats, layer: str, camera: Camera) -> Splats:
    """The Gaussians made opaque, each as a dot or as the ellipsoid of one standard deviation."""
    opacities = torch.full_like(splats.opacities, OPAQUE)
    if layer == "ellipsoids":
        return replace(splats, opacities=opacities, scales=splats.scales * HALF_AT_SIGMA)
    distances = (splats.means - camera.center).norm(dim=1, keepdim=True)
    return replace(splats, opacities=opacities, scales=(distances * (POINT / camera.fx)).expand(-1, 3))


def orbit_distance(means: Tensor, eye_position: Sequence[float], forward: Sequence[float], extent: float) -> float:
    """Distance from the eye to the middle of the scene, to orbit around; ``extent`` if the middle is behind."""
    middle = means.detach().median(dim=0).values.cpu().double()
    ahead = float(
        (middle - torch.tensor(eye_position, dtype=torch.float64)) @ torch.tensor(forward, dtype=torch.float64)
    )
    return ahead if ahead > 0.01 * extent else extent
