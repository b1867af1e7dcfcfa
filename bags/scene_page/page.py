"""The page: scene, cameras and photos, the JavaScript libraries that draw them, and our own script."""

from __future__ import annotations

import base64
import json
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bags.io.splat_files import write_splats
from bags.report.jpegs import jpeg
from bags.scene_page.client import client
from bags.types import Camera, Splats

SCENE = "scene.html"
PICTURE_BYTES = 8_000_000  # of all pictures together, before base64, which adds a third
MOST_PICTURE_BYTES = 200_000  # of one picture


@dataclass(frozen=True)
class Photo:
    """A photo and its viewpoint.

    Attributes:
        name: of the photo.
        camera: used in training.
        pictures: captions and pictures with which the render can be compared; may be empty.
    """

    name: str
    camera: Camera
    pictures: Sequence[tuple[str, Image.Image]] = ()


def scene_page(title: str, splats: Splats, photos: Sequence[Photo], focus: Sequence[float], spread: float,
               white: bool) -> str:  # fmt: skip
    """The page as HTML; every text in it is escaped.

    Args:
        title: of the scene.
        splats: activated, 3D filter applied.
        photos: at least one; the page opens at the first one's viewpoint.
        focus: (3,) what the photos look at, in the world's coordinates.
        spread: variance in square pixels that is added to Gaussians on the screen (``model.gaussians.kernel_size``).
        white: white background instead of black.

    Raises:
        BagsError: the JavaScript libraries are not available.
        DataError: the page stores the scene as SPZ, which cannot represent these Gaussians.
    """
    modules, licences = client()
    parts = {name: files("bags.scene_page").joinpath(name).read_text("utf-8") for name in PARTS}
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return engine.from_string(parts["scene.html"]).render(
        title=title,
        nonce=secrets.token_urlsafe(16),
        style=Markup(parts["style.css"]),
        loader=Markup(parts["loader.js"]),
        main=_base64(parts["main.js"].encode()),
        client=modules,
        licences=Markup(licences.replace("<", "&lt;")),
        scene=_base64(_spz(splats)),
        facts=_json({"photos": _described(photos), "focus": list(focus), "spread": spread, "white": white}),
    )


PARTS = ("scene.html", "style.css", "loader.js", "main.js")


def _described(photos: Sequence[Photo]) -> list[dict[str, Any]]:
    limit = min(MOST_PICTURE_BYTES, PICTURE_BYTES // max(1, sum(len(photo.pictures) for photo in photos)))
    return [
        {
            "name": photo.name,
            "rotation": photo.camera.rotation.flatten().tolist(),
            "centre": photo.camera.center.tolist(),
            "focal": [photo.camera.fx, photo.camera.fy],
            "size": [photo.camera.width, photo.camera.height],
            "offset": list(photo.camera.offset),
            "pictures": [{"words": words, "uri": jpeg(image, limit).uri} for words, image in photo.pictures],
        }
        for photo in photos
    ]


@torch.no_grad()
def _spz(splats: Splats) -> bytes:
    with tempfile.TemporaryDirectory(prefix="bags-page-") as scratch:
        return write_splats(Path(scratch, "scene"), splats, "spz").read_bytes()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json(values: Any) -> Markup:
    """JSON that is safe within a script element."""
    return Markup(json.dumps(values).replace("<", "\\u003c"))
