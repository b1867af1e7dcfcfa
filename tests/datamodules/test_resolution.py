from __future__ import annotations

import pytest

from bags.datamodules.resolution import training_size
from bags.errors import SettingError


def test_size():
    for photo, factor, divisor, expected in (
        ((2400, 1600), 4, 1, (600, 400)),
        ((2400, 1600), 4, 4, (150, 100)),
        ((1003, 667), 2, 1, (502, 334)),  # 501.5 and 333.5: halves to even
        ((1001, 667), 8, 2, (63, 42)),
        ((4096, 2048), 64, 1, (64, 32)),
        ((1600, 900), -1, 1, (1600, 900)),
        ((1601, 901), -1, 1, (1600, 900)),
        ((5187, 3361), -1, 1, (1600, 1037)),
        ((5187, 3361), -1, 4, (400, 259)),
        ((640, 480), -1, 2, (320, 240)),
        ((640, 480), 300, 1, (300, 225)),
        ((640, 480), 800, 1, (800, 600)),
    ):
        assert training_size(*photo, factor, divisor) == expected, (photo, factor, divisor)


def test_too_small_or_large(subtests):
    for factor, divisor in ((3, 1), (64, 1), (8, 8), (100_000, 1)):
        message = rf"dataset\.factor = {factor}.*sides must be 8 to 20,000"
        with subtests.test(factor=factor, divisor=divisor), pytest.raises(SettingError, match=message):
            training_size(400, 300, factor, divisor)


def test_the_setting_that_is_too_small_is_named():
    with pytest.raises(
        SettingError, match=r"^render\.factor = 3: a photo of 400 x 300 pixels would become 3 x 2, but s"
    ):
        training_size(400, 300, 3, key="render.factor")
