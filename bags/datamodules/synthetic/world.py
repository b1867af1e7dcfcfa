"""Textured solids in a room under one light, as plain arrays for the kernels; the default room."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Shape(IntEnum):
    """A unit solid: the ball of radius 1, the cube [-1, 1]^3, or the cylinder of radius 1 with z in [-1, 1]."""

    BALL = 0
    BOX = 1
    CYLINDER = 2


class Pattern(IntEnum):
    """How a material's three colours are arranged; sizes are in scene units unless stated otherwise."""

    PLAIN = 0
    CHECKER = 1
    STRIPES = 2
    DOTS = 3
    BRICK = 4
    MOSAIC = 5
    PLANKS = 6
    MARBLE = 7
    TEXT = 8
    STAR = 9  # sizes: number of sectors, width of a ring


class World(NamedTuple):
    """S solids of M materials. Solid 0 is the room: every ray from inside it ends at a finite distance.

    Attributes:
        shapes: (S,) ``Shape``.
        solids: (S, 12) centre xyz, half sizes xyz, cosine and sine of the rotation about z, 1 / half sizes xyz, squared
            radius of a ball around the solid.
        materials: (S, 3) material of the sides perpendicular to x, y and z; a ball and the side of a cylinder have the
            first, the ends of a cylinder the third.
        patterns: (M,) ``Pattern``.
        sizes: (M, 4) pattern size along u and v, strength and size of the grain that varies the albedo.
        colours: (M, 3, 3) three linear RGB albedos.
        glyphs: (L, 7, 5) letters as dots.
        text: (T,) indices into ``glyphs``.
        light: (3,) position of the light.
        light_radius: half the side of the square that the light fills.
        brightness, ambient: reflected light per albedo, from the light at normal incidence and from all directions.
        seed: of the textures' random tones.
    """

    shapes: NDArray[np.int64]
    solids: Array
    materials: NDArray[np.int64]
    patterns: NDArray[np.int64]
    sizes: Array
    colours: Array
    glyphs: NDArray[np.int64]
    text: NDArray[np.int64]
    light: Array
    light_radius: float
    brightness: float
    ambient: float
    seed: int


class Material(NamedTuple):
    """Pattern with sizes ``size_u`` and ``size_v``, strength and size of the albedo's grain, and sRGB colours."""

    pattern: Pattern
    size_u: float
    size_v: float
    grain: float
    grain_size: float
    colours: tuple[str, str, str]


class Solid(NamedTuple):
    """A solid in scene units, rotated about z by ``turn`` degrees; materials of the sides perpendicular to x, y, z."""

    shape: Shape
    centre: tuple[float, float, float]
    half_sizes: tuple[float, float, float]
    turn: float
    materials: tuple[str, str, str]


class Contents(NamedTuple):
    """What a world is built from.

    Attributes:
        materials: by name.
        solids: the room; then ``turned`` solids whose rotation the seed varies by up to 8 degrees; then fixed ones.
        turned: see ``solids``.
        light, light_radius, brightness, ambient: see ``World``.
    """

    materials: dict[str, Material]
    solids: tuple[Solid, ...]
    turned: int
    light: tuple[float, float, float]
    light_radius: float
    brightness: float
    ambient: float


_LETTERS = {
    " ": "00000 00000 00000 00000 00000 00000 00000",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "G": "01110 10001 10000 10111 10001 10001 01110",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "N": "10001 11001 10101 10011 10001 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110",
}
_TEXT = "   BLUR    AGNOSTIC  GAUSSIAN  SPLATTING"  # four lines of ten letters

MATERIALS = {
    "floor": Material(Pattern.PLANKS, 1.2, 0.30, 0.3, 0.09, ("b98a5a", "8a5f38", "4a3019")),
    "wall": Material(Pattern.BRICK, 0.46, 0.21, 0.5, 0.09, ("b0573f", "8c4233", "a08e80")),
    "side": Material(Pattern.STRIPES, 0.45, 1e9, 0.3, 0.15, ("c9d3c0", "8fae9b", "ffffff")),
    "earth": Material(Pattern.MOSAIC, 0.2094, 0.2094, 0.3, 0.08, ("e6dcc2", "2b7288", "3d4a50")),
    "beach": Material(Pattern.STRIPES, 0.2388, 0.5, 0.25, 0.06, ("f4f1e8", "d6322e", "000000")),
    "dots": Material(Pattern.DOTS, 0.138, 0.138, 0.2, 0.06, ("f0c640", "2c4468", "c13a34")),
    "crate": Material(Pattern.PLANKS, 0.5, 0.2, 0.5, 0.08, ("d2a970", "a57f48", "5c3e22")),
    "print": Material(Pattern.TEXT, 0.135, 0.2, 0.15, 0.05, ("e2dbca", "33333c", "000000")),
    "poster": Material(Pattern.TEXT, 0.2, 0.36, 0.15, 0.08, ("24425a", "e6c74c", "000000")),
    "cover": Material(Pattern.TEXT, 0.14, 0.2, 0.2, 0.06, ("8e2f3c", "e8d9b8", "000000")),
    "pages": Material(Pattern.STRIPES, 1e9, 0.06, 0.2, 0.05, ("e6dec8", "b8ab8c", "000000")),
    "star": Material(Pattern.STAR, 16.0, 0.2, 0.15, 0.08, ("e4e2d8", "2e3138", "000000")),
    "column": Material(Pattern.MARBLE, 0.31, 0.55, 0.2, 0.05, ("dfe9e4", "2f6f5e", "000000")),
    "drum": Material(Pattern.CHECKER, 0.1257, 0.125, 0.2, 0.06, ("eae8e0", "6c3a8a", "000000")),
    "lid": Material(Pattern.DOTS, 0.11, 0.11, 0.2, 0.05, ("e8743b", "fff3da", "3a1f5d")),
    "chest": Material(Pattern.CHECKER, 0.2, 0.2, 0.3, 0.08, ("3aa6a2", "1d5263", "000000")),
}

