"""Learning rates, and who is densified and pruned: the sections ``optim`` and ``densify``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, below, positive, setting


@dataclass(frozen=True)
class OptimSettings(Section, key="optim"):
    """Adam's learning rates (section 4); position rates are multiplied by the scene's extent.

    Attributes:
        position, position_final: at the clock's start and after ``schedule.position_lr_steps`` (log-linear between).
        sh_dc, sh_rest, opacity, scale, rotation, bpn, trajectory, lens: constant rates.
        eps: Adam's epsilon, for all parameters.
        most_skipped: steps with NaN or infinity in the loss or its gradient are left out; so many in a row end the run.
    """

    position: float = setting(1.6e-4, positive())
    position_final: float = setting(1.6e-6, positive())
    sh_dc: float = setting(2.5e-3, at_least(0))
    sh_rest: float = setting(1.25e-4, at_least(0))
    opacity: float = setting(0.05, at_least(0))
    scale: float = setting(5e-3, at_least(0))
    rotation: float = setting(1e-3, at_least(0))
    bpn: float = setting(5e-4, at_least(0))
    trajectory: float = setting(1e-3, at_least(0))
    lens: float = setting(1e-3, at_least(0))
    eps: float = setting(1e-15, positive())
    most_skipped: int = setting(5, at_least(1))


@dataclass(frozen=True)
class DensifySettings(Section, key="densify"):
    """Who is cloned, split and pruned (section 4).

    Attributes:
        gradient: threshold of the mean screen-space gradient (NDC) in the single-scale phase.
        init_gradient: the same in the multi-scale phase ("init_dgt").
        percent_dense: clone up to this largest scale, split above it; in units of the scene's extent.
        split_into: Gaussians that a split one becomes.
        split_shrink: their scale is divided by ``split_shrink * split_into`` (published: 0.8 * 2).
        min_opacity: prune below this opacity (unfiltered).
        init_opacity: replaces it in the multi-scale phase where not negative.
        reset_opacity: an opacity reset sets the filtered opacity to at most this.
        prune_big: with ``min_opacity`` at most 0.005, prune world scales above this part of the extent.
        prune_screen: prune screen radii above this many pixels; null (published behaviour): never.
    """

    gradient: float = setting(2e-4, at_least(0))
    init_gradient: float = setting(8e-4, at_least(0))
    percent_dense: float = setting(0.01, at_least(0))
    split_into: int = setting(2, at_least(2))
    split_shrink: float = setting(0.8, positive())
    min_opacity: float = setting(0.1, at_least(0), below(1))
    init_opacity: float = setting(-1.0, below(1))
    reset_opacity: float = setting(0.01, positive(), below(1))
    prune_big: float = setting(0.1, positive())
    prune_screen: float | None = setting(None, positive("must be positive or null"))
