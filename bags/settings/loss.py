"""Weights of the loss: the section ``loss``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, setting, within


@dataclass(frozen=True)
class LossSettings(Section, key="loss"):
    """Weights of the loss's terms (section 4): ``(1 - ssim) L1 + ssim (1 - SSIM) + mask mean(m) + TV terms``.

    Two more terms look at the Gaussians themselves.

    Attributes:
        ssim: share of the SSIM term; the rest is L1.
        edges: weight of the error of differences between neighbouring pixels, where blur is modelled, but not with
            kernels (not part of the published method; ``bags.modules.losses.edge_error``).
        mask: weight of the mean of the blur masks, a penalty on explaining a photo by blur.
        depth_tv: weight of the total variation of the normalised depth.
        rgb_tv: weight of the total variation of the sharp render.
        opacity: weight of the mean opacity (section 8; published: 0).
        scale: weight of the mean scale, in scene units (section 8; published: 0).
    """

    ssim: float = setting(0.2, within(0, 1))
    edges: float = setting(0.0, at_least(0))
    mask: float = setting(0.001, at_least(0))
    depth_tv: float = setting(0.0, at_least(0))
    rgb_tv: float = setting(0.0, at_least(0))
    opacity: float = setting(0.0, at_least(0))
    scale: float = setting(0.0, at_least(0))
