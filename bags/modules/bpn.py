"""The Blur Proposal Network: a blur kernel for every pixel of a training view (docs/method.md section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, avg_pool2d, batch_norm, conv2d, pad

from bags.ops.depth import normalised
from bags.ops.enlarging import enlarged
from bags.ops.interpolated_conv import interpolated_conv, kernels_between, node_kernels
from bags.ops.kernel_moments import effective_moments, raw_moments
from bags.ops.light import to_linear, to_srgb
from bags.ops.per_pixel_conv import inside, kernels_at, per_pixel_conv
from bags.ops.positional import positional_code_1d
from bags.ops.smoothing import reach, smoothed
from bags.ops.windows import Window
from bags.settings import BPNSettings
from bags.types import Camera


@dataclass(frozen=True)
class Proposal:
    """What the network proposes for one view. The kernels are never all in memory at once.

    Attributes:
        features: (C, h, w) hidden features, in bfloat16 if requested: of every pixel, or with ``spacing`` above 1 of
            nodes ``spacing`` pixels apart (``bags.ops.interpolated_conv``).
        head: (K*K, C) maps features to kernel logits, in the order of ``bags.ops.per_pixel_conv``.
        mask: (H, W) in [0, 1]: how much of the pixel is blurred.
        bfloat16: whether ``blur`` runs its matrix products in bfloat16.
        stride: pixels from one tap of the kernels to the next.
        spacing: pixels from one known kernel to the next.
        corner: column and row in the whole view of the first pixel of ``mask``, where the nodes cover the whole view;
            None: the nodes cover only the pixels of ``mask``.
        has_mask: whether the network has mask heads; without them ``mask`` is 1.
    """

    features: Tensor
    head: Tensor
    mask: Tensor
    bfloat16: bool = False
    stride: int = 1
    spacing: int = 1
    corner: tuple[int, int] | None = None
    has_mask: bool = True

    @property
    def kind(self) -> None:
        """None: kernels explain any kind of blur, and their shape decides which."""

    @property
    def kernel_size(self) -> int:
        """Kernel side K."""
        return math.isqrt(self.head.shape[0])

    @property
    def reach(self) -> int:
        """Margin in pixels around the image that ``blur`` needs."""
        return reach(self.kernel_size, self.stride)

    def blur(self, padded_image: Tensor, linear_light: bool = False) -> Tensor:
        """(3, H, W) blurry prediction from a sharp image ``reach`` pixels larger on every side.

        Where taps are several pixels apart, they see a smoothed image (``bags.ops.smoothing``); the unmasked part stays
        sharp. Both images hold sRGB values; with ``linear_light`` kernels and mask mix them as linear light.
        """
        if linear_light:
            return to_srgb(self.blur(to_linear(padded_image)))
        image, sharp = smoothed(padded_image, self.stride), inside(padded_image, self.mask.shape)
        if self.spacing == 1:
            return per_pixel_conv(image, self.features, self.head, self.mask, self.bfloat16, self.stride, sharp)
        nodes = node_kernels(self.features, self.head, self.bfloat16)
        return interpolated_conv(image, nodes, self.mask, self.spacing, self.corner or (0, 0), self.stride, sharp)

    @torch.no_grad()
    def kernels_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(P, K, K) kernels at the pixels ``(rows[i], columns[i])``; entry [0, 0] weighs the top left neighbour."""
        if self.spacing == 1:
            return kernels_at(self.features, self.head, rows, columns)
        nodes = node_kernels(self.features, self.head)
        left, top = self.corner or (0, 0)
        found = kernels_between(nodes, rows + top, columns + left, self.spacing)
        return found.T.unflatten(1, (self.kernel_size, self.kernel_size))

    def moments(self, every: int = 1) -> tuple[Tensor, Tensor]:
        """Mean (2, H, W) and covariance (3, H, W) of the effective kernels in pixels (``ops.kernel_moments``).

        Args:
            every: use only every ``every``-th row and column.
        """
        some = (..., slice(None, None, every), slice(None, None, every))
        mask = self.mask.detach()
        if self.spacing == 1:
            raw = raw_moments(self.features.detach()[some], self.head.detach(), self.stride)
        else:
            nodes = raw_moments(self.features.detach(), self.head.detach(), self.stride)
            raw = enlarged(nodes, self.spacing, Window(*(self.corner or (0, 0)), mask.shape[1], mask.shape[0]))[some]
        return effective_moments(raw, mask[some])

    def room(self, height: int, width: int) -> Proposal:
        """An uninitialised proposal of the whole view, of which this one is a part; ``take`` fills it."""
        mask = self.mask.new_empty(height, width)
        if self.corner is not None:
            return replace(self, mask=mask, corner=(0, 0))
        rows, columns = -(-height // self.spacing), -(-width // self.spacing)
        return replace(self, mask=mask, features=self.features.new_empty(len(self.features), rows, columns))

    def take(self, part: Proposal, window: Window) -> None:
        """Copy ``part``, the proposal of the pixels in ``window``, in place; the window begins at a node's cell."""
        window.of(self.mask).copy_(part.mask)
        if self.corner is None:
            height, width = part.features.shape[1:]
            nodes = Window(window.left // self.spacing, window.top // self.spacing, width, height)
            nodes.of(self.features).copy_(part.features)

    def detached(self) -> Proposal:
        """The same proposal without gradients."""
        return replace(self, **{name: getattr(self, name).detach() for name in ("features", "head", "mask")})

    def enlarged(self, factor: int, camera: Camera) -> Proposal:
        """The same blur at ``factor`` times the resolution: taps and nodes are further apart, the mask is interpolated.

        Where every pixel has features, they are interpolated too.

        Args:
            factor: ratio of the resolutions.
            camera: of the result, for the whole photo or a part of it. This proposal must be of the whole photo, at
                ``camera.reduced(factor)``.
        """
        part = Window(*camera.corner, camera.width, camera.height)
        finer = replace(self, mask=enlarged(self.mask[None], factor, part)[0], stride=self.stride * factor)
        if self.spacing == 1:
            return replace(finer, features=enlarged(self.features, factor, part))
        return replace(finer, spacing=self.spacing * factor, corner=camera.corner)


class RenderFeatures(nn.Module):
    """Features of a render and its depth (input c): conv5, ReLU, InstanceNorm, twice, then conv3.

    Args:
        hidden: channels of the two inner layers.
        channels: of the result.
        spacing: render and depth are first averaged over ``spacing`` x ``spacing`` pixels.
    """

    def __init__(self, hidden: int, channels: int, spacing: int = 1) -> None:
        super().__init__()
        self.spacing = spacing
        self.conv1 = nn.Conv2d(4, hidden, 5, padding=2)
        self.conv2 = nn.Conv2d(hidden, hidden, 5, padding=2)
        self.conv3 = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, rgb: Tensor, depth: Tensor, bfloat16: bool = False) -> Tensor:
        """(channels, H, W) from ``rgb`` (3, H, W) and ``depth`` (H, W), which get no gradient.

        Depth is shifted and scaled to [0, 1]; constant depth becomes 0. With a spacing above 1 the result has
        H / spacing rows and W / spacing columns, rounded up. ``bfloat16``: run in bfloat16 (parameters stay float32).
        """
        image = torch.cat([rgb.detach(), normalised(depth.detach())[None]])[None]
        image = cell_means(image, self.spacing).contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=bfloat16):
            hidden = _normalised(self.conv1(image).relu_())
            hidden = _normalised(self.conv2(hidden).relu_())
            features = self._last(hidden, bfloat16)[0]
        return features.to(image.dtype)

    def _last(self, hidden: Tensor, bfloat16: bool) -> Tensor:
        """The third convolution; in bfloat16 padded to as many outputs as inputs, of which the extra ones are dropped.

        For 64 inputs and 32 outputs in bfloat16, oneDNN's weight gradient takes a path that is 25 times slower (443 ms
        at 300x200) than the one for 64 outputs.
        """
        weight, bias = self.conv3.weight, self.conv3.bias
        assert bias is not None
        extra = hidden.shape[1] - weight.shape[0]
        if not bfloat16 or extra <= 0:
            return self.conv3(hidden)
        whole = conv2d(hidden, pad(weight, (0, 0, 0, 0, 0, 0, 0, extra)), pad(bias, (0, extra)), padding=1)
        return whole[:, : weight.shape[0]]


