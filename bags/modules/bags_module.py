"""The LightningModule: Gaussians, a blur model and one training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from bags.modules.auto_blur import SHARP, AutoBlur, Choices
from bags.modules.blur_model import REGISTERED, Blur, BlurModel, Exposure
from bags.modules.bpn import BPN
from bags.modules.camera_blur import CameraBlur
from bags.modules.exposure import CORRECTIONS, PhotoCorrections
from bags.modules.gaussians import Gaussians
from bags.modules.kernel_blur import KernelBlur
from bags.modules.kernel_sizes import KernelSizes
from bags.modules.lens import Lenses
from bags.modules.losses import regularisers, training_loss
from bags.modules.optical_blur import OpticalBlur
from bags.modules.poses import Poses
from bags.modules.trajectory import Paths
from bags.ops.random import uniform
from bags.ops.threads import suit_torch
from bags.ops.windows import tiles
from bags.rendering.base import Rasterizer
from bags.schedule import Phase, ScaleSchedule
from bags.settings import DatasetSettings, LossSettings, ModelSettings, OptimSettings
from bags.types import Camera, PointCloud, RenderOutput, Splats, ViewBatch


@dataclass(frozen=True)
class Explanation:
    """How the model explains a training view, or the part of it that ``batch`` holds.

    Attributes:
        batch: the view.
        sharp: (3, H, W) sharp render.
        depth, alpha: (H, W) of that render (``RenderOutput``).
        prediction: (3, H, W) what is compared with the photo, in the photo's exposure (``model.exposure``).
        proposal: the blur of the photo by the blur model; None where blur is not modelled.
    """

    batch: ViewBatch
    sharp: Tensor
    depth: Tensor
    alpha: Tensor
    prediction: Tensor
    proposal: Blur | None


@dataclass(frozen=True)
class TrainingOutput(Explanation):
    """What a training step computed, for callbacks; tensors carry their graph.

    Attributes:
        phase: of the step.
        renders: rasteriser outputs that the prediction is made from.
        losses: weighted terms, detached.
    """

    phase: Phase
    renders: tuple[RenderOutput, ...]
    losses: dict[str, Tensor]


class BagsModule(LightningModule):
    """3D Gaussians and, with ``model.blur``, the blur model that explains the photos.

    One Adam with a named parameter group for each kind of parameter. Every random draw is a function of seed and
    step, so a resumed run needs no random state.

    Args:
        model: what is learned.
        optim: its learning rates.
        loss: the weights of the loss's terms.
        dataset: which part of a view a step sees (``window``), and the background colour (``white_background``).
        seed: of every random draw.
        schedule: the run's clock, shared with the loader of views.
        points: initial points (overwritten when a checkpoint is loaded).
        cameras: of the training views.
        extent: scene extent.
        centre: (3,) of what the photos show, in scene units.
        width: training width in pixels; kernel sides are fitted to it where the settings ask for it.
        rasterizer: draws the Gaussians.
        bfloat16: run the network in bfloat16; a loaded checkpoint overrides it.
    """

    output: TrainingOutput | None

    def __init__(
        self,
        model: ModelSettings,
        optim: OptimSettings,
        loss: LossSettings,
        dataset: DatasetSettings,
        seed: int,
        schedule: ScaleSchedule,
        points: PointCloud,
        cameras: Sequence[Camera],
        extent: float,
        centre: Tensor,
        width: int,
        rasterizer: Rasterizer,
        bfloat16: bool,
    ) -> None:
        super().__init__()
        self.model, self.optim, self.loss, self.dataset, self.seed = model, optim, loss, dataset, seed
        self.schedule = schedule
        self.gaussians = Gaussians(points, model.gaussians, extent)
        self.bpn: BPN | None = None
        self.kernels: KernelBlur | None = None
        self.paths: Paths | None = None
        self.lenses: Lenses | None = None
        self.choices: Choices | None = None
        self.pixel = median(camera.width / width / camera.fx for camera in cameras)  # its angle in training, radians
        away = torch.stack([(camera.center.cpu() - centre.cpu()).norm() for camera in cameras])
        away = away.clamp_min(extent / 10)  # a camera in the very middle sees what is around it
        self.register_buffer("distances", away, persistent=False)  # of the scene's centre from the cameras
        self.distances: Tensor
        self.poses = Poses(cameras, extent, self.pixel) if model.refine_poses else None
        self.blur = self._blur_model(len(cameras), centre, width, bfloat16) if model.blur else None
        self.corrections: PhotoCorrections | None = None
        if model.exposure != "off":
            self.corrections = CORRECTIONS[model.exposure](len(cameras))
        self.rasterizer = rasterizer
        self.register_buffer("background", torch.full((3,), float(dataset.white_background)), persistent=False)
        self.background: Tensor
        self.output = None

    def _blur_model(self, num_views: int, centre: Tensor, width: int, bfloat16: bool) -> BlurModel:
        """The blur model that the settings name; its parameters become this module's."""
        if self.model.blur_model in REGISTERED:
            return REGISTERED[self.model.blur_model](num_views, self.model, self.gaussians.splats)
        if self.model.blur_model == "kernels":
            return self._kernel_blur(num_views, width, bfloat16)
        if self.model.blur_model == "auto":
            self.choices = Choices(num_views)
            return AutoBlur(self._camera_blur(num_views, centre, path=True, lens=True), self.choices)
        return self._camera_blur(
            num_views,
            centre,
            path=self.model.blur_model in ("trajectory", "hybrid"),
            lens=self.model.blur_model in ("lens", "hybrid"),
        )

    def _kernel_blur(self, num_views: int, width: int, bfloat16: bool) -> KernelBlur:
        sizes = KernelSizes.fitted(self.model.bpn, width)
        self.bpn = BPN(num_views, sizes.scales, sizes.second, self.model.bpn, bfloat16)
        self.kernels = KernelBlur(self.bpn, sizes, self.model)
        return self.kernels

    def _camera_blur(self, num_views: int, centre: Tensor, path: bool, lens: bool) -> CameraBlur:
        model, extent = self.model, self.gaussians.extent
        if path:
            self.paths = Paths(num_views, model.trajectory, extent, self.seed, self.pixel)
        if lens:
            self.lenses = Lenses(num_views, model.lens, centre, self.seed, self.pixel)
        return CameraBlur(self.paths, self.lenses, model.trajectory, model.linear_light)

    def render(self, camera: Camera, splats: Splats | None = None) -> RenderOutput:
        """Draw the Gaussians sharp, as at test time; ``splats``, if given, are drawn instead."""
        return self.rasterizer(
            splats or self.gaussians.splats(),
            camera,
            sh_degree=self.gaussians.sh_degree,
            background=self.background,
            kernel_size=self.model.gaussians.kernel_size,
        )

    def explain(self, batch: ViewBatch, phase: Phase) -> TrainingOutput:
        """Render one training view sharp and predict its photo: blurred where ``phase`` says so, then exposed."""
        camera = self.posed(batch.index, self.jittered(batch))
        if self.blur is not None and phase.blur:
            seen = self.blur.expose(batch, camera, phase, self.render)
        else:
            render = self.render(camera)
            seen = Exposure(render.rgb, render.depth, render.alpha, render.rgb, None, (render,))
        prediction = seen.prediction if self.corrections is None else self.corrections(batch.index, seen.prediction)
        return TrainingOutput(batch, seen.sharp, seen.depth, seen.alpha, prediction, seen.blur, phase, seen.renders, {})

    @torch.no_grad()
    def explain_whole(self, batch: ViewBatch, phase: Phase) -> Explanation:
        """As ``explain``, without gradients, for the whole photo; in windows where training uses ``dataset.window``.

        The network's normalisation then sees what it saw in training, and only the result has the photo's size.
        """
        height, width = batch.image.shape[1:]
        whole: dict[str, Tensor] = {}
        proposal: Blur | None = None
        for window in tiles(width, height, self.dataset.window):
            part = self.explain(batch.cropped(*window), phase)
            for name in ("sharp", "depth", "alpha", "prediction"):
                layer = getattr(part, name)
                whole.setdefault(name, layer.new_empty(*layer.shape[:-2], height, width))
                window.of(whole[name]).copy_(layer)
            if part.proposal is not None:
                proposal = proposal or part.proposal.room(height, width)
                proposal.take(part.proposal, window)
        return Explanation(batch, whole["sharp"], whole["depth"], whole["alpha"], whole["prediction"], proposal)

    def posed(self, view: int, camera: Camera) -> Camera:
        """``camera`` of training view ``view``, on the module's device, with its refined pose if poses are refined."""
        return camera if self.poses is None else self.poses.of(view, camera)

    def jittered(self, batch: ViewBatch) -> Camera:
        """The view's camera, shifted by a random part of a pixel where ``model.ray_jitter`` asks for it."""
        if not self.model.ray_jitter or batch.step == 0:
            return batch.camera
        x, y = (uniform((2,), self.seed, batch.step, f"ray jitter {batch.slot}") - 0.5).tolist()
        return batch.camera.shifted(x, y)

    def blurs(self, view: int, phase: Phase) -> bool:
        """Whether blur is modelled in a photo: not before its phase, nor in photos that ``auto`` takes as sharp."""
        sharp = self.choices is not None and self.choices.listed[view] == SHARP
        return self.blur is not None and phase.blur and not sharp

    @torch.no_grad()
    def weights_of(self, output: TrainingOutput) -> tuple[Tensor | None, Tensor | float]:
        """Weight of a photo's pixels in the loss (``model.sharp_weight``), as two factors.

        Returns:
            (H, W) weights relative to that of the photo's sharpest pixel, in (0, 1], None if all are 1; and () the
            weight of that one, relative to the mean over the middles of all photos.
        """
        power = -self.model.sharp_weight
        if not power or output.phase.multi_scale or (self.paths is None and self.lenses is None):
            return None, 1.0
        of_paths = torch.zeros_like(self.distances) if self.paths is None else self.paths.variances(self.distances)
        variances = of_paths if self.lenses is None else of_paths + self.lenses.variances()
        if self.choices is not None:
            variances = variances * (self.choices.models != SHARP)
        relative = 1 / ((1 + variances) ** power).mean()
        blur, view = output.proposal, output.batch.index
        if not isinstance(blur, OpticalBlur) or not self.blurs(view, output.phase):
            return None, relative
        if self.lenses is None:  # all parts of the photo count alike
            return None, relative * (1 + of_paths[view]) ** power
        broad = 1 + of_paths[view] + blur.largest_around(blur.variance)
        sharpest = broad.min()
        return (broad / sharpest) ** power, relative * sharpest**power

    def training_step(self, batch: ViewBatch, batch_idx: int) -> Tensor:
        """One view: render, blur, compare."""
        suit_torch(batch.image[0].numel(), len(self.gaussians), self.bpn is not None)
        output = self.explain(batch, self.schedule.at(batch.step))
        weights, weight = self.weights_of(output)
        prediction, photo = batch.against(output.prediction)
        if weights is not None:
            prediction = photo + weights * (prediction - photo)
        terms = training_loss(
            self.loss,
            prediction,
            photo,
            output.proposal.mask if output.proposal and output.proposal.has_mask else None,
            output.sharp,
            output.depth,
            self.bpn is None and self.blurs(batch.index, output.phase),
        )
        terms = {name: weight * term for name, term in terms.items()} | regularisers(self.loss, self.gaussians)
        self.output = TrainingOutput(
            **{**output.__dict__, "losses": {name: term.detach() for name, term in terms.items()}}
        )
        return torch.stack(list(terms.values())).sum()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the decisions on the run's length with its state (``schedule.minutes``)."""
        checkpoint["decisions"] = [list(decision) for decision in self.schedule.decisions]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let a finished run continue if its schedule has become longer: Lightning has marked its batch as the last."""
        if checkpoint["global_step"] < self.schedule.total:
            checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam; the ``ScaleReset`` callback sets the rates of every step from each group's ``rate``."""
        optim, gaussians = self.optim, self.gaussians
        rates = {
            "means": optim.position * gaussians.extent,
            "log_scales": optim.scale,
            "rotations": optim.rotation,
            "opacity_logits": optim.opacity,
            "sh_dc": optim.sh_dc,
            "sh_rest": optim.sh_rest,
        }
        groups: list[dict[str, Any]] = [
            {"name": name, "params": [getattr(gaussians, name)], "lr": rate, "rate": rate}
            for name, rate in rates.items()
        ]
        if self.blur is not None:
            groups += [{**group, "rate": group["lr"]} for group in self.blur.parameter_groups(optim)]
        if self.corrections is not None:
            numbers = [self.corrections.numbers]
            groups.append({"name": "exposure", "params": numbers, "lr": optim.exposure, "rate": optim.exposure})
        if self.poses is not None:
            falling = {"lr": optim.pose, "rate": optim.pose, "final": optim.pose * optim.camera_final}
            groups.append({"name": "poses", "params": [self.poses.offsets], **falling})
        return torch.optim.Adam(groups, eps=optim.eps, fused=True)
