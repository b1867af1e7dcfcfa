"""Niantic's SPZ, version 3: about 64 bytes per Gaussian before gzip; written by gsply."""

from __future__ import annotations

import gzip
from dataclasses import replace
from math import floor, log2
from pathlib import Path

import torch

from bags.errors import DataError
from bags.io.ply import PlyGaussians
from bags.io.splat_files.through_gsply import data_of, gsply

VERSION = 3  # supported by most programs; some reject 4
PLACES = 2**23 - 1  # positions are signed integers of 24 bits
FINEST = 24  # most bits after the binary point
FLAGS, ANTIALIASED = 14, 1  # offset of the flags in the header, and the flag of Mip-Splatting's filter

# The file's axes are x right, y up, z backward: ours rotated by 180 degrees about x. Harmonics odd in it change sign.
TURN = torch.tensor([1.0, -1.0, -1.0])
TURN_WXYZ = torch.tensor([1.0, 1.0, -1.0, -1.0])
TURN_SH = torch.tensor([-1.0, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1])


def write(path: Path, gaussians: PlyGaussians) -> None:
    """Write the file, with the finest grid of positions that the scene's size allows.

    Raises:
        DataError: a position is beyond the range of 24 bits.
    """
    furthest = float(gaussians.means.abs().max())
    bits = FINEST if furthest == 0 else min(FINEST, floor(log2(PLACES / furthest)))
    if bits < 1:
        raise DataError(
            f"spz has positions up to {PLACES // 2}, but a Gaussian is at {furthest:.3g}: leave spz out of the formats"
        )
    turned = replace(
        gaussians,
        means=gaussians.means * TURN,
        rotations=gaussians.rotations * TURN_WXYZ,
        sh_rest=gaussians.sh_rest * TURN_SH[: gaussians.sh_rest.shape[1], None],
    )
    gsply().write_spz(path, data_of(turned), version=VERSION, fractional_bits=bits)
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[FLAGS] |= ANTIALIASED  # gsply does not set it
    path.write_bytes(gzip.compress(data, mtime=0))
