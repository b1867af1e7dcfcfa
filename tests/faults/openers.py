"""What the program does with an input, and whether what it took in is sound."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from bags import cli
from bags.cli import config_folder
from bags.config.nodes import register
from bags.datamodules.scene_datamodule import SceneDataModule
from bags.errors import BagsError
from bags.io.images import image_size, read_image
from bags.io.ply import read_ply, to_splats
from bags.modules.bags_module import BagsModule
from bags.modules.gaussians import Gaussians, random_points
from bags.preparation.intake import take_in
from bags.preparation.video import take_frames
from bags.rendering import make_rasterizer
from bags.report.curves import curves, read_history
from bags.run.build import build, restore
from bags.run.checkpoint_io import Saved
from bags.run.folder import finished, psnr
from bags.run.start import decide
from bags.schedule import ScaleSchedule
from bags.settings import DatasetSettings, GaussianSettings, ScheduleSettings, Settings
from bags.summary.collect import tables
from bags.summary.runs import find_runs
from bags.tasks.reconstruct import prepared_before
from bags.types import Camera, PointCloud, Splats
from tests.faults.corpus import RUN
from tests.integration.test_training import settings_of

Opener = Callable[[Path, Path], None]
"""Given an input's folder and the damaged file in it: returns where what was taken in is sound."""


class Unsound(Exception):
    """The program took something in that it should have refused."""


def need(good: bool, what: str) -> None:
    if not good:
        raise Unsound(what)


def finite(**tensors: torch.Tensor) -> None:
    for name, tensor in tensors.items():
        need(bool(torch.isfinite(tensor).all()), f"{name} not finite")


def drawable(splats: Splats, camera: Camera, sh_degree: int = 1) -> None:
    """Drawn by the rasteriser that a CPU run uses, it is a picture."""
    drawn = make_rasterizer("auto", torch.device("cpu"))(
        splats, camera, sh_degree=sh_degree, background=torch.zeros(3), kernel_size=0.1
    )
    finite(picture=drawn.rgb, depth=drawn.depth, alpha=drawn.alpha)


def sound_camera(camera: Camera, name: str) -> None:
    finite(rotation=camera.rotation, translation=camera.translation)
    finite(**{name: torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy, *camera.half_field])})
    turn = camera.rotation.double()
    need(bool((turn @ turn.T - torch.eye(3)).abs().max() < 1e-3), f"{name}: no rotation")
    need(float(turn.det()) > 0, f"{name}: a mirror image")
    need(min(camera.fx, camera.fy) > 0 and min(camera.width, camera.height) >= 8, f"{name}: no camera")


def scene(parser: str) -> Opener:
    def opener(root: Path, target: Path) -> None:
        settings = DatasetSettings(parser=parser, root=str(root))
        schedule = ScaleSchedule(ScheduleSettings(scale_starts=(1,), scale_divisors=(1,)))
        datamodule = SceneDataModule(settings, schedule, 0)
        datamodule.setup()
        found = datamodule.scene
        finite(extent=torch.tensor(datamodule.extent), points=found.points.xyz, colours=found.points.rgb)
        for view in (*found.train, *found.test):
            sound_camera(view.camera, view.name)
            need("/" not in view.name and view.name.isprintable(), f"a view is called {view.name!r}")
        points = found.points if len(found.points.xyz) else random_points(50, 0)
        learned = Gaussians(points, GaussianSettings(), datamodule.extent)
        learned.update_filter(datamodule.cameras(0))
        finite(**{name: getattr(learned, name) for name in Gaussians.PARAMETERS})
        with torch.no_grad():
            drawable(learned.splats(), datamodule.cameras(0)[0])

    return opener


def photo(root: Path, target: Path) -> None:
    """The file alone, and the whole folder as ``task=prepare`` takes it in."""
    said: BagsError | None = None
    try:
        width, height = image_size(target)
        picture = read_image(target)
        need(picture.size == (width, height) and picture.mode in ("RGB", "RGBA"), "another picture than announced")
    except BagsError as error:
        said = error
    into = root.parent / "out"
    into.mkdir()
    photos, dropped = take_in(root, into, lambda *_: None)
    need(sorted(path.name for path in into.iterdir()) == sorted(p.name for p in photos), "files that nobody knows of")
    need(len(photos) + len(dropped) >= 7, f"files forgotten: {len(photos)} photos, {len(dropped)} dropped")
    for taken in photos:
        with Image.open(into / taken.name) as copy:
            need(copy.size == (taken.width, taken.height), f"{taken.name} has another size")
    if said is not None:
        raise said


