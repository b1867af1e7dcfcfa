"""Rasterisers: Gaussians and a camera in, an image with gradients out. Start at ``make_rasterizer``."""

from bags.rendering.base import Projection, Rasterizer, TwoStageRasterizer
from bags.rendering.choice import make_rasterizer

__all__ = ["Projection", "Rasterizer", "TwoStageRasterizer", "make_rasterizer"]
