from __future__ import annotations

import math

import pytest
import torch

from bags.ops.positional import positional_code_1d, positional_code_2d


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 8), (12, 7)])
def test_every_entry_is_the_formula(height: int, width: int) -> None:
    code = positional_code_2d(height, width)
    assert code.shape == (16, height, width)
    for y in range(height):
        for x in range(width):
            expected = []
            for position in (y * 2 * math.pi / height, x * 2 * math.pi / width):
                for j in (0, 2, 4, 6):
                    angle = position * 10000 ** (-j / 8)
                    expected += [math.sin(angle), math.cos(angle)]
            torch.testing.assert_close(code[:, y, x], torch.tensor(expected), rtol=0, atol=1e-6)


def test_parts_are_rows_and_columns() -> None:
    code = positional_code_2d(6, 9, 8)
    torch.testing.assert_close(code[:4, :, 3], positional_code_1d(6, 4))
    torch.testing.assert_close(code[4:, 2], positional_code_1d(9, 4))
