"""The contents of the layouts other than the default room: a hall, a facade, a court seen through posts."""

from __future__ import annotations

import math

from bags.datamodules.synthetic.world import MATERIALS, Contents, Material, Pattern, Shape, Solid

_MORE = MATERIALS | {
    "tiles": Material(Pattern.MOSAIC, 0.55, 0.55, 0.4, 0.12, ("a89f8c", "75684f", "55503f")),
    "blocks": Material(Pattern.BRICK, 1.7, 0.8, 0.5, 0.35, ("a9a294", "7d7566", "565044")),
    "panels": Material(Pattern.MOSAIC, 1.5, 1.1, 0.4, 0.3, ("94a98f", "4e6f78", "39464a")),
    "mural": Material(Pattern.DOTS, 1.4, 1.4, 0.3, 0.4, ("c2a05a", "36567c", "a5483a")),
    "banner": Material(Pattern.TEXT, 0.8, 1.3, 0.25, 0.3, ("27455c", "d8bd52", "000000")),
    "pillar": Material(Pattern.MARBLE, 0.9, 1.4, 0.3, 0.2, ("b9b2a4", "6d6558", "000000")),
    "panes": Material(Pattern.MOSAIC, 0.34, 0.42, 0.2, 0.1, ("6f8ea6", "2a4258", "cfc9b8")),
    "awning": Material(Pattern.STRIPES, 0.3, 1e9, 0.2, 0.1, ("c9c2b0", "a23b34", "000000")),
    "sign": Material(Pattern.TEXT, 0.2, 0.4, 0.15, 0.08, ("3a2c25", "d9c48a", "000000")),
    "plaster": Material(Pattern.BRICK, 0.62, 0.26, 0.6, 0.12, ("a98a6c", "84614a", "8d8578")),
    "bark": Material(Pattern.MARBLE, 0.13, 0.21, 0.4, 0.04, ("9c7a55", "4b3624", "000000")),
}


def _around(radius: float, height: float, distance: float, count: int, first: float) -> tuple[Solid, ...]:
    """``count`` pillars on a circle around the origin, the first at ``first`` degrees."""
    angles = [math.radians(first + 360.0 * index / count) for index in range(count)]
    places = [(distance * math.cos(angle), distance * math.sin(angle), height / 2) for angle in angles]
    materials = ("pillar", "pillar", "lid")
    return tuple(Solid(Shape.CYLINDER, place, (radius, radius, height / 2), 0.0, materials) for place in places)


# Objects on a floor, seen from all sides; pillars at distance 9 and walls at distance 15 from the middle.
HALL = Contents(
    _MORE,
    (
        Solid(Shape.BOX, (0.0, 0.0, 4.0), (15.0, 15.0, 4.0), 0.0, ("blocks", "panels", "tiles")),
        Solid(Shape.BOX, (0.0, 0.0, 0.4), (0.5, 0.5, 0.4), 20.0, ("crate", "crate", "chest")),
        Solid(Shape.BALL, (-1.0, 0.35, 0.42), (0.42, 0.42, 0.42), -80.0, ("earth",) * 3),
        Solid(Shape.BALL, (0.55, -1.0, 0.34), (0.34, 0.34, 0.34), -70.0, ("beach",) * 3),
        Solid(Shape.CYLINDER, (0.95, 0.65, 0.6), (0.24, 0.24, 0.6), -90.0, ("column", "column", "lid")),
        Solid(Shape.CYLINDER, (-0.55, -0.9, 0.25), (0.22, 0.22, 0.25), 40.0, ("drum", "drum", "lid")),
        Solid(Shape.BOX, (-0.25, 1.05, 0.3), (0.3, 0.3, 0.3), -12.0, ("earth", "earth", "chest")),
        Solid(Shape.BOX, (1.25, -0.35, 0.08), (0.36, 0.26, 0.08), 35.0, ("pages", "pages", "cover")),
        Solid(Shape.BALL, (0.0, 0.0, 1.12), (0.32, 0.32, 0.32), -95.0, ("dots",) * 3),
        *_around(0.45, 8.0, 9.0, 7, 12.0),
        Solid(Shape.BOX, (-5.0, 14.9, 3.6), (2.8, 0.1, 2.6), 0.0, ("pages", "banner", "pages")),
        Solid(Shape.BOX, (5.5, 14.9, 2.6), (2.2, 0.1, 2.2), 0.0, ("pages", "mural", "pages")),
        Solid(Shape.BOX, (4.0, -14.9, 3.4), (3.0, 0.1, 2.4), 0.0, ("pages", "mural", "pages")),
        Solid(Shape.BOX, (14.9, -4.0, 3.2), (0.1, 2.6, 2.4), 0.0, ("mural", "pages", "pages")),
        Solid(Shape.BOX, (-14.9, 3.0, 3.2), (0.1, 3.0, 2.4), 0.0, ("banner", "pages", "pages")),
        Solid(Shape.BOX, (-11.5, -9.5, 1.2), (1.4, 1.4, 1.2), 30.0, ("chest", "crate", "crate")),
        Solid(Shape.BOX, (11.0, 10.0, 1.0), (1.5, 1.0, 1.0), -25.0, ("crate", "chest", "crate")),
    ),
    turned=8,
    light=(-3.0, -4.0, 7.4),
    light_radius=0.7,
    brightness=0.7,
    ambient=0.32,
)


