"""Times a whole training step and its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bags.benchmark.inputs import front_camera, random_gaussians
from bags.benchmark.measure import measure, row
from bags.modules.bpn import BPN, Proposal
from bags.modules.gaussians import Gaussians
from bags.ops.interpolated_conv import interpolated_conv_reference, node_kernels
from bags.ops.per_pixel_conv import per_pixel_conv_reference
from bags.ops.precision import has_fast_bfloat16
from bags.ops.ssim import l1_ssim
from bags.ops.ssim_reference import ssim_reference
from bags.ops.threads import suit_torch, torch_threads_by_size
from bags.rendering import Projection, make_rasterizer
from bags.settings import BPNSettings
from bags.types import Splats


def _leaves(value: Any) -> Any:
    """A dataclass of tensors, with all floating-point ones detached and as leaves."""
    fields = {key: tensor.detach().requires_grad_(tensor.is_floating_point()) for key, tensor in value.__dict__.items()}
    return type(value)(**fields)


def step_row(
    width: int,
    height: int,
    count: int,
    pixels: float,
    kernel: int | None,
    repeats: int,
    device: torch.device | str = "cpu",
    compare: bool = True,
    spacing: int = 4,
) -> dict[str, Any]:
    """Time one training step (render, blur, loss, backward and Adam), as a whole and in parts.

    For comparison, the whole step is timed with the torch references of rasteriser, convolution and loss.

    Args:
        width: of the photo, pixels.
        height: of the photo, pixels.
        count: Gaussians.
        pixels: their standard deviation on screen.
        kernel: kernel side of the Blur Proposal Network (with margin, in the precision that is fast on this machine);
            None: no blur model.
        repeats: of every measurement.
        device: of the step, which uses the fastest rasteriser for it.
        compare: also time the references.
        spacing: pixels between proposed kernels; render features are averaged over twice this number squared, as in
            ``conf/model/bags.yaml``. 1: as published.
    """
    gaussians = random_gaussians(count, pixels, width, device)
    margin = kernel // 2 if kernel else 0
    camera = front_camera(width, height, device).padded(margin)
    network = BPNSettings(rgbd_spacing=2 * spacing if spacing > 1 else 1, kernel_spacing=spacing)
    bpn = BPN(1, (kernel,), None, network, has_fast_bfloat16(device)).to(device) if kernel else None
    photo = torch.rand(3, height, width, device=device)
    background = torch.zeros(3, device=device)
    parameters = [*gaussians.parameters(), *(bpn.parameters() if bpn else ())]
    adam = torch.optim.Adam(parameters, lr=0.0, fused=True)

    def step(name: str, plain: bool) -> None:
        adam.zero_grad()
        rasterizer = make_rasterizer(name, device)
        render = rasterizer(gaussians.splats(), camera, sh_degree=3, background=background)
        prediction = render.rgb
        if bpn is not None:
            inner = (slice(margin, margin + height), slice(margin, margin + width))
            proposal = bpn(0, 0, render.rgb[:, inner[0], inner[1]], render.depth[inner])
            prediction = plain_blur(proposal, render.rgb) if plain else proposal.blur(render.rgb)
        if plain:
            loss = 0.8 * (prediction - photo).abs().mean() + 0.2 * (1 - ssim_reference(prediction, photo))
        else:
            loss = l1_ssim(prediction, photo, 0.2)
        loss.backward()
        adam.step()

    with torch_threads_by_size():
        suit_torch(width * height, count, bpn is not None)
        ours = measure(lambda: step("auto", False), repeats, device)
        timed = parts(gaussians, bpn, camera, margin, photo, adam, repeats)
    plain = measure(lambda: step("reference", True), max(1, min(repeats, 2)), device) if compare else None
    kind = "no blur" if not kernel else f"K{kernel}" if spacing > 1 else f"K{kernel}, as published"
    name = f"step {width}x{height} {count / 1000:g}k {kind}"
    return row(name, ours, plain, parts_ms=timed)


def plain_blur(proposal: Proposal, image: Tensor) -> Tensor:
    """``Proposal.blur`` with the reference convolutions."""
    features, head = proposal.features.float(), proposal.head.float()
    if proposal.spacing == 1:
        return per_pixel_conv_reference(image, features, head, proposal.mask)
    return interpolated_conv_reference(image, node_kernels(features, head), proposal.mask, proposal.spacing)


def parts(
    gaussians: Gaussians, bpn: BPN | None, camera: Any, margin: int, photo: Tensor, adam: Any, repeats: int
) -> dict[str, float]:
    """Milliseconds of each part, forward and backward, with inputs detached from the parts before."""
    device = photo.device
    rasterizer: Any = make_rasterizer("auto", device)
    timed: dict[str, float] = {}

    def time(name: str, call: Callable[[], object]) -> None:
        timed[name] = round(measure(call, repeats, device).ms, 2)

    def backward(*tensors: Tensor) -> None:
        torch.stack([tensor.sum() for tensor in tensors]).sum().backward()

    time("activation and 3D filter", lambda: backward(*vars(gaussians.splats()).values()))
    splats: Splats = _leaves(gaussians.splats())

    def project() -> Projection:
        projected: Projection = rasterizer.project(splats, camera, sh_degree=3)
        return projected

    def project_and_back() -> None:
        projected = project()
        backward(projected.means2d, projected.conics, projected.colours, projected.opacities, projected.distances)

    time("projection and SH", project_and_back)
    projection: Projection = _leaves(project())

    def blend() -> tuple[Tensor, Tensor, Tensor]:
        images: tuple[Tensor, Tensor, Tensor] = rasterizer.rasterize(
            projection, torch.zeros(3, device=device), camera.width, camera.height
        )
        return images

    time("rasteriser", lambda: backward(*blend()))
    rgb = blend()[0].detach().requires_grad_()
    height, width = photo.shape[1:]
    if bpn is not None:
        sharp, depth = rgb.detach()[:, margin : margin + height, margin : margin + width], torch.rand_like(photo[0])
        features = bpn.render_features
        assert features is not None
        proposal = bpn(0, 0, sharp, depth)
        features_in, head, mask = (
            tensor.detach().requires_grad_() for tensor in (proposal.features, proposal.head, proposal.mask)
        )
        cut = replace(proposal, features=features_in, head=head, mask=mask)

        def propose() -> None:
            proposal = bpn(0, 0, sharp, depth)
            backward(proposal.features, proposal.mask)

        time("BPN", propose)
        time("of it, render features", lambda: backward(features(sharp, depth, bpn.rounds)))
        time("per-pixel convolution", lambda: backward(cut.blur(rgb)))
    prediction = torch.rand_like(photo).requires_grad_()
    time("loss", lambda: l1_ssim(prediction, photo, 0.2).backward())
    time("Adam", adam.step)
    return timed
