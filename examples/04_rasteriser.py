"""Draw Gaussians, and follow gradients through the rasteriser.

The rasteriser can be used without the rest of the package. `make_rasterizer` returns a function from Gaussians
(`Splats`) and a `Camera` to an image, a depth map and an accumulated opacity, with gradients to all parameters of the
Gaussians:

```python
draw = make_rasterizer("auto", "cpu")
render = draw(splats, camera, sh_degree=0, background=torch.zeros(3))
render.rgb, render.depth, render.alpha  # (3, H, W), (H, W), (H, W)
```

The example fits 400 random Gaussians to one picture with Adam. The learned parameters are unconstrained numbers;
`splats` turns them into what the rasteriser takes: scales above 0, opacities between 0 and 1. It takes a few seconds,
and writes the picture, the first render and the last render side by side:

```sh
python examples/04_rasteriser.py
```

`"numba"` draws on the CPU and `"gsplat"` on a GPU. `"reference"` is plain PyTorch: slow, but on any device and in any
precision. docs/rasterizers.md says how closely they agree.
"""

from __future__ import annotations

from pathlib import Path

from bags.datamodules.synthetic import make_synthetic_scene
from bags.io.images import write_png
from bags.ops.psnr import psnr
from bags.rendering import make_rasterizer
from bags.settings import SyntheticSettings
from bags.types import Camera, Splats
import torch
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor


def target() -> Tensor:
    """(3, H, W) in [0, 1]: a photo of the built-in scene."""
    scene = make_synthetic_scene(SyntheticSettings(width=96, height=64, train_views=2, test_views=1, samples=4))
    return pil_to_tensor(scene.test[0].load()).float() / 255


def splats(raw: dict[str, Tensor]) -> Splats:
    """The Gaussians that unconstrained numbers stand for."""
    return Splats(
        means=raw["means"],
        scales=raw["log_scales"].exp(),
        rotations=raw["rotations"],  # quaternions wxyz; the rasteriser normalises them
        opacities=raw["opacity_logits"].sigmoid(),
        sh_dc=raw["colours"][:, None],  # spherical harmonics of degree 0: the same colour from everywhere
        sh_rest=raw["means"].new_zeros(len(raw["means"]), 0, 3),
    )


def main(root: str = "outputs/examples", steps: int = 150, count: int = 400) -> tuple[float, float]:
    """Fit the picture; return the PSNR in dB of the first and of the last render."""
    torch.manual_seed(0)
    photo = target()
    height, width = photo.shape[1:]
    camera = Camera(torch.eye(3), torch.zeros(3), fx=float(width), fy=float(width), width=width, height=height)
    raw = {
        "means": torch.rand(count, 3) * torch.tensor([1.2, 0.8, 0.5]) + torch.tensor([-0.6, -0.4, 1.0]),
        "log_scales": torch.full((count, 3), 0.03).log(),
        "rotations": torch.randn(count, 4),
        "opacity_logits": torch.zeros(count),
        "colours": torch.zeros(count, 3),
    }
    adam = torch.optim.Adam([values.requires_grad_() for values in raw.values()], lr=0.02)
    draw = make_rasterizer("auto", "cpu")
    renders = []
    for _ in range(steps):
        render = draw(splats(raw), camera, sh_degree=0, background=torch.zeros(3))
        adam.zero_grad()
        (render.rgb - photo).abs().mean().backward()
        adam.step()
        renders.append(render.rgb.detach())
    file = Path(root) / "rasteriser.png"
    write_png(file, torch.cat([photo, renders[0], renders[-1]], dim=2))
    first, last = (psnr(renders[which].clamp(0, 1), photo) for which in (0, -1))
    print(f"PSNR {first:.1f} dB at first, {last:.1f} dB after {steps} steps: {file}")
    return first, last


if __name__ == "__main__":
    main()