_SOLIDS = (
    Solid(Shape.BOX, (0.0, -1.4, 1.8), (3.2, 3.8, 1.8), 0.0, ("side", "wall", "floor")),
    Solid(Shape.BALL, (-0.85, 0.55, 0.6), (0.6, 0.6, 0.6), -80.0, ("earth",) * 3),
    Solid(Shape.BALL, (0.5, -0.75, 0.38), (0.38, 0.38, 0.38), -70.0, ("beach",) * 3),
    Solid(Shape.BALL, (-0.35, -1.1, 0.22), (0.22, 0.22, 0.22), -95.0, ("dots",) * 3),
    Solid(Shape.BOX, (1.35, 0.75, 0.45), (0.45, 0.45, 0.45), 28.0, ("crate", "crate", "crate")),
    Solid(Shape.BOX, (1.32, 0.7, 1.1), (0.27, 0.27, 0.2), -12.0, ("print", "print", "chest")),
    Solid(Shape.CYLINDER, (0.3, 0.85, 0.75), (0.27, 0.27, 0.75), -90.0, ("column", "column", "lid")),
    Solid(Shape.CYLINDER, (1.3, -0.45, 0.25), (0.2, 0.2, 0.25), -90.0, ("drum", "drum", "lid")),
    Solid(Shape.BOX, (-1.15, -0.7, 0.09), (0.42, 0.3, 0.09), -20.0, ("pages", "pages", "cover")),
    Solid(Shape.BOX, (-1.95, 1.4, 0.5), (0.3, 0.3, 0.5), 15.0, ("chest", "chest", "chest")),
    Solid(Shape.BOX, (-1.2, 2.37, 1.75), (1.0, 0.04, 0.72), 0.0, ("pages", "poster", "pages")),
    Solid(Shape.BOX, (1.25, 2.37, 1.85), (0.6, 0.04, 0.6), 0.0, ("pages", "star", "pages")),
)

ROOM = Contents(MATERIALS, _SOLIDS, turned=9, light=(-2.0, -3.2, 3.4), light_radius=0.25, brightness=0.85, ambient=0.3)


def srgb_to_linear(values: Array) -> Array:
    """Linear light of sRGB values, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Array) -> Array:
    """The sRGB values of linear light, clipped to [0, 1] (IEC 61966-2-1)."""
    light = np.clip(light, 0.0, 1.0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def build_world(rng: np.random.Generator, contents: Contents = ROOM) -> World:
    """The room and its solids; ``rng`` varies the colours, the rotations and the textures' random tones."""
    names, rows, solids = list(contents.materials), list(contents.materials.values()), contents.solids
    colours = np.array([[list(bytes.fromhex(colour)) for colour in row.colours] for row in rows]) / 255.0
    tint = rng.uniform(0.88, 1.12, (len(rows), 1, 3))
    centers, halves = np.array([solid.centre for solid in solids]), np.array([solid.half_sizes for solid in solids])
    turns = np.radians([solid.turn for solid in solids])
    turns[1 : 1 + contents.turned] += np.radians(rng.uniform(-8.0, 8.0, contents.turned))
    glyphs = [[[int(dot) for dot in line] for line in letter.split()] for letter in _LETTERS.values()]
    return World(
        shapes=np.array([int(solid.shape) for solid in solids]),
        solids=np.column_stack([centers, halves, np.cos(turns), np.sin(turns), 1.0 / halves, (halves**2).sum(1)]),
        materials=np.array([[names.index(name) for name in solid.materials] for solid in solids]),
        patterns=np.array([int(row.pattern) for row in rows]),
        sizes=np.array([row[1:5] for row in rows]),
        colours=np.minimum(srgb_to_linear(colours) * tint, 0.95),
        glyphs=np.array(glyphs),
        text=np.array([list(_LETTERS).index(letter) for letter in _TEXT]),
        light=np.array(contents.light),
        light_radius=contents.light_radius,
        brightness=contents.brightness,
        ambient=contents.ambient,
        seed=int(rng.integers(2**20)),
    )
