"""Learning rates, and what is densified and pruned: the sections ``optim`` and ``densify``."""

from __future__ import annotations

from dataclasses import dataclass

from bags.settings.limits import Section, at_least, below, one_of, positive, setting, within


@dataclass(frozen=True)
class OptimSettings(Section, key="optim"):
    """Adam's learning rates (section 4); position rates are multiplied by the scene's extent.

    Attributes:
        position: rate of positions at the start of the clock.
        position_final: rate of positions after ``schedule.position_lr_steps``; log-linear in between.
        sh_dc: rate of the colour that does not depend on the view.
        sh_rest: rate of the other coefficients of the spherical harmonics.
        opacity, scale, rotation: their rates.
        bpn: rate of the Blur Proposal Network.
        trajectory: rate of the cameras' paths at the start, in pixels.
        moment: rate of the moments of the known poses at the start, in radians (``model.trajectory.pose=learned``).
        lens: rate of the lenses' numbers at the start, in pixels.
        pose: rate of the corrections of the photos' poses at the start, in pixels (``model.refine_poses``).
        camera_final: what these four rates have been multiplied by at the end of the run; log-linear in between.
        exposure: rate of the photos' exposures in stops, or of the entries of their colour matrices.
        eps: Adam's epsilon, for all parameters.
        most_skipped: the run ends after this many skipped steps in a row; steps with NaN or infinity in the loss or its
            gradient are skipped.
    """

    position: float = setting(1.6e-4, positive())
    position_final: float = setting(1.6e-6, positive())
    sh_dc: float = setting(2.5e-3, at_least(0))
    sh_rest: float = setting(1.25e-4, at_least(0))
    opacity: float = setting(0.05, at_least(0))
    scale: float = setting(5e-3, at_least(0))
    rotation: float = setting(1e-3, at_least(0))
    bpn: float = setting(5e-4, at_least(0))
    trajectory: float = setting(0.1, at_least(0))
    moment: float = setting(0.04, at_least(0))
    lens: float = setting(0.06, at_least(0))
    pose: float = setting(0.004, at_least(0))
    camera_final: float = setting(0.05, positive())
    exposure: float = setting(5e-3, at_least(0))
    eps: float = setting(1e-15, positive())
    most_skipped: int = setting(5, at_least(1))


@dataclass(frozen=True)
class DensifySettings(Section, key="densify"):
    """How the number of Gaussians changes: what is cloned, split and pruned (section 4), or moved (section 8).

    Attributes:
        strategy: ``published``: clone, split, prune and reset opacities, as the keys up to ``prune_screen`` say.
            ``mcmc``: relocate dead Gaussians, add others up to ``model.gaussians.max_count``, and add noise to
            positions, as the keys after it say; choose it with ``densify=mcmc``, which also sets ``loss.opacity`` and
            ``loss.scale``.
        gradient: threshold of the mean screen-space gradient (NDC) in the single-scale phase.
        init_gradient: the same in the multi-scale phase ("init_dgt").
        percent_dense: Gaussians up to this largest scale are cloned, larger ones split; in units of the scene's extent.
        split_into: number of Gaussians that a split one becomes.
        split_shrink: their scale is divided by ``split_shrink * split_into`` (published: 0.8 * 2).
        min_opacity: prune below this opacity (unfiltered).
        init_opacity: replaces it in the multi-scale phase unless negative.
        reset_opacity: an opacity reset sets the filtered opacity to at most this.
        prune_big: with ``min_opacity`` at most 0.005, prune world scales above this fraction of the extent.
        prune_screen: prune screen radii above this many pixels; null (published behaviour): never.
        dead_opacity: with ``mcmc``, Gaussians up to this opacity (unfiltered) are relocated; noise fades above it.
        growth: with ``mcmc``, fraction of the Gaussians that is added each time; in a shortened run, which densifies
            less often for its length, as much as in the full one.
        noise: with ``mcmc``, strength of the noise on positions, as a multiple of their rate and of the covariance.
    """

    strategy: str = setting("published", one_of("published", "mcmc"))
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
    dead_opacity: float = setting(0.005, at_least(0), below(1))
    growth: float = setting(0.05, within(0, 1))
    noise: float = setting(5e5, at_least(0))
