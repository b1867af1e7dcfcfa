"""Blur as a kernel and a mask value per pixel, proposed by the Blur Proposal Network (docs/method.md section 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from bags.modules.blur_model import Draw, Exposure
from bags.modules.bpn import BPN, Proposal
from bags.modules.kernel_sizes import KernelSizes
from bags.ops.smoothing import reach
from bags.schedule import Phase
from bags.settings import ModelSettings, OptimSettings
from bags.types import Camera, ViewBatch


class KernelBlur:
    """The blur model of BAGS.

    Args:
        bpn: the network.
        sizes: sides and strides of its heads.
        model: whether to render a margin, to mix linear light, and to train the network in strided steps.
    """

    def __init__(self, bpn: BPN, sizes: KernelSizes, model: ModelSettings) -> None:
        self.bpn, self.sizes, self.model = bpn, sizes, model

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """The network's."""
        return [{"name": "bpn", "params": list(self.bpn.parameters()), "lr": optim.bpn}]

    def head(self, phase: Phase) -> int | str:
        """Which of the network's heads serves ``phase``: a scale's, or ``single`` for the second network's."""
        if phase.multi_scale:
            return phase.scale
        return "single" if self.sizes.second is not None else len(self.sizes.scales) - 1

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Render the view sharp, with a margin of half a kernel, and blur it as the network proposes."""
        head = self.head(phase)
        around = reach(self.sizes.of(head), self.sizes.stride(head))
        margin = around if self.model.bpn.margin else 0
        render = draw(camera.padded(margin))
        sharp, depth, alpha = render.without_margin(margin)
        proposal = self.propose(view, head, sharp, depth, draw)
        padded = render.rgb if margin else pad(render.rgb, (around,) * 4)
        return Exposure(sharp, depth, alpha, proposal.blur(padded, self.model.linear_light), proposal, (render,))

    def propose(self, view: ViewBatch, head: int | str, sharp: Tensor, depth: Tensor, draw: Draw) -> Proposal:
        """The blur of the view, from its render ``sharp`` and ``depth``.

        Where the taps are several pixels apart, the network sees the whole view at a resolution lower by that factor,
        and its proposal is enlarged. So what it learned at a coarser scale stays valid, whatever the window is. With
        ``model.bpn.freeze_strided`` it is not trained in such steps.
        """
        stride = self.sizes.stride(head)
        if stride == 1:
            return self.bpn(view.index, head, sharp, depth, view.camera)
        with torch.no_grad():
            seen = draw(view.camera.reduced(stride))
        learns = torch.is_grad_enabled() and not self.model.bpn.freeze_strided
        with torch.set_grad_enabled(learns):
            proposal = self.bpn(view.index, head, seen.rgb, seen.depth).enlarged(stride, view.camera)
        return proposal if learns else proposal.detached()
