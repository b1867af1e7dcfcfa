"""The pictures of README.md and docs/, from the built-in scenes with ``model=auto`` (``make pictures``).

README's picture is the demo's ``before_after.png``. A row of the gallery shows the most blurred training photo of a
world, our model's sharp render of it, and the truth: the same view ray-cast without blur. Finished runs are not
repeated.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from PIL import Image

from bags.config import compose
from bags.datamodules.synthetic import make_synthetic_scene, render_sharp
from bags.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "images"
WORLDS = ("room_mixed", "walk_around_strong", "facade_roll", "forward_facing_defocus")
SIZE = ["dataset.synthetic.width=240", "dataset.synthetic.height=160"]
GAP = 6  # pixels between the pictures of a row


def trained(*words: str) -> Settings:
    """Train with ``words`` on the command line, and return their settings."""
    words = (*words, "model=auto")
    subprocess.run([sys.executable, "run.py", *words, "ckpt_path=auto"], cwd=ROOT, check=True)
    return compose(*words)


def row(settings: Settings) -> Image.Image:
    """Photo, sharp render and truth, side by side."""
    world = settings.dataset.synthetic
    views = make_synthetic_scene(world).train
    worst = max(views, key=lambda view: view.blur.amount if view.blur else 0.0)
    layers = ROOT / settings.folder / "train_views"
    pictures = [Image.open(layers / layer / f"{Path(worst.name).stem}.png") for layer in ("photo", "sharp")]
    pictures += render_sharp(replace(world, blurs=("sharp",)), [worst.camera])
    width = world.width + GAP
    sheet = Image.new("RGB", (len(pictures) * width - GAP, world.height), "white")
    for column, picture in enumerate(pictures):
        sheet.paste(picture.convert("RGB"), (column * width, 0))
    return sheet


def main() -> None:
    """Train what is missing, then make the pictures."""
    PICTURES.mkdir(exist_ok=True)
    demo = Image.open(ROOT / trained("name=pictures").folder / "before_after.png")
    few = demo.quantize(256, Image.Quantize.MAXCOVERAGE)  # 256 colours, for a quarter of the file size
    few.save(PICTURES / "before_after.png", optimize=True)
    for world in WORLDS:
        settings = trained(f"scene=ladder/{world}", f"name=gallery/{world}", *SIZE)
        row(settings).save(PICTURES / f"gallery_{world}.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
