"""The Blur Proposal Network: a blur kernel for every pixel of a training view (docs/method.md section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, pad

from bags.ops.depth import normalised
from bags.ops.enlarging import enlarged
from bags.ops.per_pixel_conv import inside, per_pixel_conv
from bags.ops.positional import positional_code_1d
from bags.ops.smoothing import reach, smoothed
from bags.ops.windows import Window
from bags.settings import BPNSettings
from bags.types import Camera


@dataclass(frozen=True)
class Proposal:
    """What the network proposes for one view. The kernels themselves are never all written out.

    Attributes:
        features: (C, H, W) hidden features of every pixel, in bfloat16 where that is asked for.
        head: (K*K, C) makes kernel logits of them, in the order of ``bags.ops.per_pixel_conv``.
        mask: (H, W) in [0, 1]: how much of the pixel is blurred.
        bfloat16: whether ``blur`` runs its matrix products in bfloat16.
        stride: pixels from one tap of the kernels to the next.
    """

    features: Tensor
    head: Tensor
    mask: Tensor
    bfloat16: bool = False
    stride: int = 1

    @property
    def kernel_size(self) -> int:
        """Kernel side K."""
        return math.isqrt(self.head.shape[0])

    @property
    def reach(self) -> int:
        """Pixels around the image that ``blur`` needs."""
        return reach(self.kernel_size, self.stride)

    def blur(self, padded_image: Tensor) -> Tensor:
        """(3, H, W) blurry prediction from a sharp image ``reach`` pixels larger on every side.

        Taps further apart than a pixel see the image smoothed (``bags.ops.smoothing``); the unmasked part stays sharp.
        """
        image, sharp = smoothed(padded_image, self.stride), inside(padded_image, self.mask.shape)
        return per_pixel_conv(image, self.features, self.head, self.mask, self.bfloat16, self.stride, sharp)

    def detached(self) -> Proposal:
        """The same proposal, from which nothing is learned."""
        return replace(self, **{name: getattr(self, name).detach() for name in ("features", "head", "mask")})

    def enlarged(self, factor: int, camera: Camera) -> Proposal:
        """The same blur for pixels ``factor`` times as fine: taps that much further apart, features and mask between.

        Args:
            factor: how much finer.
            camera: whose pixels are wanted, a part of the photo or the whole; this proposal is of the whole photo, at
                ``camera.reduced(factor)``.
        """
        part = Window(*camera.corner, camera.width, camera.height)
        features, mask = (enlarged(layer, factor, part) for layer in (self.features, self.mask[None]))
        return replace(self, features=features, mask=mask[0], stride=self.stride * factor)


class RenderFeatures(nn.Module):
    """Features of a render and its depth (input c): conv5, ReLU, InstanceNorm, twice, then conv3.

    Args:
        hidden: channels of the two inner layers.
        channels: of the result.
        bfloat16: run in bfloat16 (parameters stay float32).
    """

    def __init__(self, hidden: int, channels: int, bfloat16: bool) -> None:
        super().__init__()
        self.rounds = bfloat16
        self.conv1 = nn.Conv2d(4, hidden, 5, padding=2)
        self.conv2 = nn.Conv2d(hidden, hidden, 5, padding=2)
        self.conv3 = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, rgb: Tensor, depth: Tensor) -> Tensor:
        """(channels, H, W) from ``rgb`` (3, H, W) and ``depth`` (H, W), which get no gradient.

        Depth is shifted and scaled to [0, 1]; a constant one becomes 0.
        """
        image = torch.cat([rgb.detach(), normalised(depth.detach())[None]])[None].contiguous(
            memory_format=torch.channels_last
        )
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.rounds):
            hidden = _normalised(self.conv1(image).relu_())
            hidden = _normalised(self.conv2(hidden).relu_())
            features = self._last(hidden)[0]
        return features.to(image.dtype)

    def _last(self, hidden: Tensor) -> Tensor:
        """The third convolution, with as many outputs as inputs, of which those beyond ``channels`` are not kept.

        oneDNN's weight gradient for 64 inputs and 32 outputs in bfloat16 takes a path that is 25 times slower (443 ms
        at 300x200) than the one for 64 outputs.
        """
        weight, bias = self.conv3.weight, self.conv3.bias
        assert bias is not None
        extra = hidden.shape[1] - weight.shape[0]
        if not self.rounds or extra <= 0:
            return self.conv3(hidden)
        whole = conv2d(hidden, pad(weight, (0, 0, 0, 0, 0, 0, 0, extra)), pad(bias, (0, extra)), padding=1)
        return whole[:, : weight.shape[0]]


def _normalised(x: Tensor) -> Tensor:
    """InstanceNorm without affine part of one image: as batch norm, 14 times faster on CPUs in channels-last order."""
    assert x.shape[0] == 1
    return batch_norm(x, None, None, training=True)


class HiddenLayers(nn.Module):
    """1x1 convolutions without bias, each followed by a ReLU, with heads for kernel logits and mask on some of them.

    They are kept as linear layers: the same weights, initialised alike.

    Args:
        inputs: channels of the input.
        hidden: channels of every layer.
        kernels: for each layer the kernel side of its head, or None for no head.
        masks: with a mask head beside every kernel head.
    """

    def __init__(self, inputs: int, hidden: int, kernels: Sequence[int | None], masks: bool) -> None:
        super().__init__()
        widths = [inputs] + [hidden] * (len(kernels) - 1)
        sides = {str(level): side for level, side in enumerate(kernels) if side is not None}
        self.layers = nn.ModuleList(nn.Linear(width, hidden, bias=False) for width in widths)
        self.kernel_heads = nn.ModuleDict({level: nn.Linear(hidden, k * k, bias=False) for level, k in sides.items()})
        self.mask_heads = nn.ModuleDict({level: nn.Linear(hidden, 1, bias=False) for level in sides if masks})


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return layer.weight


class BPN(nn.Module):
    """Proposes kernel and mask of every pixel from the view, the pixel's position, and render and depth around it.

    Inputs (a) a learned embedding of the view, (b) the fixed positional code, (c) ``RenderFeatures``; (b) and (c) can
    be switched off. The three layers of the multi-scale network chain, one head pair each, coarse to fine. The second
    network (two layers, one head pair) shares embedding, code and render features, and has its own layers.

    Args:
        num_views: training views.
        kernels: kernel side per scale, coarse to fine.
        single_kernel: kernel side of the second network; None: there is none.
        settings: channels and switches; its own kernel sides and strides are not read here.
    """

    def __init__(
        self,
        num_views: int,
        kernels: tuple[int, ...],
        single_kernel: int | None,
        settings: BPNSettings,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(num_views, settings.embedding)
        self.render_features = (
            RenderFeatures(settings.hidden, settings.rgbd_channels, settings.bfloat16) if settings.use_rgbd else None
        )
        half = settings.position_channels // 2 if settings.use_position else 0
        self.input_channels = (settings.embedding, half, half, settings.rgbd_channels if settings.use_rgbd else 0)
        self.scales = HiddenLayers(sum(self.input_channels), settings.hidden, kernels, settings.use_mask)
        self.second = (
            None
            if single_kernel is None
            else HiddenLayers(sum(self.input_channels), settings.hidden, (None, single_kernel), settings.use_mask)
        )

    def forward(
        self, view: int, scale: int | Literal["single"], rgb: Tensor, depth: Tensor, camera: Camera | None = None
    ) -> Proposal:
        """Propose the blur of training view ``view``.

        Args:
            view: index of the view.
            scale: index of the scale, or ``single`` for the second network.
            rgb: (3, H, W) sharp render in [0, 1].
            depth: (H, W) its depth. Neither gets a gradient from the proposal.
            camera: tells which part of the photo these pixels are, for the positional code; None: they are the whole.

        Raises:
            ValueError: ``single`` without a second network.
        """
        network, level = (self.second, 1) if isinstance(scale, str) else (self.scales, scale)
        if network is None:
            raise ValueError(f"scale {scale!r}: this BPN has no second network (model.bpn.second_network)")
        with torch.autocast(depth.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            hidden = self._first_layer(_weight(network.layers[0]), view, rgb, depth, camera)
            for layer in network.layers[1 : level + 1]:
                hidden = (_weight(layer) @ hidden).relu_()
            mask = self._mask(network, level, hidden).to(depth.dtype).reshape(depth.shape)
        head = _weight(network.kernel_heads[str(level)])
        return Proposal(hidden.unflatten(1, depth.shape), head, mask, self.settings.bfloat16)

    def _mask(self, network: HiddenLayers, level: int, hidden: Tensor) -> Tensor:
        """(1, H*W) how much of each pixel is blurred; all of it where there is no mask head."""
        if not self.settings.use_mask:
            return hidden.new_ones(1, hidden.shape[1])
        weight = _weight(network.mask_heads[str(level)])
        return ((weight @ hidden).to(weight.dtype) + self.settings.mask_bias).sigmoid()

    def _first_layer(self, weight: Tensor, view: int, rgb: Tensor, depth: Tensor, camera: Camera | None) -> Tensor:
        """(hidden, H*W) the first layer on the concatenated inputs, which are never written out.

        The embedding is constant over the image and each half of the positional code along an axis, so the layer sees a
        vector, a row profile and a column profile; only the render features are multiplied pixel by pixel.
        """
        for_view, for_rows, for_columns, for_render = weight.split(self.input_channels, dim=1)
        height, width = depth.shape
        ground = (for_view @ self.embedding.weight[view])[:, None]
        if self.settings.use_position:
            half = self.input_channels[1]
            (across, down), (left, top) = (camera.photo_size, camera.corner) if camera else ((width, height), (0, 0))
            code_rows = positional_code_1d(down, half, weight.device)[:, top : top + height]
            code_columns = positional_code_1d(across, half, weight.device)[:, left : left + width]
            rows, columns = ground + for_rows @ code_rows, for_columns @ code_columns
            ground = (rows[:, :, None] + columns[:, None, :]).flatten(1)
        if self.render_features is None:
            return ground.relu().expand(-1, height * width)
        return torch.addmm(ground, for_render, self.render_features(rgb, depth).flatten(1)).relu_()
