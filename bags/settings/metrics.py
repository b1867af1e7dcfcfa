"""How test views are evaluated: the section ``metrics``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, one_of, setting


@dataclass(frozen=True)
class MetricsSettings(Section, key="metrics"):
    """How test views are evaluated (section 5). Both protocols are always computed and stored.

    Attributes:
        protocol: the one whose figures head the results: ``deblur_nerf`` or ``mip_splatting``.
        lpips: also compute LPIPS (null in the results if its weights cannot be downloaded).
        colour_corrected: also compute all metrics after the affine map of a test view's colours that brings the render
            closest to the photo (``bags.ops.colour_fit``), as ``psnr_colour_corrected`` and so on, beside the plain
            ones; ``auto``: if ``model.exposure`` is on.
    """

    protocol: str = setting("deblur_nerf", one_of("deblur_nerf", "mip_splatting"))
    lpips: bool = True
    colour_corrected: bool | str = setting("auto", one_of(True, False, "auto"))
