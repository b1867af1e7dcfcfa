from __future__ import annotations

import pytest
import torch

from bags.ops.tv import total_variation


def test_definition():
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = [(image[c, y + 1, x] - image[c, y, x]) ** 2 for c in range(3) for y in range(4) for x in range(7)]
    columns = [(image[c, y, x + 1] - image[c, y, x]) ** 2 for c in range(3) for y in range(5) for x in range(6)]
    expected = 2 * (torch.stack(rows).mean() + torch.stack(columns).mean())
    torch.testing.assert_close(total_variation(image), expected)


def test_flat_and_ramp():
    assert total_variation(torch.ones(1, 4, 4)).item() == 0
    ramp = torch.arange(6.0).expand(1, 4, 6)
    assert total_variation(ramp).item() == pytest.approx(2)
