"""Blur every pixel with a kernel of its own, and undo it.

`per_pixel_conv` is the operation at the heart of BAGS: each pixel of the result is a weighted mean of the image around
it, and each pixel has its own K x K weights. The weights are the softmax of logits, and the logits are
`head @ features`. They are computed a few at a time, so the K x K weights of all pixels are never in memory at once.
With the identity as `head`, the features are the logits. Gradients reach image, features, head and mask. It runs on the
CPU (Numba) and on CUDA (Triton).

The example blurs a sharp photo along streaks whose direction changes from left to right, as camera roll does. Then it
recovers the photo from the blurred one and the kernels, by gradient descent through the convolution. It takes a few
seconds, and writes the photo, the blurred photo and the recovered photo side by side:

```sh
python examples/05_per_pixel_convolution.py
```
"""

from __future__ import annotations

from pathlib import Path

from bags.datamodules.synthetic import make_synthetic_scene
from bags.io.images import write_png
from bags.ops.per_pixel_conv import per_pixel_conv
from bags.ops.psnr import psnr
from bags.settings import SyntheticSettings
import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.functional import pil_to_tensor

SIDE = 9  # of a kernel, in pixels


def streaks(height: int, width: int) -> Tensor:
    """(SIDE * SIDE, H, W) logits of kernels: a streak through the middle, turned further from column to column."""
    angle = torch.linspace(0, torch.pi, width).expand(height, width)
    axis = torch.arange(SIDE) - SIDE // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    along = x[..., None, None] * angle.cos() + y[..., None, None] * angle.sin()
    across = y[..., None, None] * angle.cos() - x[..., None, None] * angle.sin()
    return -((along / 2.5) ** 2 + (across / 0.5) ** 2).flatten(0, 1) / 2


def main(root: str = "outputs/examples", steps: int = 100) -> tuple[float, float]:
    """Blur a photo and recover it; return the PSNR in dB of the blurred and of the recovered photo."""
    scene = make_synthetic_scene(SyntheticSettings(width=96, height=64, train_views=2, test_views=1, samples=4))
    photo = pil_to_tensor(scene.test[0].load()).float() / 255
    height, width = photo.shape[1:]
    logits, head, mask = streaks(height, width), torch.eye(SIDE * SIDE), torch.ones(height, width)

    def blurred(image: Tensor) -> Tensor:
        padded = pad(image[None], (SIDE // 2,) * 4, mode="replicate")[0]
        return per_pixel_conv(padded, logits, head, mask)

    seen = blurred(photo)
    guess = seen.clone().requires_grad_()
    adam = torch.optim.Adam([guess], lr=0.02)
    for _ in range(steps):
        adam.zero_grad()
        (blurred(guess) - seen).square().sum().backward()
        adam.step()
    recovered = guess.detach().clamp(0, 1)
    file = Path(root) / "per_pixel_convolution.png"
    write_png(file, torch.cat([photo, seen, recovered], dim=2))
    before, after = psnr(seen, photo), psnr(recovered, photo)
    print(f"PSNR {before:.1f} dB blurred, {after:.1f} dB recovered: {file}")
    return before, after


if __name__ == "__main__":
    main()
