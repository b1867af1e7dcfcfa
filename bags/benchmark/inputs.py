"""Random scenes for timing kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from bags.modules.gaussians import Gaussians
from bags.settings import GaussianSettings
from bags.types import Camera, PointCloud, Splats


def random_splats(count: int, pixels: float, width: int, seed: int = 0, device: torch.device | str = "cpu") -> Splats:
    """``count`` Gaussians spread over the view of ``front_camera``, about ``pixels`` wide (standard deviation)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    depth = 2 + 6 * draw(count)
    xy = (draw(count, 2) - 0.5) * torch.tensor([1.1, 1.1 * 2 / 3]) * depth[:, None]
    scales = (0.5 + draw(count, 3)) * (pixels / width) * depth[:, None]
    tensors = {
        "means": torch.cat([xy, depth[:, None]], dim=1),
        "scales": scales,
        "rotations": torch.randn(count, 4, generator=generator),
        "opacities": 0.05 + 0.9 * draw(count),
        "sh_dc": draw(count, 1, 3),
        "sh_rest": 0.1 * torch.randn(count, 15, 3, generator=generator),
    }
    return Splats(**{name: value.to(device).requires_grad_() for name, value in tensors.items()})


def random_gaussians(count: int, pixels: float, width: int, device: torch.device | str = "cpu") -> Gaussians:
    """``random_splats`` as trainable Gaussians, but with the rotations of a new model."""
    raw = random_splats(count, pixels, width, device=device)
    points = PointCloud(raw.means.detach().cpu(), torch.rand(count, 3))
    gaussians = Gaussians(points, GaussianSettings(), 1.0).to(device)
    gaussians.log_scales.data = raw.scales.detach().log()
    gaussians.opacity_logits.data = raw.opacities.detach().logit()
    return gaussians


def front_camera(width: int, height: int, device: torch.device | str = "cpu") -> Camera:
    """A camera at the origin that looks along z, 53 degrees wide."""
    return Camera(torch.eye(3), torch.zeros(3), float(width), float(width), width, height).to(device)


def clear_gradients(*tensors: Tensor) -> None:
    """Clear gradients, so that their accumulation is not timed."""
    for tensor in tensors:
        tensor.grad = None
