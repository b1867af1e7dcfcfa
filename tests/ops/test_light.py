from __future__ import annotations

import numpy as np
import torch

from bags.datamodules.synthetic.world import linear_to_srgb, srgb_to_linear
from bags.ops.light import to_linear, to_srgb

VALUES = torch.cat([torch.linspace(0, 1, 400), torch.tensor([0.0405, 0.00313, 0.7])]).double()


def test_curves_are_those_of_srgb():
    np.testing.assert_allclose(to_linear(VALUES).numpy(), srgb_to_linear(VALUES.numpy()), atol=1e-7)
    np.testing.assert_allclose(to_srgb(VALUES).numpy(), linear_to_srgb(VALUES.numpy()), atol=1e-7)


def test_one_is_the_inverse_of_the_other_beyond_black_and_white_too():
    values = torch.linspace(-0.5, 1.5, 201).double()
    torch.testing.assert_close(to_srgb(to_linear(values)), values, atol=1e-12, rtol=0)


def test_gradients_are_the_curves_slopes():
    values = torch.tensor([-0.2, 0.0, 0.02, 0.1, 0.5, 1.0, 1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(to_linear, values)
    assert torch.autograd.gradcheck(to_srgb, values)
