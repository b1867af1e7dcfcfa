"""Several processes that train one scene together, each on views of its own."""

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
    """Data parallel training of parameters that come and go.

    torch's DDP wrapper registers its parameters once, while densification replaces them. So nothing is wrapped here:
    gradients are averaged in one piece after the step's last backward pass, before any callback edits the Gaussians.
    All processes then take the same decisions from the same numbers and stay equal bit for bit.

    Args:
        backend: of the process group; has to serve CPU tensors too.
        threads: CPU threads of each process; None: the cores are shared out evenly.
    """

    def __init__(self, backend: str, threads: int | None) -> None:
        super().__init__(process_group_backend=backend)
        self._threads = threads

    def setup_environment(self) -> None:
        """Join the other processes; the launcher has just set a number of threads of its own choice."""
        super().setup_environment()
        if self._threads is not None:
            torch.set_num_threads(self._threads)

    def configure_ddp(self) -> None:
        """Start from the first process's weights; no wrapper."""
        assert self.model is not None
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            dist.broadcast(tensor.detach(), src=0)

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        """One step with the gradient of all processes' views."""

        def with_all_views() -> Any:
            loss = closure()
            average_gradients(optimizer)
            return loss

        return super().optimizer_step(optimizer, with_all_views, model, **kwargs)

    def on_exception(self, exception: BaseException) -> None:
        """End the processes started here: they would wait for this one."""
        super().on_exception(exception)
        if self.launcher is not None:
            self.launcher.kill(getattr(signal, "SIGKILL", signal.SIGTERM))


@torch.no_grad()
def average_gradients(optimizer: Optimizer) -> None:
    """Average the gradients of all parameters of ``optimizer`` over the processes, by one reduction.

    Which parameters have a gradient depends on the step alone, so it is the same everywhere.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = sum_over_ranks(parameters_to_vector(gradients)).div_(world_size())
    vector_to_parameters(flat, gradients)
