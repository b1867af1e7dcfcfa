"""Threads for kernels, as many as torch uses.

Kernels release Python's lock (Numba with ``nogil=True``) and run on threads of this module, which sleep when idle and
take pieces as they come free. Numba's own layers are not used: its OpenMP would be a second runtime beside torch's, and
on busy cores the two spin against each other (4 ms lost a call, seen on 2 cores).
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
    """Let torch's operations on the calling thread use that one only."""
    torch.get_num_threads()  # a thread's first operation takes over the process's number: get that over with
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """As many threads, on each of which torch's own operations use that one only."""
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
        kernel: writes its results into ``args``; must release Python's lock, and pieces must not share what they write.
        pieces: into how many parts the work is cut; some more than threads even out the load.
        *args: handed on.
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

    On its thread a task has torch's operations to itself: they use one thread. For work that switches between torch
    and kernels often, this is twice as fast as to spread each of its operations over the threads (2 cores).
    """

    def without_gradients(item: Item) -> Result:
        with torch.no_grad():
            return task(item)

    threads = torch.get_num_threads()
    return map(without_gradients, items) if threads == 1 else _pool(threads).map(without_gradients, items)


def piece_count(items: int, smallest: int) -> int:
    """Pieces to cut ``items`` into: at least ``smallest`` items each, at most 4 a thread, never 0."""
    return max(1, min(items // smallest, 4 * torch.get_num_threads()))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
