"""Threads for kernels, as many as torch uses.

Kernels release the GIL (Numba with ``nogil=True``) and run on threads of this module, which sleep when idle and take
the next piece when they are free. Numba's own threading layers are not used: its OpenMP would be a second runtime
besides torch's, and on busy cores the two compete by spinning (4 ms lost per call, measured on 2 cores).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def _use_one_thread() -> None:
    """Restrict torch's operations on the calling thread to this thread."""
    torch.get_num_threads()  # a thread's first call resets the number to the process's: do that before setting it
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool of ``threads`` threads, on each of which torch's operations use one thread."""
    pool = ThreadPoolExecutor(threads, "bags", initializer=_use_one_thread)
    started = Barrier(threads)
    for waiting in [pool.submit(started.wait) for _ in range(threads)]:
        waiting.result()
    torch.set_num_threads(threads)  # torch's setting is partly global: the last one to set it wins
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def run_pieces(kernel: Callable[..., None], pieces: int, *args: object) -> None:
    """Call ``kernel(piece, pieces, *args)`` for every piece, on as many threads as torch uses.

    Args:
        kernel: writes its results into ``args``; must release the GIL, and pieces must not write to the same places.
        pieces: into how many parts the work is divided; more parts than threads balance the load.
        *args: passed on.
    """
    todo = iter(range(pieces))  # shared: taking the next number is atomic

    def work() -> None:
        for piece in todo:
            kernel(piece, pieces, *args)

    threads = min(torch.get_num_threads(), pieces)
    helpers = [_pool(torch.get_num_threads()).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        helper.result()


def map_alone(task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield ``task(item)`` of every item, in order, computed on as many threads as torch uses, without gradients.

    Torch's operations within a task use one thread. For work that often switches between torch and kernels, this is
    twice as fast as spreading each operation over the threads (measured on 2 cores).
    """

    def without_gradients(item: Item) -> Result:
        with torch.no_grad():
            return task(item)

    threads = torch.get_num_threads()
    return map(without_gradients, items) if threads == 1 else _pool(threads).map(without_gradients, items)


def piece_count(items: int, smallest: int) -> int:
    """Pieces to divide ``items`` into: at least ``smallest`` items each, at most 4 per thread, never 0."""
    return max(1, min(items // smallest, 4 * torch.get_num_threads()))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
