"""Sharpness of a photo without a reference."""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.measure import blur_effect

SIDE = 1000  # pixels of the longer side at which the sharpness of larger photos is measured


def sharpness(photo: Image.Image, side: int = SIDE) -> float:
    """1 - the perceptual blur of Crete et al., "The blur effect", SPIE 2007 (scikit-image's ``blur_effect``).

    It measures how much a photo changes when it is blurred once more, in the worse of both directions. It compares
    photos of the same scene well, and those of different scenes roughly.

    Args:
        photo: of any mode.
        side: the longer side is first reduced to this many pixels; smaller photos are not changed.

    Returns:
        In [0, 1]; about 0.7 and more for a sharp photo, 0.6 and less for a blurred one.
    """
    grey = photo.convert("L")
    grey.thumbnail((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(grey, dtype=np.float64) / 255
    if min(pixels.shape) < 8 or np.ptp(pixels) == 0:
        return 0.0
    return float(np.clip(1 - blur_effect(pixels), 0.0, 1.0))
