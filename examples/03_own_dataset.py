"""A data set of your own format.

A data set in a format that `bags` does not read needs one function, a parser. It turns the section `dataset` of the
settings into a `Scene`. Decorated with `register_parser`, the function is selected by name: `dataset.parser=turntable`.

A `Scene` holds training views, test views and initial points. (Without initial points, random ones are placed where the
cameras look.) A `View` is a name, a `Camera`, and a function that loads the photo when it is needed. The docstring of
`bags/types.py` states the camera conventions: world to camera, x right, y down, z forward, as in OpenCV and COLMAP;
focal lengths in pixels.

The format of this example is a folder of PNG files with two tables. `cameras.csv` has a line for each photo: file name,
focal length in pixels, and the twelve numbers of the 3 x 4 world-to-camera matrix, row by row. `points.csv` has the
position and colour of each initial point. The example writes such a folder from the built-in scene, reads it with its
own parser, and trains. It takes about ten seconds:

```sh
python examples/03_own_dataset.py
```

To use the parser on the command line, call `bags.cli.main()` at the end of your file and run that file instead of
`run.py`:

```sh
python my_dataset.py scene=own dataset.parser=turntable dataset.root=/path/to/scene
```
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from bags.config import compose
from bags.datamodules.scene_datamodule import register_parser
from bags.datamodules.synthetic import make_synthetic_scene
from bags.errors import DataError
from bags.io.images import image_size, read_image
from bags.settings import DatasetSettings
from bags.tasks import train
from bags.types import Camera, PointCloud, Scene, View
import torch


@register_parser("turntable")
def parse_turntable(settings: DatasetSettings) -> Scene:
    """A folder with `cameras.csv` and `points.csv`; every ``dataset.hold``-th photo is a test view."""
    root = Path(str(settings.root))
    views = []
    for name, focal, *pose in lines(root / "cameras.csv"):
        if len(pose) != 12:
            raise DataError(f"{root / 'cameras.csv'}: {name} has {len(pose)} numbers of a pose, expected 12")
        matrix = torch.tensor([float(number) for number in pose]).reshape(3, 4)
        width, height = image_size(root / name)
        camera = Camera(matrix[:, :3], matrix[:, 3], float(focal), float(focal), width, height)
        views.append(View(name, camera, load=partial(read_image, root / name)))
    table = torch.tensor([[float(number) for number in line] for line in lines(root / "points.csv")])
    points = PointCloud(xyz=table[:, :3], rgb=table[:, 3:])
    hold = settings.hold if isinstance(settings.hold, int) else 8
    test = tuple(views[::hold])
    return Scene(root.name, tuple(view for view in views if view not in test), test, points)


def lines(file: Path) -> list[list[str]]:
    """What a CSV file holds."""
    with open(file, newline="") as opened:
        return list(csv.reader(opened))


def write_turntable(root: Path) -> None:
    """The built-in scene's photos in this format."""
    settings = compose("scene=tiny", "dataset.synthetic.train_views=12", "dataset.synthetic.test_views=0")
    scene = make_synthetic_scene(settings.dataset.synthetic)
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "cameras.csv", "w", newline="") as file:
        for view in scene.train:
            view.load().save(root / view.name)
            pose = torch.cat([view.camera.rotation, view.camera.translation[:, None]], dim=1)
            csv.writer(file).writerow([view.name, view.camera.fx, *pose.flatten().tolist()])
    with open(root / "points.csv", "w", newline="") as file:
        csv.writer(file).writerows(torch.cat([scene.points.xyz, scene.points.rgb], dim=1).tolist())


def main(root: str = "outputs/examples", steps: int = 150) -> Path:
    """Write a data set, train on it, and return the run's folder."""
    data = Path(root) / "own_dataset_photos"
    write_turntable(data)
    settings = compose(
        "scene=own", "dataset.parser=turntable", f"dataset.root={data}", "dataset.hold=6", "name=own_dataset",
        f"schedule.steps={steps}", "model.gaussians.background_points=0", "metrics.lpips=false", f"output_root={root}",
    )  # fmt: skip
    train.run(settings)
    return settings.folder


if __name__ == "__main__":
    main()
