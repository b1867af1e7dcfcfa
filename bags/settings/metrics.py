"""How test views are judged: the section ``metrics``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, one_of, setting


@dataclass(frozen=True)
class MetricsSettings(Section, key="metrics"):
    """How test views are judged (section 5). Both protocols are always computed and stored.

    Attributes:
        protocol: the one whose figures head the results: ``deblur_nerf`` or ``mip_splatting``.
        lpips: compute LPIPS too (null in the results where its weights cannot be had).
    """

    protocol: str = setting("deblur_nerf", one_of("deblur_nerf", "mip_splatting"))
    lpips: bool = True
