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
    """

    protocol: str = setting("deblur_nerf", one_of("deblur_nerf", "mip_splatting"))
    lpips: bool = True
