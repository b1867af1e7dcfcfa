"""A blur model of your own.

A blur model turns the sharp render into what a photo should look like. The built-in ones are the kernels of BAGS, and
the camera's path and lens. Here is another one in thirty lines. It takes every photo to be out of focus by its own
amount: the whole photo is blurred by one Gaussian, whose width is learned together with the scene.

A blur model is a class with two methods, decorated with `register_blur_model`:

- `expose` draws the view with `draw(camera)`, and returns what the photo should look like, as an `Exposure`;
- `parameter_groups` says which parameters are learned, and at which learning rate.

If the class is an `nn.Module`, it becomes part of the trained model, and its parameters are saved in the checkpoints.
From then on `model.blur_model=one_gaussian` works everywhere: training, resuming, evaluating, sweeps. `model.name` is
its name in tables and titles. To use it on the command line, call `bags.cli.main()` at the end of your file and run
that file instead of `run.py`:

```sh
python my_blur_model.py scene=own dataset.root=/path/to/scene model.blur_model=one_gaussian model.name=one_gaussian
```

The example trains on photos of the built-in scene that are out of focus. At the end it compares the learned blur with
the true blur, and the PSNR of the test views with that of a run without a blur model. It takes about twenty seconds:

```sh
python examples/02_own_blur_model.py
```
"""

from __future__ import annotations

from collections.abc import Callable
import json
from typing import Any

from bags.config import compose
from bags.modules.blur_model import Draw, Exposure, register_blur_model
from bags.ops.light import to_linear, to_srgb
from bags.run.build import trained
from bags.schedule import Phase
from bags.settings import ModelSettings, OptimSettings
from bags.tasks import train
from bags.types import Camera, Splats, ViewBatch
from scipy.stats import spearmanr
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

REACH = 6  # pixels around a pixel from which its light may come


@register_blur_model("one_gaussian")
class OneGaussian(nn.Module):
    """One Gaussian kernel for the whole of each photo; its width in pixels is learned."""

    def __init__(self, num_views: int, settings: ModelSettings, splats: Callable[[], Splats]) -> None:
        super().__init__()
        self.log_widths = nn.Parameter(torch.zeros(num_views))

    def widths(self, divisor: int = 1) -> Tensor:
        """Standard deviation for each photo in pixels, at a resolution that is ``divisor`` times coarser."""
        return self.log_widths.exp() / divisor

    def expose(self, view: ViewBatch, camera: Camera, phase: Phase, draw: Draw) -> Exposure:
        """Draw a few pixels more on every side, and mix linear light across them."""
        render = draw(camera.padded(REACH))
        offsets = torch.arange(-REACH, REACH + 1, device=render.rgb.device)
        kernel = torch.softmax(-((offsets / self.widths(phase.divisor)[view.index]) ** 2) / 2, dim=0)
        light = to_linear(render.rgb)[:, None]  # (3, 1, H, W): a batch of three grey images
        light = conv2d(conv2d(light, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
        sharp, depth, alpha = render.without_margin(REACH)
        return Exposure(sharp, depth, alpha, prediction=to_srgb(light[:, 0]), blur=None, renders=(render,))

    def parameter_groups(self, optim: OptimSettings) -> list[dict[str, Any]]:
        """One group for Adam."""
        return [{"name": "widths", "params": [self.log_widths], "lr": 0.02}]


def main(root: str = "outputs/examples", steps: int = 300) -> tuple[float, dict[str, float]]:
    """Train with the model and without; return how well the photos are ranked by blur, and the mean PSNR of both."""
    psnr = {}
    own = ["model.blur_model=one_gaussian", "model.name=one_gaussian"]
    for name, words in {"one_gaussian": own, "no_blur": ["model=mip_splatting"]}.items():
        settings = compose(
            "scene=tiny", "dataset.synthetic.blurs=[defocus]", f"schedule.steps={steps}",
            f"name=own_blur_model/{name}", f"output_root={root}", *words,
        )  # fmt: skip
        train.run(settings)
        psnr[name] = json.loads((settings.folder / "metrics.json").read_text())["psnr"]
        if name == "one_gaussian":
            run = trained(settings)
    assert isinstance(run.module.blur, OneGaussian)
    learned = (2**0.5 * run.module.blur.widths()).tolist()  # root mean square distance from the middle
    truth = [view.blur.amount if view.blur else 0.0 for view in run.datamodule.scene.train]
    for view, spread, true in zip(run.datamodule.scene.train, learned, truth, strict=True):
        print(f"{view.name}: learned spread {spread:.2f} px, true spread {true:.2f} px")
    agreement = float(spearmanr(learned, truth).statistic)
    print(f"rank correlation {agreement:.2f}; PSNR {psnr['one_gaussian']:.2f} dB, {psnr['no_blur']:.2f} dB without")
    return agreement, psnr


if __name__ == "__main__":
    main()
