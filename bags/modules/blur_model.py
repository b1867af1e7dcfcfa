"""The interface of blur models.

A blur model predicts a photo from the sharp scene. ``BagsModule`` calls it at every step in which blur is modelled;
evaluation, report and viewer use the ``Blur`` that it returns. To add one, write a class with the methods of
``BlurModel`` and decorate it with ``register_blur_model`` (examples/02_own_blur_model.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor

from bags.modules.blur_kind import Kind
from bags.ops.windows import Window
from bags.schedule import Phase
from bags.settings import ModelSettings, OptimSettings, model
from bags.settings.limits import register
from bags.types import Camera, RenderOutput, Splats, ViewBatch


class Draw(Protocol):
    """Draws the Gaussians sharp."""

    def __call__(self, camera: Camera) -> RenderOutput:
        """Render what ``camera`` sees; gradients reach its pose, too, where it carries any."""
        ...


class Blur(Protocol):
    """The blur of one view: a kernel for every pixel, in one form or another.

    Attributes:
        mask: (H, W) in [0, 1]: how much of the pixel is blurred; ones if there is no mask.
        has_mask: whether the model has a mask; without one, results do not mention it.
        kind: of blur, if the model knows it; None: the shape of the kernels decides (``bags.modules.blur_kind``).
        kernel_size: side K of the kernels that ``kernels_at`` returns.
        reach: distance in pixels up to which a pixel collects light from others.
    """

    @property
    def mask(self) -> Tensor:
        """How much of each pixel is blurred."""

    @property
    def has_mask(self) -> bool:
        """Whether the model has a mask."""

    @property
    def kind(self) -> Kind | None:
        """Kind of blur, if known."""

    @property
    def kernel_size(self) -> int:
        """Side of the kernels."""

    @property
    def reach(self) -> int:
        """How far a pixel's light comes from, in pixels."""

    def kernels_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(P, K, K) kernels at the pixels ``(rows[i], columns[i])``; entry [0, 0] weighs the top left neighbour."""
        ...

    def moments(self, every: int = 1) -> tuple[Tensor, Tensor]:
        """Mean (2, h, w) and covariance (3, h, w) of the effective kernels, of every ``every``-th row and column."""
        ...

    def room(self, height: int, width: int) -> Blur:
        """An uninitialised blur of the whole view, of which this one is a part; ``take`` fills it."""
        ...

    def take(self, part: Any, window: Window) -> None:
        """Copy ``part``, the blur of the pixels in ``window``, into this one in place."""
        ...


@dataclass(frozen=True)
class Exposure:
    """How a blur model explains a view.

    Attributes:
        sharp: (3, H, W) sharp render.
        depth, alpha: (H, W) of that render (``RenderOutput``).
        prediction: (3, H, W) what is compared with the photo.
        blur: what turns ``sharp`` into ``prediction``; None: the model does not describe it, and the report leaves out
            the photo's blur.
        renders: everything that was rendered for it; densification sums their gradients.
    """

    sharp: Tensor
    depth: Tensor
    alpha: Tensor
    prediction: Tensor
    blur: Blur | None
    renders: tuple[RenderOutput, ...]


class BlurModel(Protocol):
    """Predicts photos from the sharp scene."""

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Explain one training view.

        Args:
            view: the photo, or a window of it.
            camera: to draw it with: the view's own, possibly shifted by part of a pixel (``model.ray_jitter``).
            phase: of the step.
            draw: draws the Gaussians.
        """
        ...

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """Groups for Adam: ``name``, ``params``, ``lr``, and ``final`` if the rate changes to that during the run."""
        ...


MakeBlurModel = Callable[[int, ModelSettings, Callable[[], Splats]], BlurModel]
Made = TypeVar("Made", bound=MakeBlurModel)
REGISTERED: dict[str, MakeBlurModel] = {}


def register_blur_model(name: str) -> Callable[[Made], Made]:
    """Let ``model.blur_model=name`` stand for the decorated class (examples/02_own_blur_model.py).

    The class is instantiated once per run, with the number of training views, the section ``model`` and a function that
    returns the Gaussians as they are drawn. An ``nn.Module`` becomes a submodule of ``BagsModule``: its parameters are
    saved, loaded and moved to the device with it.
    """
    return register(name, model.BLUR_MODELS, REGISTERED)
