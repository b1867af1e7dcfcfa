"""Training resolution (docs/method.md section 5)."""

from __future__ import annotations

from bags.errors import SettingError

DIVISORS = (1, 2, 4, 8, 16, 32, 64)
WIDEST = 1600  # pixels, for factor -1
SMALLEST = 8  # pixels; SSIM and the renderer's tiles need a few
LARGEST = 20_000  # pixels


def training_size(
    width: int, height: int, factor: int, divisor: int = 1, key: str = "dataset.factor"
) -> tuple[int, int]:
    """Size in pixels of a photo in training.

    Args:
        width: of the photo.
        height: of the photo.
        factor: ``dataset.factor``: a power of two up to 64 divides the photo's size; -1 keeps it but at most 1600
            pixels wide; any other number is the width (enlarging a narrower photo).
        divisor: of the schedule's current scale.
        key: name of the setting that holds ``factor``, for messages.

    Returns:
        Width and height: the photo's, scaled in one step and rounded (halves to even, as published).

    Raises:
        SettingError: a side would be shorter than 8 pixels or longer than 20,000.
    """
    if factor in DIVISORS:
        scale = 1 / factor
    elif factor == -1:
        scale = min(1.0, WIDEST / width)
    else:
        scale = factor / width
    size = round(width * scale / divisor), round(height * scale / divisor)
    if min(size) < SMALLEST or max(size) > LARGEST:
        coarse = f" at scale divisor {divisor} (schedule.scale_divisors)" if divisor > 1 else ""
        raise SettingError(
            key,
            factor,
            f"a photo of {width} x {height} pixels would become {size[0]} x {size[1]}{coarse}, but sides must be"
            f" {SMALLEST} to {LARGEST:,}; powers of two up to {DIVISORS[-1]} divide the size, other numbers are the"
            " width in pixels",
        )
    return size
