"""Which view is seen at which step, and the loaders that hand views out."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bags.datamodules.pyramid import ImagePyramid
from bags.ops.windows import Window, draw_window
from bags.schedule import ScaleSchedule
from bags.types import ViewBatch


def view_at(pyramid: ImagePyramid, index: int, scale: int, step: int = 0, window: Window | None = None) -> ViewBatch:
    """View number ``index`` at scale number ``scale``, for ``step``: the whole, or a ``window`` of it."""
    camera = pyramid.camera(index, scale)
    return ViewBatch(
        camera=camera if window is None else camera.cropped(*window),
        image=pyramid.image(index, scale, window),
        index=index,
        name=pyramid.views[index].name,
        step=step,
    )


class ViewLoader:
    """One view per optimiser step: drawn uniformly with replacement, at the schedule's resolution of that step.

    The view is a function of seed and step alone. The loader is sized and stateful: as a Lightning training loader it
    goes on in the middle of a run at the very step the checkpoint was written (Lightning does not read ahead in sized
    loaders). Iterating it anew starts from the first step again.

    Args:
        pyramid: training views at all scales of ``schedule``.
        schedule: gives the number of steps and the scale of each.
        seed: of the draws.
        window: side in pixels of the part of the view that each step sees (``draw_window``); None: the whole view.
    """

    def __init__(self, pyramid: ImagePyramid, schedule: ScaleSchedule, seed: int, window: int | None = None) -> None:
        self.pyramid = pyramid
        self.schedule = schedule
        self.seed = seed
        self.window = window
        generator = torch.Generator().manual_seed(seed)
        self.order: list[int] = torch.randint(len(pyramid), (schedule.total,), generator=generator).tolist()
        self._done = 0
        self._resume_at = 0

    def __len__(self) -> int:
        """Steps of the whole run."""
        return self.schedule.total

    def __iter__(self) -> Iterator[ViewBatch]:
        """Batches of steps 1 to N, or those after the position that was loaded."""
        self._done, self._resume_at = self._resume_at, 0
        while self._done < len(self):
            self._done += 1
            step = self._done
            yield self._batch(self.order[step - 1], self.schedule.at(step).scale, step)

    def _batch(self, index: int, scale: int, step: int) -> ViewBatch:
        window = None
        if self.window is not None:
            camera = self.pyramid.camera(index, scale)
            window = draw_window(camera.width, camera.height, self.window, self.seed, step)
        return view_at(self.pyramid, index, scale, step, window)

    def state_dict(self) -> dict[str, int]:
        """Position: steps handed out so far."""
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on after ``state``."""
        self._done = self._resume_at = int(state["done"])


class AllViews:
    """Every view of a pyramid once, in order, at one scale; batches carry step 0.

    Args:
        pyramid: the views.
        scale: which of the pyramid's scales.
    """

    def __init__(self, pyramid: ImagePyramid, scale: int) -> None:
        self.pyramid = pyramid
        self.scale = scale

    def __len__(self) -> int:
        """Number of views."""
        return len(self.pyramid)

    def __iter__(self) -> Iterator[ViewBatch]:
        """The views."""
        return (view_at(self.pyramid, index, self.scale) for index in range(len(self)))
