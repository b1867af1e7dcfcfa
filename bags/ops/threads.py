"""One number of threads for torch and numba."""

from __future__ import annotations

import torch


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
