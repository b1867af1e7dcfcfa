"""Train from Python.

`compose` takes the same `key=value` words as the command line and returns the settings as frozen dataclasses. It needs
neither a command line nor a Hydra application, so it works in a notebook, in a test and inside another program:

```python
settings = compose("scene=tiny", "schedule.steps=200")
train.run(settings)
```

`train.run` does all that `python run.py` does: it trains, evaluates the test views, and writes `metrics.json`, the
pictures and `report.html` to `settings.folder`. `trained` loads a finished run: the module with the trained Gaussians,
and the data.

Import `bags` before torch, as here. Otherwise torch's idle threads keep the cores busy, and a step takes longer.

This example trains on a small version of the built-in scene. Then it renders a test view from the trained Gaussians
and saves it beside the sharp photo, which was not used for training. It takes about ten seconds:

```sh
python examples/01_train_from_python.py
```
"""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

from bags.config import compose
from bags.io.images import write_png
from bags.run.build import trained
from bags.tasks import train
import torch


def main(root: str = "outputs/examples", steps: int = 200) -> Path:
    """Train for so many steps, look at a test view, and return the run's folder."""
    settings = compose("scene=tiny", "name=from_python", f"schedule.steps={steps}", f"output_root={root}")
    settings = replace(settings, seed=1)  # a dataclass: change it as you like
    train.run(settings)

    metrics = json.loads((settings.folder / "metrics.json").read_text())
    print(f"{metrics['num_gaussians']} Gaussians, mean PSNR on the test views {metrics['psnr']:.2f} dB")

    run = trained(settings)
    view = next(iter(run.datamodule.test_dataloader()))
    with torch.no_grad():
        render = run.module.render(view.camera)
    write_png(settings.folder / "beside.png", torch.cat([render.rgb, view.image], dim=2))
    print(f"render | photo: {settings.folder / 'beside.png'}")
    return settings.folder


if __name__ == "__main__":
    main()
