"""Declaration of a section of the settings: each field with its default and its limits, checked on construction.

``width: int = setting(192, at_least(16), at_most(20_000))`` is a field. A ``Section`` checks all of its fields, then
the rules for several fields in its ``_check``. A limit applies to a value and to each entry of a tuple; null is always
allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from bags.errors import SettingError

T = TypeVar("T")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Limit:
    """A limit of values: the test, and the message if it fails."""

    holds: Callable[[Any], bool]
    remedy: str


def setting(default: T, *limits: Limit) -> T:
    """A field of a ``Section`` with its default and limits."""
    made: Any = field(default=default, metadata={"limits": limits})
    return made


def at_least(low: float) -> Limit:
    """``low`` or more."""
    return Limit(lambda value: value >= low, f"must be at least {low:g}")


def at_most(high: float) -> Limit:
    """``high`` or less."""
    return Limit(lambda value: value <= high, f"must be at most {high:,.0f}")


def below(high: float) -> Limit:
    """Less than ``high``."""
    return Limit(lambda value: value < high, f"must be below {high:g}")


def within(low: float, high: float, remedy: str | None = None) -> Limit:
    """From ``low`` to ``high``, both included."""
    return Limit(lambda value: low <= value <= high, remedy or f"must lie in [{low:g}, {high:g}]")


def positive(remedy: str = "must be positive") -> Limit:
    """More than 0."""
    return Limit(lambda value: value > 0, remedy)


def odd(what: str = "a kernel side") -> Limit:
    """An odd number of ``what``, so that there is a middle."""
    return Limit(lambda value: value >= 1 and value % 2 == 1, f"{what} must be an odd number, 1 or more")


def one_of(*options: Any, more: str = "") -> Limit:
    """One of ``options``; the message lists them, followed by ``more``."""
    return Limit(lambda value: value in options, f"must be one of {', '.join(map(_as_typed, options))}{more}")


def registered(names: Sequence[str], function: str) -> Limit:
    """One of ``names``, to which ``function`` adds while the program runs."""
    return Limit(lambda value: value in names, f"must be one of {', '.join(names)}, or registered by {function}")


def register(name: str, names: list[str], table: dict[str, Any]) -> Callable[[Made], Made]:
    """A decorator that puts what it decorates into ``table`` as ``name``, which joins the setting's ``names``."""

    def add(made: Made) -> Made:
        table[name] = made
        if name not in names:
            names.append(name)
        return made

    return add


def resolution() -> Limit:
    """A training resolution, as ``dataset.factor`` explains."""
    return Limit(lambda factor: factor == -1 or factor >= 1, "must be -1 or at least 1")


def below_output_root(what: str) -> Limit:
    """The name or glob of ``what``, a folder below ``output_root``."""

    def holds(name: str) -> bool:
        path = Path(name)
        return len(path.parts) > 0 and ".." not in path.parts and not path.anchor

    return Limit(holds, f"must name {what} below output_root: not empty, no '..', no absolute path")


def such_that(holds: Callable[[Any], bool], remedy: str) -> Limit:
    """Any other rule for one field."""
    return Limit(holds, remedy)


@dataclass(frozen=True)
class Section:
    """A section of the configuration; derive as ``class LossSettings(Section, key="loss")``.

    Raises:
        SettingError: a value violates a limit of its field or a rule of ``_check``; names the key, the value and what
            is allowed.
    """

    key: ClassVar[str]

    def __init_subclass__(cls, key: str) -> None:
        cls.key = key

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            for limit in each.metadata.get("limits", ()):
                for entry in value if isinstance(value, (tuple, list)) else (value,):
                    if entry is not None and not limit.holds(entry):
                        raise SettingError(self._key_of(each.name), entry, limit.remedy)
        self._check()

    def _check(self) -> None:
        """Rules for several fields, or for a tuple as a whole; by default there are none."""

    def need(self, good: bool, name: str, remedy: str) -> None:
        """Reject the field ``name`` unless ``good``."""
        if not good:
            raise SettingError(self._key_of(name), getattr(self, name), remedy)

    def _key_of(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


def _as_typed(option: object) -> str:
    """An option as it is written on the command line."""
    return str(option).lower() if isinstance(option, bool) else str(option)
