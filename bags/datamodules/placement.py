"""Where training photos are kept, and how they reach the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bags.datamodules.pyramid import ImagePyramid, as_float
from bags.types import ViewBatch

PART = 0.25  # of the free memory of a GPU that photos may take with images_on=auto: the rest is for what grows

Feed = Callable[[Iterator[ViewBatch]], Iterator[ViewBatch]]  # batches in 8-bit pixels -> batches ready to be used


def ready(batch: ViewBatch) -> ViewBatch:
    """``batch`` with its 8-bit pixels turned into floats in [0, 1], and its mask into ``counts``, where they are."""
    counts = batch.image[3] > 0 if len(batch.image) > 3 else None
    return replace(batch, image=as_float(batch.image[:3]), counts=counts)


def where_they_are(batches: Iterator[ViewBatch]) -> Iterator[ViewBatch]:
    """The feed that copies nothing."""
    return map(ready, batches)


def place(pyramid: ImagePyramid, images_on: str, device: torch.device) -> tuple[ImagePyramid, Feed]:
    """Put the photos where they are to be kept.

    Args:
        pyramid: in memory.
        images_on: ``host``, ``device``, or ``auto``: on the device if they take at most ``PART`` of its free memory.
        device: where they are used; on the CPU they stay as they are.

    Returns:
        The pyramid as it is kept, its cameras on ``device``, and the feed that goes with it.
    """
    if device.type != "cuda":
        return pyramid, where_they_are
    if images_on == "auto":
        free, _ = torch.cuda.mem_get_info(device)
        images_on = "device" if pyramid.size <= PART * free else "host"
    if images_on == "device":
        return pyramid.moved(lambda pixels: pixels.to(device), device), where_they_are
    return pyramid.moved(Tensor.pin_memory, device), ahead(CopyStream(device))


class CopyStream:
    """Copies pixels to a GPU on a stream of their own, so that they travel while the GPU works on something else."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def start(self, batch: ViewBatch) -> ViewBatch:
        """Begin to copy. Only pinned memory in one piece is copied without waiting; a window is not in one piece."""
        pixels = batch.image if batch.image.is_contiguous() else batch.image.contiguous().pin_memory()
        with torch.cuda.stream(self.stream):
            return replace(batch, image=pixels.to(self.device, non_blocking=True))

    def finish(self, batch: ViewBatch) -> ViewBatch:
        """Let the work that follows on the GPU wait for what was begun last; the host does not wait."""
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.stream)
        batch.image.record_stream(current)
        return ready(batch)


def ahead(copies: CopyStream) -> Feed:
    """A feed that begins to copy a view before it hands out the one before it."""

    def feed(batches: Iterator[ViewBatch]) -> Iterator[ViewBatch]:
        begun = None
        for batch in batches:
            # First the end, then the beginning: else the end would wait for the copy that has just begun, too.
            done = None if begun is None else copies.finish(begun)
            begun = copies.start(batch)
            if done is not None:
                yield done
        if begun is not None:
            yield copies.finish(begun)

    return feed