def cell_means(image: Tensor, side: int) -> Tensor:
    """(1, C, h, w) means over cells of ``side`` x ``side`` pixels of a (1, C, H, W) image; the last may be smaller."""
    return image if side == 1 else avg_pool2d(image, side, ceil_mode=True, count_include_pad=False)


def _normalised(x: Tensor) -> Tensor:
    """InstanceNorm of one image without affine part, run as batch norm: 14 times faster on CPUs in channels-last."""
    assert x.shape[0] == 1
    if x.shape[2:].numel() == 1:
        return x - x  # a single value is its own mean; torch raises an error for it
    return batch_norm(x, None, None, training=True)


class HiddenLayers(nn.Module):
    """1x1 convolutions without bias, each followed by a ReLU, with heads for kernel logits and mask on some of them.

    They are stored as linear layers, which have the same weights and initialisation.

    Args:
        inputs: channels of the input.
        hidden: channels of every layer.
        kernels: for each layer the kernel side of its head, or None for no head.
        masks: whether there is a mask head beside every kernel head.
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

    Inputs: (a) a learned embedding of the view, (b) the fixed positional code, (c) ``RenderFeatures``; (b) and (c) can
    be switched off. The three layers of the multi-scale network form a chain, coarse to fine, with one pair of heads
    each. The second network (two layers, one pair of heads) shares embedding, code and render features, but has its own
    layers.

    Args:
        num_views: training views.
        kernels: kernel side per scale, coarse to fine.
        single_kernel: kernel side of the second network; None: there is none.
        settings: channels and switches; its kernel sides, strides and precision are not read here.
        bfloat16: run convolutions and matrix products in bfloat16. Saved with the state: a resumed run keeps its
            precision on any machine.
    """

    def __init__(
        self,
        num_views: int,
        kernels: tuple[int, ...],
        single_kernel: int | None,
        settings: BPNSettings,
        bfloat16: bool = False,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.rounds = bfloat16
        self.embedding = nn.Embedding(num_views, settings.embedding)
        self.render_features = (
            RenderFeatures(settings.hidden, settings.rgbd_channels, settings.rgbd_spacing)
            if settings.use_rgbd
            else None
        )
        half = settings.position_channels // 2 if settings.use_position else 0
        self.input_channels = (settings.embedding, half, half, settings.rgbd_channels if settings.use_rgbd else 0)
        self.scales = HiddenLayers(sum(self.input_channels), settings.hidden, kernels, settings.use_mask)
        self.second = (
            None
            if single_kernel is None
            else HiddenLayers(sum(self.input_channels), settings.hidden, (None, single_kernel), settings.use_mask)
        )

    def get_extra_state(self) -> Tensor:
        """The precision, as a flag: bfloat16 or not."""
        return torch.tensor(self.rounds)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the precision."""
        self.rounds = bool(state)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())  # checkpoints of before have none
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(
        self, view: int, scale: int | Literal["single"], rgb: Tensor, depth: Tensor, camera: Camera | None = None
    ) -> Proposal:
        """Propose the blur of training view ``view``.

        Args:
            view: index of the view.
            scale: index of the scale, or ``single`` for the second network.
            rgb: (3, H, W) sharp render in [0, 1].
            depth: (H, W) its depth. Neither gets a gradient from the proposal.
            camera: says which part of the photo these pixels are, for the positional code; None: the whole photo.

        Raises:
            ValueError: ``single`` without a second network.
        """
        network, level = (self.second, 1) if isinstance(scale, str) else (self.scales, scale)
        if network is None:
            raise ValueError(f"scale {scale!r}: this BPN has no second network (model.bpn.second_network)")
        spacing = self.settings.kernel_spacing
        nodes = [-(-size // spacing) for size in depth.shape]
        with torch.autocast(depth.device.type, torch.bfloat16, enabled=self.rounds):
            hidden = self._first_layer(_weight(network.layers[0]), view, rgb, depth, camera)
            for layer in network.layers[1 : level + 1]:
                hidden = (_weight(layer) @ hidden).relu_()
            mask = self._mask(network, level, hidden.unflatten(1, nodes), depth)
        head = _weight(network.kernel_heads[str(level)])
        features, has_mask = hidden.unflatten(1, nodes), self.settings.use_mask
        return Proposal(features, head, mask, self.rounds, spacing=spacing, has_mask=has_mask)

    def _mask(self, network: HiddenLayers, level: int, hidden: Tensor, depth: Tensor) -> Tensor:
        """(H, W) how much of each pixel is blurred; ones if there is no mask head."""
        if not self.settings.use_mask:
            return torch.ones_like(depth)
        weight = _weight(network.mask_heads[str(level)])
        opened = (weight @ hidden.flatten(1)).to(weight.dtype) + self.settings.mask_bias
        if self.settings.kernel_spacing == 1:
            return opened.sigmoid().to(depth.dtype).reshape(depth.shape)
        whole = Window(0, 0, depth.shape[1], depth.shape[0])
        between = enlarged(opened.unflatten(1, hidden.shape[1:]), self.settings.kernel_spacing, whole)
        return between[0].sigmoid().to(depth.dtype)

    def _first_layer(self, weight: Tensor, view: int, rgb: Tensor, depth: Tensor, camera: Camera | None) -> Tensor:
        """(hidden, h*w) the first layer applied to the concatenated inputs, which are never materialised.

        The embedding is constant over the image, and each half of the positional code is constant along one axis. So
        the layer multiplies a vector, a row profile and a column profile; only the render features need a product per
        node.
        """
        for_view, for_rows, for_columns, for_render = weight.split(self.input_channels, dim=1)
        height, width = depth.shape
        ground = (for_view @ self.embedding.weight[view])[:, None]
        spacing = self.settings.kernel_spacing
        if self.settings.use_position:
            half = self.input_channels[1]
            (across, down), (left, top) = (camera.photo_size, camera.corner) if camera else ((width, height), (0, 0))
            code_rows = positional_code_1d(down, half, weight.device)[:, top : top + height]
            code_columns = positional_code_1d(across, half, weight.device)[:, left : left + width]
            rows = ground + for_rows @ _cell_means_1d(code_rows, spacing)
            columns = for_columns @ _cell_means_1d(code_columns, spacing)
            ground = (rows[:, :, None] + columns[:, None, :]).flatten(1)
        if self.render_features is None:
            return ground.relu().expand(-1, -(-height // spacing) * -(-width // spacing))
        return torch.addmm(ground, for_render, self._seen(rgb, depth).flatten(1)).relu_()

    def _seen(self, rgb: Tensor, depth: Tensor) -> Tensor:
        """(rgbd_channels, h, w) the render's features at the nodes."""
        assert self.render_features is not None
        features: Tensor = self.render_features(rgb, depth, self.rounds)
        spacing = self.settings.kernel_spacing
        height, width = (-(-size // spacing) for size in depth.shape)
        return enlarged(features, self.settings.rgbd_spacing // spacing, Window(0, 0, width, height))


def _cell_means_1d(code: Tensor, length: int) -> Tensor:
    """(C, n) means over cells of ``length`` entries of a (C, size) code; the last may be smaller."""
    return code if length == 1 else avg_pool1d(code, length, ceil_mode=True, count_include_pad=False)
