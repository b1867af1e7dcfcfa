"""A photo's blur in a photographer's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_KINDS = {"sharp": "sharp", "motion": "shaken", "defocus": "out of focus", "low_resolution": "soft all over"}
MOST = 0.75  # share of out-of-focus photos above which another cause is likely
_DIRECTIONS = ("sideways", "down to the right", "up and down", "up to the right")


def in_words(view: Mapping[str, Any]) -> str:
    """Description of a training view's blur.

    Args:
        view: of ``train_views`` in ``metrics.json``; without ``kind`` the blur is unknown: no blur model, or one that
            does not describe it; without ``exposure`` the exposure was not modelled.
    """
    return blur_in_words(view) + (exposure_in_words(view["exposure"]) if "exposure" in view else "")


def exposure_in_words(stops: float) -> str:
    """How much brighter or darker than the scene a photo is; nothing if that rounds to 0.0 stops."""
    size = f"{abs(stops):.1f}"
    return "" if size == "0.0" else f"; {size} stops too {'bright' if stops > 0 else 'dark'}"


def blur_in_words(view: Mapping[str, Any]) -> str:
    """What blurred a training view."""
    kind = view.get("kind")
    if kind == "motion":
        return f"camera shake, {pixels(view['length'])}, {along(view['direction'])}"
    if kind == "defocus":
        return f"out of focus, discs {pixels(2 * view['radius'])} across"
    if kind == "low_resolution":
        return f"soft all over by {pixels(view['spread'])}: low resolution, or shake with no one direction"
    return "sharp" if kind == "sharp" else "blur not estimated"


def in_short(views: Sequence[Mapping[str, Any]]) -> str | None:
    """How many training views have each kind of blur; None if that of any is unknown."""
    kinds = Counter(view.get("kind") for view in views)
    if not kinds or None in kinds:
        return None
    told = ", ".join(f"{kinds[kind]} {words}" for kind, words in _KINDS.items() if kinds[kind])
    if kinds["defocus"] > MOST * len(views):
        told += " (so many out of focus may only mean that distant parts were learned less well)"
    return told


def pixels(length: float) -> str:
    """A length, rounded to its accuracy."""
    return f"about {length:.0f} px" if length >= 1 else "less than 1 px"


def along(degrees: float) -> str:
    """Direction of a streak, without sign: 0 degrees along +x, 90 along +y (down)."""
    return _DIRECTIONS[round(degrees / 45) % 4]
