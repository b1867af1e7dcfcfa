"""Threads for kernels, and how many of them torch's own operations use.

Kernels use as many threads as torch, but in training, torch's operations on small tensors use fewer
(``torch_threads_by_size``). Kernels release the GIL (Numba with ``nogil=True``) and run on threads of this module.
These sleep when idle and take the next piece when they are free. Numba's own threading layers are not used: its OpenMP
would be a second runtime besides torch's, and on busy cores the two compete by spinning (4 ms lost per call, measured
on 2 cores).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# Numbers in a tensor that keep one thread busy. With fewer, waking a second thread costs about as much as it saves, and
# it disturbs the kernels: on 2 cores, a step of path and lens at 300x200 took 67 ms with both, and 50 ms with one.
NUMBERS = 500_000
OF_NETWORK = 10  # times as many numbers in the Blur Proposal Network's tensors as in the photo
_of_kernels: int | None = None  # their threads, while torch's are set by size


def thread_count() -> int:
    """Threads that kernels use."""
    return _of_kernels or torch.get_num_threads()


@contextmanager
def torch_threads_by_size() -> Iterator[None]:
    """Within it, ``suit_torch`` has an effect. Kernels keep their threads; torch gets its own back at the end."""
    global _of_kernels
    outer, before = _of_kernels, torch.get_num_threads()
    _of_kernels = thread_count()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _of_kernels = outer


def suit_torch(pixels: int, gaussians: int, network: bool) -> None:
    """Within ``torch_threads_by_size``, let torch use as many threads as a training step keeps busy.

    The number depends on the arguments only, so a resumed run uses the same.

    Args:
        pixels: of the photo.
        gaussians: in the scene.
        network: whether the Blur Proposal Network takes part.
    """
    if _of_kernels is not None:
        numbers = 3 * max(pixels, gaussians) * (OF_NETWORK if network else 1)
        torch.set_num_threads(max(1, min(_of_kernels, numbers // NUMBERS)))


def _use_one_thread() -> None:
    """Restrict torch's operations on the calling thread to this thread."""
    torch.get_num_threads()  # a thread's first call resets the number to the process's: do that before setting it
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool of ``threads`` threads, on each of which torch's operations use one thread."""
    of_torch = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "bags", initializer=_use_one_thread)
    started = Barrier(threads)
    for waiting in [pool.submit(started.wait) for _ in range(threads)]:
        waiting.result()
    torch.set_num_threads(of_torch)  # torch's setting is partly global: the last one to set it wins
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def run_pieces(kernel: Callable[..., None], pieces: int, *args: object) -> None:
    """Call ``kernel(piece, pieces, *args)`` for every piece, on ``thread_count()`` threads.

    Args:
        kernel: writes its results into ``args``; must release the GIL, and pieces must not write to the same places.
        pieces: into how many parts the work is divided; more parts than threads balance the load.
        *args: passed on.
    """
    todo = iter(range(pieces))  # shared: taking the next number is atomic

    def work() -> None:
        for piece in todo:
            kernel(piece, pieces, *args)

    threads = min(thread_count(), pieces)
    helpers = [_pool(thread_count()).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        helper.result()


def map_alone(task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield ``task(item)`` of every item, in order, computed on ``thread_count()`` threads, without gradients.

    Torch's operations within a task use one thread. For work that often switches between torch and kernels, this is
    twice as fast as spreading each operation over the threads (measured on 2 cores).
    """

    def without_gradients(item: Item) -> Result:
        with torch.no_grad():
            return task(item)

    threads = thread_count()
    return map(without_gradients, items) if threads == 1 else _pool(threads).map(without_gradients, items)


def piece_count(items: int, smallest: int) -> int:
    """Pieces to divide ``items`` into: at least ``smallest`` items each, at most 4 per thread, never 0."""
    return max(1, min(items // smallest, 4 * thread_count()))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
