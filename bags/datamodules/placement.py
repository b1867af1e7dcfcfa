"""Where training photos are stored, and how they get to the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from bags.datamodules.pyramid import ImagePyramid, as_float
from bags.types import ViewBatch

PART = 0.25  # share of a GPU's free memory that photos may take with images_on=auto; the rest is for the Gaussians

Feed = Callable[[Iterator[ViewBatch]], Iterator[ViewBatch]]  # batches of 8-bit pixels -> batches ready for use


def ready(batch: ViewBatch) -> ViewBatch:
    """``batch`` with its 8-bit pixels as floats in [0, 1] and its mask as ``counts``, on the same device."""
    counts = batch.image[3] > 0 if len(batch.image) > 3 else None
    return replace(batch, image=as_float(batch.image[:3]), counts=counts)


def where_they_are(batches: Iterator[ViewBatch]) -> Iterator[ViewBatch]:
    """The feed that copies nothing to another device."""
    return map(ready, batches)


def place(pyramid: ImagePyramid, images_on: str, device: torch.device) -> tuple[ImagePyramid, Feed]:
    """Move the photos to where they are stored during training.

    Args:
        pyramid: in memory.
        images_on: ``host``, ``device``, or ``auto``: on the device if they take at most ``PART`` of its free memory.
        device: where they are used; for the CPU they are not moved.

    Returns:
        The moved pyramid, with its cameras on ``device``, and its feed.
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
    """Copies pixels to a GPU on a separate stream, so that copies overlap with the GPU's other work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def start(self, batch: ViewBatch) -> ViewBatch:
        """Start a copy. Only contiguous pinned memory is copied asynchronously, and a window is not contiguous."""
        pixels = batch.image if batch.image.is_contiguous() else batch.image.contiguous().pin_memory()
        with torch.cuda.stream(self.stream):
            return replace(batch, image=pixels.to(self.device, non_blocking=True))

    def finish(self, batch: ViewBatch) -> ViewBatch:
        """Make later work on the GPU wait for the copies started so far; the host does not wait."""
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.stream)
        batch.image.record_stream(current)
        return ready(batch)


def ahead(copies: CopyStream) -> Feed:
    """A feed that starts to copy the next view before it yields the current one."""

    def feed(batches: Iterator[ViewBatch]) -> Iterator[ViewBatch]:
        begun = None
        for batch in batches:
            # Finish one copy before starting the next; otherwise finishing would also wait for the new copy.
            done = None if begun is None else copies.finish(begun)
            begun = copies.start(batch)
            if done is not None:
                yield done
        if begun is not None:
            yield copies.finish(begun)

    return feed
