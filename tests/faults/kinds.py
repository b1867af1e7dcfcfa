"""Kinds of input: what is damaged, how, and what opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.corpus import RUN
from tests.faults.crafted import CHECKPOINT, JPEG, PNG
from tests.faults.damage import BYTES, LINES, Damage, not_a_file
from tests.faults.openers import OPENERS, Opener
from tests.faults.trees import JSON, YAML

WHOLE = -1  # number of an input that is not damaged: it must be taken in, or the campaign would prove nothing
SPECIAL: dict[str, tuple[Damage, ...]] = {
    ".json": JSON, ".yaml": YAML, ".csv": LINES, ".txt": LINES, ".png": PNG, ".jpg": JPEG, ".jpeg": JPEG,
    ".ckpt": CHECKPOINT,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        corpus: its folder there.
        targets: globs of the files that are damaged.
        opener: by name.
        share: of all inputs.
        whole: is it taken in where it is not damaged?
    """

    corpus: str
    targets: tuple[str, ...]
    opener: str
    share: float
    whole: bool = True

    @property
    def open(self) -> Opener:
        return OPENERS[self.opener]

    def damages(self, target: Path) -> Sequence[Damage]:
        """Damage fit for a file: to its bytes, to what it means, seldom to the file itself."""
        special = SPECIAL.get(target.suffix, LINES if target.suffix == ".ply" else BYTES)
        return (*BYTES, *special * (2 * len(BYTES) // len(special)), not_a_file, not_a_file)


CKPT, CONFIG, METRICS = f"{RUN}/checkpoints/last.ckpt", f"{RUN}/config.yaml", f"{RUN}/metrics.json"
KINDS: dict[str, Kind] = {
    "blender": Kind("blender", ("*.json", "*.json", "train/*.png"), "blender", 14),
    "multiscale": Kind("multiscale", ("*.json",), "multiscale", 10),
    "colmap": Kind("colmap", ("sparse/0/*.bin",), "colmap", 12),
    "colmap text": Kind("colmap_text", ("sparse/0/*.txt", "test.txt"), "colmap", 8),
    "nerfstudio": Kind("nerfstudio", ("transforms.json", "transforms.json", "*.ply"), "nerfstudio", 8),
    "photo": Kind("photos", ("*",), "photo", 16),
    "video": Kind("video", ("*",), "video", 8),
    "ply": Kind("ply", ("*",), "ply", 9),
    "checkpoint": Kind("run", (CKPT,), "checkpoint", 12),
    "figures": Kind("run", (METRICS, CONFIG, f"{RUN}/history.csv"), "figures", 7),
    "prepare.json": Kind("run", ("prepare.json",), "record", 2),
    "task=evaluate": Kind("run", (CKPT, CONFIG, CONFIG, METRICS, f"{RUN}/history.csv"), "evaluate", 0.7),
    "task=render": Kind("run", (CKPT, CONFIG), "render", 0.3),
    "task=export": Kind("run", (CKPT, CONFIG), "export", 0.3),
    "task=summarize": Kind("run", (METRICS, CONFIG), "summarize", 0.2),
    "task=train": Kind("blender", ("*.json", "train/*.png"), "train", 0.3),
    "task=prepare": Kind("video", ("*",), "prepare", 0.2, whole=False),  # noise cannot be placed in space
}
