"""The command line as typed, converted to the form that Hydra reads (docs/inputs.md)."""

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

PATHS = ("source", "dataset.root", "output_root", "paths.data", "ckpt_path")  # ``~/`` at their front is the home folder
# Hydra's flags that take the next word; ``--info`` takes it where it is no key=value.
TAKE_A_WORD = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun",
)  # fmt: skip
MAY_TAKE_A_WORD = ("--info", "-i")
# A value of a sweep's list: in quotes, or up to a comma that has no backslash before it.
ITEM = re.compile(r"""\s*('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*(?=,|$)|((?:\\.|[^,])*)""", re.DOTALL)


def for_hydra(words: Sequence[str]) -> list[str]:
    """``words`` with text values quoted where Hydra's grammar would misread or reject them.

    ``null``, ``${...}`` and values in quotes stay what they are to Hydra. So does, in a sweep, a list with commas; each
    of its values is text on its own.

    Args:
        words: of the command line. Words that are in Hydra's form already are returned unchanged.

    Returns:
        Settings first, then flags: Hydra wants its settings side by side.

    Raises:
        SettingError: a ``${`` that nothing closes.
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
    """``text`` as Hydra's command line takes it, whatever it holds."""
    return QuotedString(text, Quote.single).with_quotes()


def as_text(value: str, may_be_none: bool = False) -> str:
    """One value in the form for Hydra.

    Args:
        value: as typed.
        may_be_none: ``null`` stands for no value.
    """
    found = _parsed(value)
    if isinstance(found, QuotedString) or (value == "null" and may_be_none):
        return value
    if "\\" not in value:
        return value if found == value else quoted(value)
    # With backslashes before what Hydra would take for something else, it is in Hydra's form already.
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
    # A list of scenes, which are options of a group, is a sweep that lacks its flag: Hydra reports that.
    items = _items(value) if sweep or key == "scene" else [value]
    return f"{key}={','.join(as_text(item, kind == 'text or null') for item in items)}"


def _items(values: str) -> Iterator[str]:
    """The parts of a list with commas, without the spaces around them; none of an empty one."""
    place = 0
    while values and place <= len(values):
        found = ITEM.match(values, place)
        assert found is not None  # what is not in quotes may be anything
        yield (found[1] or found[2]).strip()
        place = found.end() + 1


def _is_function(value: str) -> bool:
    """Is it a sweep in words of Hydra's, as ``choice(a,b)``?"""
    override = _override(value)
    return override is not None and override.is_sweep_override() and "(" in value


def _parsed(value: str) -> Any:
    """What Hydra's grammar makes of a value; a tuple, which no value is, where it makes nothing of it."""
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
