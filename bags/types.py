"""The data types of the package: cameras, views, points, splats, renders.

Conventions, used everywhere:

* World to camera: ``x_cam = rotation @ x_world + translation``; axes x right, y down, z forward (OpenCV, COLMAP).
* Quaternions are ``(w, x, y, z)``.
* Pixel centres are at integers; the principal point is the image centre, so a point at camera
  coordinates ``(x, y, z)`` is at pixel ``(fx * x / z + (width - 1) / 2, fy * y / z + (height - 1) / 2)``.
* Images are ``(3, height, width)``, float in [0, 1] (or uint8 in [0, 255] where a docstring says so), RGB.
* Depth is the Euclidean *distance* from the camera centre, in scene units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at one resolution.

    Attributes:
        rotation: (3, 3) world-to-camera rotation.
        translation: (3,) world-to-camera translation, scene units.
        fx, fy: focal lengths in pixels of this resolution.
        width, height: image size in pixels.
        offset: shift of the principal point from the image centre, in pixels (x, y); sub-pixel jitter uses it.
        corner: column and row of the whole photo at which the image begins; negative if it extends beyond the photo.
        photo: width and height of the whole photo if the camera sees only a part of it; None: it sees the whole.
    """

    rotation: Tensor
    translation: Tensor
    fx: float
    fy: float
    width: int
    height: int
    offset: tuple[float, float] = (0.0, 0.0)
    corner: tuple[int, int] = (0, 0)
    photo: tuple[int, int] | None = None

    @property
    def photo_size(self) -> tuple[int, int]:
        """Width and height in pixels of the whole photo, for properties of the lens rather than of the part."""
        return self.photo or (self.width, self.height)

    @property
    def half_field(self) -> tuple[float, float]:
        """Tangents of half the whole photo's field of view, horizontal and vertical."""
        return self.photo_size[0] / (2 * self.fx), self.photo_size[1] / (2 * self.fy)

    @property
    def center(self) -> Tensor:
        """(3,) camera centre in world coordinates."""
        return -self.rotation.T @ self.translation

    @property
    def cx(self) -> float:
        """Pixel column of the principal point."""
        return (self.width - 1) / 2 + self.offset[0]

    @property
    def cy(self) -> float:
        """Pixel row of the principal point."""
        return (self.height - 1) / 2 + self.offset[1]

    def resized(self, width: int, height: int) -> Camera:
        """The same camera for an image of ``width`` x ``height`` pixels (same field of view).

        Raises:
            ValueError: the camera sees a part of a photo; resize first.
        """
        if self.photo is not None:
            raise ValueError("a camera of a part of a photo cannot be resized: resize the whole one, then crop")
        return replace(
            self,
            fx=self.fx * width / self.width,
            fy=self.fy * height / self.height,
            width=width,
            height=height,
            offset=(self.offset[0] * width / self.width, self.offset[1] * height / self.height),
        )

    def padded(self, margin: int) -> Camera:
        """The same camera seeing ``margin`` more pixels on every side."""
        return self.cropped(-margin, -margin, self.width + 2 * margin, self.height + 2 * margin) if margin else self

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The same camera seeing only ``width`` x ``height`` pixels from column ``left`` and row ``top`` on.

        Its render equals those pixels of the whole camera's render. This is exact if ``left`` and ``top`` are multiples
        of the rasterisers' tile (16); otherwise the outermost tails of Gaussians differ.
        """
        return replace(
            self,
            width=width,
            height=height,
            offset=(self.cx - left - (width - 1) / 2, self.cy - top - (height - 1) / 2),
            corner=(self.corner[0] + left, self.corner[1] + top),
            photo=self.photo_size,
        )

    def reduced(self, factor: int) -> Camera:
        """The whole photo in pixels ``factor`` times as wide and high.

        Its pixel (i, j) covers the rows from ``factor * i`` and the columns from ``factor * j``, up to those of the
        next pixel. If the photo's size is not a multiple of ``factor``, the last pixels extend beyond it.
        """
        width, height = (-(-size // factor) for size in self.photo_size)
        x, y = ((c + begin + 0.5) / factor - 0.5 for c, begin in zip((self.cx, self.cy), self.corner, strict=True))
        return replace(
            self,
            fx=self.fx / factor,
            fy=self.fy / factor,
            width=width,
            height=height,
            offset=(x - (width - 1) / 2, y - (height - 1) / 2),
            corner=(0, 0),
            photo=None,
        )

    def shifted(self, x: float, y: float) -> Camera:
        """The same camera with its principal point moved by ``x``, ``y`` pixels."""
        return replace(self, offset=(self.offset[0] + x, self.offset[1] + y))

    def moved(self, turn: Tensor, shift: Tensor) -> Camera:
        """The camera in whose axes a point is at ``turn x + shift`` that is at x in those of this one.

        Args:
            turn: (3, 3) rotation.
            shift: (3,) in scene units.
        """
        return replace(self, rotation=turn @ self.rotation, translation=turn @ self.translation + shift)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Camera:
        """The camera with its tensors on ``device`` (and of ``dtype``, if given)."""
        return replace(
            self,
            rotation=self.rotation.to(device=device, dtype=dtype),
            translation=self.translation.to(device=device, dtype=dtype),
        )


@dataclass(frozen=True)
class BlurTruth:
    """Ground truth of a photo's blur; known for generated photos only.

    Attributes:
        kind: ``sharp``, ``motion``, ``defocus`` or ``low_resolution``.
        amount: root mean square spread of the point spread function over the photo, in pixels of the photo.
        length: mean length of the streak in pixels, for motion; else 0.
        direction: mean direction of the streak in degrees, [0, 180), 0 = along +x, 90 = along +y, for motion; else 0.
    """

    kind: Literal["sharp", "motion", "defocus", "low_resolution"]
    amount: float
    length: float = 0.0
    direction: float = 0.0


@dataclass(frozen=True)
class View:
    """One photo of a scene, not loaded yet.

    Attributes:
        name: file name without its folder; unique within the scene.
        camera: at the photo's own resolution.
        load: reads the photo (8-bit RGB or RGBA), at the size of the camera or already reduced to the training
            resolution; raises an error that names the file if it cannot be read.
        blur: the true blur, if known.
        gain: factor on the light of this photo relative to the test photos, if known.
        mask: reads which pixels are used, a grey image of 0 and 255 of the photo's size (after undistortion, if any);
            None: all. Raises the same errors as ``load``.
        sharp: makes the same photo without its blur, of any size; None if unknown.
    """

    name: str
    camera: Camera
    load: Callable[[], Image]
    blur: BlurTruth | None = None
    gain: float | None = None
    mask: Callable[[], Image] | None = None
    sharp: Callable[[], Image] | None = None


@dataclass(frozen=True)
class PointCloud:
    """Initial points: ``xyz`` (P, 3) in scene units, ``rgb`` (P, 3) in [0, 1]; float32."""

    xyz: Tensor
    rgb: Tensor


@dataclass(frozen=True)
class Scene:
    """A data set as read by a parser: training views, test views, initial points.

    Attributes:
        unit: whether it is known to lie within [-1.3, 1.3]^3.
        summary: one line that says which photos are used (``bags.io.tally``); empty for a scene without files.
    """

    name: str
    train: tuple[View, ...]
    test: tuple[View, ...]
    points: PointCloud
    unit: bool = False
    summary: str = ""


@dataclass(frozen=True)
class ViewBatch:
    """One training or test view at one resolution, as yielded by the loader.

    Attributes:
        camera: of the pixels of ``image``.
        image: (3, H, W) float32 photo in [0, 1], or a window of it (``dataset.window``).
        index: index of the view within its split.
        name: file name of the view.
        step: 1-based optimiser step this batch is for; 0 for test views.
        slot: number of this view among the views of the step, over all processes.
        counts: (H, W) bool, the pixels that are used; None: all.
    """

    camera: Camera
    image: Tensor
    index: int
    name: str
    step: int = 0
    slot: int = 0
    counts: Tensor | None = None

    def against(self, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """``prediction`` (3, H, W) and the photo, prepared for comparison.

        In masked pixels both are the detached prediction. So there is no difference and no gradient, neither of a pixel
        nor of a window around it, and masked content has no influence.
        """
        if self.counts is None:
            return prediction, self.image
        constant = prediction.detach()
        return torch.where(self.counts, prediction, constant), torch.where(self.counts, self.image, constant)

    def cropped(self, left: int, top: int, width: int, height: int) -> ViewBatch:
        """The given part of the view."""
        part = (..., slice(top, top + height), slice(left, left + width))
        counts = None if self.counts is None else self.counts[part]
        camera = self.camera.cropped(left, top, width, height)
        return replace(self, camera=camera, image=self.image[part], counts=counts)

    def to(self, device: torch.device | str, **kwargs: Any) -> ViewBatch:
        """The batch with its tensors on ``device``."""
        counts = None if self.counts is None else self.counts.to(device, **kwargs)
        return replace(self, camera=self.camera.to(device), image=self.image.to(device, **kwargs), counts=counts)


@dataclass(frozen=True)
class Splats:
    """Activated Gaussians, ready to be drawn (3D filter applied). N Gaussians, float tensors.

    Attributes:
        means: (N, 3) centres, world coordinates.
        scales: (N, 3) standard deviations along the Gaussian's axes, > 0.
        rotations: (N, 4) quaternions wxyz of any positive norm; renderers normalise them.
        opacities: (N,) in (0, 1).
        sh_dc: (N, 1, 3) spherical harmonics of degree 0.
        sh_rest: (N, 15, 3) spherical harmonics of degrees 1 to 3 (fewer for a lower maximal degree).
    """

    means: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    sh_dc: Tensor
    sh_rest: Tensor

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Splats:
        """All tensors moved to ``device`` and ``dtype``."""
        return Splats(**{f.name: getattr(self, f.name).to(device=device, dtype=dtype) for f in fields(self)})

    def detach(self) -> Splats:
        """The same Gaussians, without gradients."""
        return Splats(**{f.name: getattr(self, f.name).detach() for f in fields(self)})


@dataclass(frozen=True)
class RenderOutput:
    """What a rasteriser returns.

    Attributes:
        rgb: (3, H, W) colour, background included; not clamped.
        depth: (H, W) sum of alpha * transmittance * distance (not normalised by alpha).
        alpha: (H, W) accumulated opacity in [0, 1).
        means2d: (N, 2) projected centres in pixels. If the inputs need gradients, its gradient ``dL/d(pixel)`` is
            retained; densification multiplies it by (W / 2, H / 2) to get the published NDC units.
        radii: (N,) int32 screen radius in pixels, 0 for Gaussians that are not drawn.
        absolute: with ``rasterizer.absolute_gradients``, a function that returns, after the backward pass, the sums
            (N, 2) over all pixels of the *absolute* values of their contributions to the gradient of ``means2d``
            (Ye et al. 2024, AbsGS), and None before it.
    """

    rgb: Tensor
    depth: Tensor
    alpha: Tensor
    means2d: Tensor = field(repr=False)
    radii: Tensor = field(repr=False)
    absolute: Callable[[], Tensor | None] | None = field(default=None, repr=False)

    def without_margin(self, margin: int) -> tuple[Tensor, Tensor, Tensor]:
        """``rgb``, ``depth`` and ``alpha`` without ``margin`` pixels on every side: what ``Camera.padded`` added."""
        height, width = self.depth.shape
        inside = (..., slice(margin, height - margin), slice(margin, width - margin))
        return self.rgb[inside], self.depth[inside], self.alpha[inside]

    def screen_gradients(self) -> Tensor | None:
        """(N, 2) gradients for densification, per pixel: absolute ones if available; None before the backward pass."""
        return self.means2d.grad if self.absolute is None else self.absolute()
