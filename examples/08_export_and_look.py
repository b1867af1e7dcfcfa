"""Export a scene, and look at it.

A finished run can be exported, filmed and viewed. Each of these is a task, which uses the run's own settings. On the
command line:

```sh
python run.py task=export name=my_run export.formats=[ply,spz]
python run.py task=render name=my_run render.path=ellipse
python run.py task=view name=my_run
```

In Python, the same tasks take the run's settings, with the task's section replaced. The PLY file opens in any 3D
Gaussian splatting viewer (for example SuperSplat). docs/export.md describes the formats.

The example trains a small scene, exports it as PLY and SPZ, films a short flight, and reads the PLY file back. It takes
about fifteen seconds. With `--look`, it then shows the scene in the browser until Ctrl-C (this needs the extra
`viewer`):

```sh
python examples/08_export_and_look.py --look
```
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import sys

from bags.config import compose
from bags.io.ply import read_ply
from bags.settings import ExportSettings, RenderSettings
from bags.tasks import export, render, train


def main(root: str = "outputs/examples", steps: int = 100, look: bool = False) -> Path:
    """Train, export, film and perhaps look; return the run's folder."""
    settings = compose("scene=tiny", "name=export_and_look", f"schedule.steps={steps}", f"output_root={root}")
    train.run(settings)

    export.run(replace(settings, export=ExportSettings(formats=("ply", "spz"))))
    render.run(replace(settings, render=RenderSettings(path="ellipse", frames=30, depth=False)))

    file = settings.folder / "export" / f"step_{steps}" / "point_cloud.ply"
    gaussians = read_ply(file)
    solid = int((gaussians.opacity_logits.sigmoid() > 0.5).sum())
    print(f"{file}: {len(gaussians.means)} Gaussians, {solid} of them more opaque than not")
    if look:
        from bags.tasks import view

        view.run(settings)
    return settings.folder


if __name__ == "__main__":
    main(look="--look" in sys.argv)