def _bay(x: float) -> tuple[Solid, ...]:
    """A window with its sill and a window above, around ``x`` of the facade."""
    return (
        Solid(Shape.BOX, (x, 0.0, 1.75), (0.62, 0.08, 0.75), 0.0, ("pages", "panes", "pages")),
        Solid(Shape.BOX, (x, -0.12, 0.92), (0.78, 0.16, 0.07), 0.0, ("crate", "crate", "crate")),
        Solid(Shape.BOX, (x, 0.0, 4.2), (0.62, 0.08, 0.7), 0.0, ("pages", "panes", "pages")),
    )


# A house front across the view at y = 0, seen from the street in front of it.
STREET = Contents(
    _MORE,
    (
        Solid(Shape.BOX, (0.0, -6.0, 3.0), (10.0, 6.0, 3.0), 0.0, ("blocks", "plaster", "tiles")),
        Solid(Shape.BOX, (-1.9, -0.9, 0.3), (0.34, 0.3, 0.3), 20.0, ("crate", "crate", "crate")),
        Solid(Shape.BOX, (2.4, -1.2, 0.24), (0.6, 0.22, 0.24), -10.0, ("chest", "chest", "crate")),
        Solid(Shape.CYLINDER, (-4.6, -0.9, 0.4), (0.28, 0.28, 0.4), 10.0, ("drum", "drum", "lid")),
        Solid(Shape.BALL, (-4.6, -0.9, 1.1), (0.36, 0.36, 0.36), 30.0, ("dots",) * 3),
        Solid(Shape.CYLINDER, (5.2, -1.0, 0.45), (0.26, 0.26, 0.45), 60.0, ("column", "column", "lid")),
        Solid(Shape.BALL, (0.9, -1.6, 0.3), (0.3, 0.3, 0.3), -60.0, ("beach",) * 3),
        *(solid for x in (-6.0, -3.2, 3.2, 6.0) for solid in _bay(x)),
        Solid(Shape.BOX, (0.0, 0.0, 1.15), (0.7, 0.1, 1.15), 0.0, ("pages", "crate", "pages")),
        Solid(Shape.BOX, (0.0, -0.35, 2.5), (1.15, 0.35, 0.06), 0.0, ("awning", "awning", "awning")),
        Solid(Shape.BOX, (0.0, 0.0, 3.15), (1.35, 0.06, 0.42), 0.0, ("pages", "sign", "pages")),
        Solid(Shape.BOX, (0.0, 0.0, 4.6), (0.62, 0.08, 0.7), 0.0, ("pages", "panes", "pages")),
        Solid(Shape.BOX, (3.2, -0.4, 2.65), (0.9, 0.4, 0.05), 0.0, ("awning", "awning", "awning")),
        *(
            Solid(Shape.CYLINDER, (x, -0.3, 2.9), (0.17, 0.17, 2.9), 0.0, ("column", "column", "lid"))
            for x in (-7.6, -4.6, -1.65, 1.65, 4.6, 7.6)
        ),
    ),
    turned=6,
    light=(-5.0, -9.0, 5.4),
    light_radius=0.6,
    brightness=0.66,
    ambient=0.34,
)

# Posts and objects close to the camera, others further away, and a far wall: depth edges all over the view.
COURT = Contents(
    _MORE,
    (
        Solid(Shape.BOX, (0.0, 2.0, 2.4), (5.5, 7.0, 2.4), 0.0, ("side", "plaster", "tiles")),
        Solid(Shape.CYLINDER, (-0.95, -0.7, 1.2), (0.09, 0.09, 1.2), 0.0, ("bark", "bark", "lid")),
        Solid(Shape.CYLINDER, (0.62, -0.35, 1.2), (0.075, 0.075, 1.2), 50.0, ("bark", "bark", "lid")),
        Solid(Shape.CYLINDER, (-0.25, -0.5, 0.42), (0.19, 0.19, 0.42), 20.0, ("drum", "drum", "lid")),
        Solid(Shape.BALL, (-0.25, -0.5, 1.05), (0.21, 0.21, 0.21), -70.0, ("earth",) * 3),
        Solid(Shape.BOX, (1.25, -0.1, 0.5), (0.28, 0.28, 0.5), 25.0, ("crate", "print", "chest")),
        Solid(Shape.BALL, (1.25, -0.1, 1.22), (0.22, 0.22, 0.22), -95.0, ("dots",) * 3),
        Solid(Shape.BOX, (-1.7, 2.0, 0.6), (0.45, 0.45, 0.6), 18.0, ("crate", "crate", "crate")),
        Solid(Shape.BALL, (0.35, 2.2, 0.62), (0.62, 0.62, 0.62), -60.0, ("beach",) * 3),
        Solid(Shape.CYLINDER, (2.2, 3.0, 1.3), (0.36, 0.36, 1.3), 10.0, ("column", "column", "lid")),
        Solid(Shape.CYLINDER, (-3.2, 4.6, 1.6), (0.4, 0.4, 1.6), 40.0, ("pillar", "pillar", "lid")),
        Solid(Shape.BOX, (3.9, 6.0, 0.9), (0.7, 0.7, 0.9), -20.0, ("chest", "chest", "chest")),
        Solid(Shape.BOX, (-1.6, 8.94, 2.3), (1.7, 0.06, 1.1), 0.0, ("pages", "poster", "pages")),
        Solid(Shape.BOX, (2.3, 8.94, 2.3), (1.1, 0.06, 1.1), 0.0, ("pages", "star", "pages")),
    ),
    turned=11,
    light=(-2.5, -3.0, 4.4),
    light_radius=0.4,
    brightness=0.64,
    ambient=0.34,
)