def video(root: Path, target: Path) -> None:
    into = root.parent / "out"
    into.mkdir()
    for taken in take_frames(target, into, 3, lambda *_: None):
        need(image_size(into / taken.name) == (taken.width, taken.height), f"{taken.name} has another size")


def ply(root: Path, target: Path) -> None:
    found = read_ply(target)
    finite(**{name: value for name, value in vars(found).items() if value is not None})
    splats = to_splats(found)
    drawable(splats, Camera(torch.eye(3), torch.tensor([0.0, 0.0, 5.0]), 20.0, 20.0, 24, 16))


@functools.cache
def model() -> BagsModule:
    """Of the corpus's run."""
    settings = settings_of(Path("unused"), "dataset.synthetic.train_views=3", "dataset.synthetic.test_views=1")
    return build(decide(settings))[1]


def checkpoint(root: Path, target: Path) -> None:
    module = model()
    saved = Saved(target)
    restore(module, saved)
    need(saved.step >= 0, "no step")
    finite(**{name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, torch.Tensor)})
    gaussians = module.gaussians
    for name in (*Gaussians.PARAMETERS, *Gaussians.BUFFERS):
        need(len(getattr(gaussians, name)) == len(gaussians), f"another number of {name}")
    finite(extent=torch.tensor(gaussians.extent))
    need(0 <= gaussians.sh_degree <= 3, f"degree {gaussians.sh_degree}")
    with torch.no_grad():
        drawable(gaussians.splats(), Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, 24, 16), gaussians.sh_degree)


def figures(root: Path, target: Path) -> None:
    """What later tasks read of a run."""
    settings = Settings(name=RUN, output_root=str(root), task="train")
    finished(settings)
    psnr(settings)
    runs, problems = find_runs(root, ["*"], ["model.name"])
    need(len(runs) + len(problems) == 1, f"{len(runs)} runs, {len(problems)} problems")
    if runs:
        tables(runs)
    curves(read_history(root / RUN / "history.csv"))


def record(root: Path, target: Path) -> None:
    """What ``task=prepare`` left for ``task=reconstruct`` to go on with."""
    for row in prepared_before(Settings(dataset=DatasetSettings(parser="colmap", root=str(root))))["photos"]:
        need(isinstance(row["placed"], bool) and row["width"] > 0 and row["height"] > 0, "no photo")
        need(0 <= row["sharpness"] <= 1, "no sharpness")


def command(*arguments: str) -> Opener:
    """A whole command line, in this process."""

    def opener(root: Path, target: Path) -> None:
        said, before = io.StringIO(), sys.argv
        sys.argv = ["run.py", *(part.format(root=root, target=target) for part in arguments)]
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                cli.main()
        except SystemExit as end:
            lines = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
            need(end.code == 1 and len(lines) == 1 and "Traceback" not in said.getvalue(), said.getvalue()[-1500:])
            raise BagsError(lines[0]) from None
        finally:
            sys.argv = before

    return opener


ALONE = ("trainer.accelerator=cpu", "trainer.threads=1", "trainer.progress=false")
TASK = ("output_root={root}", f"name={RUN}", "render.frames=2", *ALONE)
SHORT = (
    "output_root={root}/../out", "name=new", "schedule.steps=2", "schedule.scale_starts=[1]",
    "schedule.scale_divisors=[1]", "model.bpn.kernels=[3]", "metrics.lpips=false", *ALONE,
    "output.images_every=null", "model.gaussians.random_points=50",
)  # fmt: skip
OPENERS: dict[str, Opener] = {
    "blender": scene("blender"), "multiscale": scene("multiscale_blender"), "colmap": scene("colmap"),
    "nerfstudio": scene("nerfstudio"),
    "photo": photo, "video": video, "ply": ply, "checkpoint": checkpoint, "figures": figures, "record": record,
    "evaluate": command("task=evaluate", *TASK), "render": command("task=render", *TASK),
    "export": command("task=export", *TASK), "summarize": command("task=summarize", "output_root={root}"),
    "train": command("dataset=blender", "dataset.root={root}", *SHORT),
    "prepare": command("task=prepare", "source={root}", "dataset.root={root}/../out/scene", "trainer.progress=false"),
}  # fmt: skip


def warm_up() -> None:
    """Load and compile what is shared, so that no input is blamed for it."""
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        compose("config")
    module = model()
    with torch.no_grad():
        drawable(module.gaussians.splats(), Camera(torch.eye(3), torch.zeros(3), 20.0, 20.0, 24, 16))
    points = PointCloud(torch.rand(5, 3), torch.rand(5, 3))
    Gaussians(points, GaussianSettings(), 1.0)
