"""Threads for kernels, as many as torch uses.

``run_pieces`` runs kernels that release Python's lock (Numba with ``nogil=True``) on threads of its own, which sleep
when idle and take pieces as they come free. ``use_torch_threads`` is for kernels on Numba's own layer
(``parallel=True``): there OpenMP is a second runtime beside torch's, and on busy cores the two spin against each other
(4 ms lost a call, seen on 2 cores).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="bags")


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


def piece_count(items: int, smallest: int) -> int:
    """Pieces to cut ``items`` into: at least ``smallest`` items each, at most 4 a thread, never 0."""
    return max(1, min(items // smallest, 4 * torch.get_num_threads()))


def use_torch_threads() -> None:
    """Let numba's parallel kernels use as many threads as torch does; call it before every parallel kernel.

    It costs microseconds. Numba's thread pool is chosen once, at the first parallel kernel of the process: OpenMP is
    preferred, as torch uses it too (numba's own first choice, TBB, halved the speed where its library happened to be
    installed, and its last one, workqueue, is not thread-safe). ``NUMBA_THREADING_LAYER`` overrules this.
    Numba counts threads per calling thread, hence a call each time rather than once.
    """
    import numba

    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
