"""Reads photos and writes pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from bags.errors import BagsError, DataError
from bags.io.atomic import replacing

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # Pillow supports more, but runs external programs for some
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
LABEL_HEIGHT = 14  # pixels above each picture of a contact sheet

# Dark blue via green to yellow, in equal steps of lightness, so that equal depth steps look equal.
_DEPTH_COLOURS = torch.tensor(
    [[13, 8, 80], [41, 60, 132], [36, 104, 142], [31, 146, 140], [63, 185, 113], [150, 216, 64], [252, 231, 40]]
)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image of one of ``FORMATS`` (or HEIC, if installed); the file's name does not matter.

    Pillow reads the pixels only when they are used.

    Raises:
        DataError: it cannot be read, here or later in the block.
    """
    try:
        if not path.is_file():  # opening a pipe would wait
            raise FileNotFoundError("no such file")
        with Image.open(path, formats=(*FORMATS, *({"HEIF"} & Image.OPEN.keys()))) as image:
            yield image
    except BagsError:
        raise
    except Exception as error:  # decoders raise many kinds for damaged files
        raise DataError(
            f"{path}: cannot be read as an image ({str(error) or type(error).__name__}); replace it"
        ) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels from the file's header, as stored (an EXIF orientation is not applied).

    Raises:
        DataError: it is not an image.
    """
    with opened(Path(path)) as image:
        return image.size


def read_image(path: str | Path) -> Image.Image:
    """A photo as 8-bit RGB, or RGBA if it has transparency; like in COLMAP, EXIF orientation is not applied.

    Raises:
        DataError: it is unreadable or truncated, or has more than 8 bits per channel.
    """
    path = Path(path)
    with opened(path) as image:
        image.load()
        if image.mode.startswith(("I", "F")):
            raise DataError(f"{path}: has pixels of mode {image.mode!r}; convert the photo to 8 bits per channel")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")


def to_uint8(image: Tensor) -> Tensor:
    """A (3, H, W) or (H, W) float picture in [0, 1] as (H, W, 3) uint8: clamped, then rounded to nearest."""
    if image.dim() == 2:
        image = image.expand(3, *image.shape)
    levels = image.detach().float().nan_to_num(0.0).clamp(0, 1) * 255
    return levels.round().to(torch.uint8).permute(1, 2, 0).cpu()


def to_picture(image: Tensor) -> Image.Image:
    """A (3, H, W) or (H, W) float image in [0, 1] as an RGB image of Pillow."""
    return Image.fromarray(to_uint8(image).contiguous().numpy())


def from_picture(picture: Image.Image) -> Tensor:
    """An image of Pillow as (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float().div(255).contiguous()


def write_png(path: str | Path, image: Tensor) -> None:
    """Write ``image``, (3, H, W) or (H, W) float, clamped to [0, 1], as an 8-bit RGB PNG."""
    picture = to_picture(image)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def depth_ends(depth: Tensor, alpha: Tensor) -> tuple[float, float]:
    """Near and far end of a depth map's colours: its 2nd and 98th percentile, so that outliers do not matter.

    Args:
        depth: (H, W) sum of alpha * transmittance * distance (``RenderOutput.depth``).
        alpha: (H, W) accumulated opacity. If nothing is drawn at all, both ends are 0.
    """
    drawn = alpha > 0.05
    if not bool(drawn.any()):
        return 0.0, 0.0
    near, far = np.percentile((depth[drawn] / alpha[drawn]).detach().float().cpu().numpy(), (2, 98))
    return float(near), float(far)


def depth_picture(depth: Tensor, alpha: Tensor, ends: tuple[float, float] | None = None) -> Tensor:
    """Colours for a rendered depth map: near is bright yellow, far is dark blue, nothing is black.

    Args:
        depth: (H, W) sum of alpha * transmittance * distance (``RenderOutput.depth``).
        alpha: (H, W) accumulated opacity; depth is divided by it, and pixels fade to black with it.
        ends: depths of the brightest and the darkest colour; None: ``depth_ends`` of this map.

    Returns:
        (3, H, W) float32 in [0, 1], on the CPU.
    """
    near, far = depth_ends(depth, alpha) if ends is None else ends
    alpha = alpha.detach().float().cpu().clamp(0, 1)
    mean = depth.detach().float().cpu() / alpha.clamp_min(0.05)
    nearness = 1 - ((mean - near) / max(far - near, 1e-12)).clamp(0, 1)
    place = nearness.nan_to_num(0.0) * (len(_DEPTH_COLOURS) - 1)
    below = place.floor().long().clamp_max(len(_DEPTH_COLOURS) - 2)
    colours = _DEPTH_COLOURS.float() / 255
    picture = torch.lerp(colours[below], colours[below + 1], (place - below)[..., None])
    return (picture * alpha[..., None]).permute(2, 0, 1).contiguous()


def tile(images: Sequence[Tensor], columns: int, labels: Sequence[str] | None = None) -> Tensor:
    """A contact sheet.

    Args:
        images: (3, H, W) or (H, W) floats in [0, 1], of any sizes; each cell is as large as the largest.
        columns: pictures per row.
        labels: one short text per picture, written above it.

    Returns:
        (3, rows * cell height, columns * cell width) float32 in [0, 1], black where there is no picture.
    """
    if not images:
        raise ValueError("tile: no images")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"tile: {len(labels)} labels for {len(images)} images")
    top = LABEL_HEIGHT if labels is not None else 0
    columns = min(columns, len(images))
    height = max(image.shape[-2] for image in images) + top
    width = max(image.shape[-1] for image in images)
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * height))
    draw = ImageDraw.Draw(sheet)
    for place, image in enumerate(images):
        x, y = place % columns * width, place // columns * height
        sheet.paste(Image.fromarray(to_uint8(image).contiguous().numpy()), (x, y + top))
        if labels is not None:
            draw.text((x + 2, y + 1), labels[place], fill=(255, 255, 255))
    return from_picture(sheet)
