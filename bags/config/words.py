"""Converts the command line as typed to Hydra's syntax (docs/inputs.md)."""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bags.errors import SettingError
from bags.settings import Settings

PATHS = ("source", "dataset.root", "output_root", "paths.data", "ckpt_path")  # a leading ``~/`` is the home folder
# Hydra's flags that take the next word as their argument; ``--info`` does so unless the word is key=value.
TAKE_A_WORD = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun",
)  # fmt: skip
MAY_TAKE_A_WORD = ("--info", "-i")
# A value of a sweep's list: in quotes, or up to a comma that has no backslash before it.
ITEM = re.compile(r"""\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*(?=,|$)|((?:\\.|[^,])*)""", re.DOTALL)


def for_hydra(words: Sequence[str]) -> list[str]:
    """``words`` with text values quoted where Hydra's grammar would misread or reject them.

    ``null``, ``${...}`` and quoted values keep their meaning for Hydra. In a sweep, so does a list with commas, each of
    whose values is a text.

    Args:
        words: of the command line. Words that are already in Hydra's syntax are returned unchanged.

    Returns:
        Settings first, then flags, because Hydra needs its settings side by side.

    Raises:
        SettingError: a ``${`` is not closed.
    """
    settings, flags = in_order(words)
    sweep = any(flag == "-m" or (len(flag) > 3 and "--multirun".startswith(flag)) for flag in flags)
    sweep |= "hydra.mode=MULTIRUN" in settings
    return [_setting(word, sweep) for word in settings] + flags


def in_order(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings, and flags with their arguments."""
    settings: list[str] = []
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            flags.append(word)
            if word in TAKE_A_WORD:
                flags += [taken for taken in [next(rest, None)] if taken is not None]
        elif flags and flags[-1] in MAY_TAKE_A_WORD and "=" not in word:
            flags.append(word)
        else:
            settings.append(word)
    return settings, flags


def quoted(text: str) -> str:
    """``text`` quoted for Hydra's command line."""
    return QuotedString(text, Quote.single).with_quotes()


def as_text(value: str, may_be_none: bool = False) -> str:
    """One value in Hydra's syntax.

    Args:
        value: as typed.
        may_be_none: whether ``null`` means no value.
    """
    found = _parsed(value)
    if isinstance(found, QuotedString) or (value == "null" and may_be_none):
        return value
    if "\\" not in value:
        return value if found == value else quoted(value)
    # If its backslashes escape special characters of Hydra, it is already in Hydra's syntax.
    return value if isinstance(found, str) and _parsed(found) != found else quoted(value)


def _setting(word: str, sweep: bool) -> str:
    key, equals, value = word.partition("=")
    kind = _KINDS.get(key.lstrip("+"))
    if not equals or kind is None:
        return word
    try:
        OmegaConf.create({key: value})
    except OmegaConfBaseException as error:
        raise SettingError(
            key, value, "must not contain ${, which refers to another setting, as in ${paths.data}"
        ) from error
    if key.lstrip("+") in PATHS:
        value = re.sub(r"(^|,)~(?=/)", lambda found: found[1] + os.path.expanduser("~"), value)
    if kind == "texts":
        inside = value[1:-1] if value.startswith("[") and value.endswith("]") and not sweep else None
        return word if inside is None else f"{key}=[{','.join(as_text(item) for item in _items(inside))}]"
    if sweep and _is_function(value):
        return word
    # A list of scenes, which are options of a group, is a sweep without its flag: Hydra reports that.
    items = _items(value) if sweep or key == "scene" else [value]
    return f"{key}={','.join(as_text(item, kind == 'text or null') for item in items)}"


def _items(values: str) -> Iterator[str]:
    """The parts of a list with commas, without surrounding spaces; none for an empty list."""
    place = 0
    while values and place <= len(values):
        found = ITEM.match(values, place)
        assert found is not None  # the pattern matches anything
        yield (found[1] or found[2]).strip()
        place = found.end() + 1


def _is_function(value: str) -> bool:
    """Whether it is one of Hydra's sweep functions, such as ``choice(a,b)``."""
    override = _override(value)
    return override is not None and override.is_sweep_override() and "(" in value


def _parsed(value: str) -> Any:
    """A value as parsed by Hydra's grammar; an empty tuple, which is never a value, if it cannot be parsed."""
    override = _override(value)
    return () if override is None else override._value


def _override(value: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None


def _kinds(section: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys of all settings that are ``text``, ``text or null``, or lists of ``texts``."""
    for name, hint in typing.get_type_hints(section).items():
        if is_dataclass(hint):
            yield from _kinds(typing.cast(type, hint), f"{prefix}{name}.")
        elif hint in _NAMES:
            yield f"{prefix}{name}", _NAMES[hint]


_NAMES = {str: "text", str | None: "text or null", tuple[str, ...]: "texts"}
_KINDS = dict(_kinds(Settings))
