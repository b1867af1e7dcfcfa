"""Several processes that train one scene together, each on different views."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim import Optimizer

from bags.ops.ranks import sum_over_ranks, world_size


class SceneDDP(DDPStrategy):
    """Data-parallel training with parameters that are replaced during training.

    torch's DDP wrapper registers its parameters once, but densification replaces them. So there is no wrapper here:
    gradients are averaged in one reduction after the step's last backward pass, before any callback edits the
    Gaussians. All processes then make the same decisions from the same numbers and stay bitwise equal.

    Args:
        backend: of the process group; must support CPU tensors too.
        threads: CPU threads of each process; None: the cores are divided evenly.
    """

    def __init__(self, backend: str, threads: int | None) -> None:
        super().__init__(process_group_backend=backend)
        self._threads = threads

    def setup_environment(self) -> None:
        """Join the other processes, and undo the launcher's own choice of the number of threads."""
        super().setup_environment()
        if self._threads is not None:
            torch.set_num_threads(self._threads)

    def configure_ddp(self) -> None:
        """Start from the weights of the first process, without a wrapper."""
        assert self.model is not None
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            dist.broadcast(tensor.detach(), src=0)

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        """One step with the gradients of the views of all processes."""

        def with_all_views() -> Any:
            loss = closure()
            average_gradients(optimizer)
            return loss

        return super().optimizer_step(optimizer, with_all_views, model, **kwargs)

    def on_exception(self, exception: BaseException) -> None:
        """End the processes started by this one, which would wait for it forever."""
        super().on_exception(exception)
        if self.launcher is not None:
            self.launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))


@torch.no_grad()
def average_gradients(optimizer: Optimizer) -> None:
    """Average the gradients of all parameters of ``optimizer`` over the processes, in one reduction.

    Which parameters have a gradient depends only on the step, so it is the same in all processes.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = sum_over_ranks(parameters_to_vector(gradients)).div_(world_size())
    vector_to_parameters(flat, gradients)
