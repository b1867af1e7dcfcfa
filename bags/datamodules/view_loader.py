"""Loaders of views, and the order in which training uses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from bags.datamodules.placement import Feed, ready, where_they_are
from bags.datamodules.pyramid import ImagePyramid
from bags.errors import DataError
from bags.ops.windows import Window, draw_window
from bags.schedule import ScaleSchedule
from bags.types import ViewBatch


def view_at(pyramid: ImagePyramid, index: int, scale: int) -> ViewBatch:
    """View ``index`` at scale ``scale``."""
    return ready(_in_pixels(pyramid, index, scale))


def _in_pixels(pyramid: ImagePyramid, index: int, scale: int, window: Window | None = None) -> ViewBatch:
    """The view, or a window of it, with its image as 8-bit pixels."""
    camera = pyramid.camera(index, scale)
    return ViewBatch(
        camera=camera if window is None else camera.cropped(*window),
        image=pyramid.pixels(index, scale, window),
        index=index,
        name=pyramid.views[index].name,
    )


def draws(views: int, count: int, seed: int, shuffle: bool) -> list[int]:
    """``count`` indices below ``views``; a longer list of the same seed begins with them.

    Args:
        views: number of training views.
        count: of draws.
        seed: of the order.
        shuffle: one random permutation of all views after another; else each draw is uniform, with replacement.
    """
    generator = torch.Generator().manual_seed(seed)
    if not shuffle:
        return torch.randint(views, (count,), generator=generator).tolist()
    rounds = -(-count // views)
    return torch.cat([torch.randperm(views, generator=generator) for _ in range(rounds)])[:count].tolist()


class ViewLoader:
    """The views of every optimiser step, in random order, at the schedule's resolution of that step.

    The view is a function of seed, step and slot within the step, independent of the process that takes the slot. The
    loader is sized and stateful: a Lightning training loader resumes at exactly the step after which the checkpoint was
    written (Lightning does not prefetch from sized loaders). A second iteration starts from the first step again.

    Args:
        pyramid: training views at all scales of ``schedule``.
        schedule: has the number of steps and the scale of each.
        seed: of the draws.
        window: side in pixels of the part of the view that is used (``draw_window``); None: the whole view.
        views: per step, over all processes.
        slots: which of a step's views this process takes; None: all of them.
        feed: moves the views' pixels to where they are used.
    """

    def __init__(
        self,
        pyramid: ImagePyramid,
        schedule: ScaleSchedule,
        seed: int,
        window: int | None = None,
        views: int = 1,
        slots: range | None = None,
        feed: Feed = where_they_are,
    ) -> None:
        self.pyramid = pyramid
        self.schedule = schedule
        self.seed = seed
        self.window = window
        self.views = views
        self.slots = range(views) if slots is None else slots
        self.feed = feed
        self.order = draws(len(pyramid), schedule.longest * views, seed, schedule.settings.shuffle)
        self._done = 0
        self._resume_at = 0

    def __len__(self) -> int:
        """Views of the whole run in this process; with a time budget, an upper limit, as it decides during the run."""
        return self.schedule.longest * len(self.slots)

    def __iter__(self) -> Iterator[ViewBatch]:
        """Batches of steps 1 to N, or those after a loaded position."""
        self._done, self._resume_at = self._resume_at, 0
        for batch in self.feed(self._batch(number) for number in range(self._done, len(self))):
            if batch.step > self.schedule.total:
                return
            self._done += 1  # counts yielded batches, because the feed may be ahead
            yield batch

    def of_step(self, step: int) -> list[ViewBatch]:
        """The views that this process takes of ``step``."""
        begin, count = (step - 1) * len(self.slots), len(self.slots)
        return [ready(self._batch(number)) for number in range(begin, begin + count)]

    def _batch(self, number: int) -> ViewBatch:
        before, place = divmod(number, len(self.slots))
        step, slot = before + 1, self.slots[place]
        index, scale, window = self.order[before * self.views + slot], self.schedule.at(step).scale, None
        if self.window is not None:
            camera = self.pyramid.camera(index, scale)
            window = draw_window(camera.width, camera.height, self.window, self.seed, step, slot)
        return replace(_in_pixels(self.pyramid, index, scale, window), step=step, slot=slot)

    def state_dict(self) -> dict[str, int]:
        """Position: views yielded so far, and how many of each step this process takes."""
        return {"done": self._done, "share": len(self.slots)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration continue after ``state``.

        Raises:
            DataError: the state is of a run with another number of views per step and process.
        """
        if state["share"] != len(self.slots):
            raise DataError(
                f"the checkpoint's run used {state['share']} view(s) per step and process, this one {len(self.slots)}:"
                " resume with the same trainer.views_per_step and trainer.devices"
            )
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
