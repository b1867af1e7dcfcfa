"""The reference page of all settings, in Markdown: ``python -m bags.config.reference > FILE``.

Meanings, types and limits come from the classes in ``bags.settings``, defaults from them and from ``conf/``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from typing import Any

from bags.config.files import compose
from bags.settings import Settings
from bags.settings.limits import Section

ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*)$")
PAGE = re.compile(r"\bdocs/(\w+)\.md")
MUST = re.compile(r"^(?:must be|must lie|is) ")  # beginning of a limit's remedy; the rest says what is allowed


@dataclass(frozen=True)
class Documented:
    """A section's docstring in parts: the text about the section, and about each field."""

    about: str
    meanings: dict[str, str]

    @classmethod
    def of(cls, kind: type[Section]) -> Documented:
        """Parse the docstring of the class ``kind``; an entry for several fields belongs to each of them."""
        about, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")
        meanings: dict[str, str] = {}
        names: list[str] = []
        for line in attributes.splitlines():
            if entry := ENTRY.match(line):
                names = entry[1].split(", ")
                meanings |= dict.fromkeys(names, entry[2])
            else:
                for name in names:
                    meanings[name] = f"{meanings[name]} {line.strip()}".strip()
        return cls(about.strip(), meanings)


def defaults() -> Settings:
    """The settings of an empty command line, without a scene."""
    return compose("~scene")


def page(default: Settings) -> Iterator[str]:
    """Lines of Markdown: a heading and a table for every section; nested sections follow their parents."""
    yield from _section(Settings(), default, "Top level")


def _section(published: Section, default: Section, heading: str) -> Iterator[str]:
    known = Documented.of(type(published))
    yield from (
        f"## {heading}",
        "",
        _linked(known.about),
        "",
        "| key | default | allowed | meaning |",
        "|---|---|---|---|",
    )
    inner: list[tuple[Section, Section]] = []
    for field in fields(published):
        before, now = getattr(published, field.name), getattr(default, field.name)
        if isinstance(before, Section):
            inner.append((before, now))
        else:
            yield _row(f"{published.key}.{field.name}".lstrip("."), field, before, now, known.meanings[field.name])
    yield ""
    for each in inner:
        yield from _section(*each, heading=f"`{each[0].key}`")


def _row(key: str, field: Field[Any], published: Any, default: Any, meaning: str) -> str:
    value = _shown(default)
    if published != default and "." in key:
        value += f" (published: {_shown(published)})"
    limits = "; ".join(MUST.sub("", limit.remedy) for limit in field.metadata.get("limits", ()))
    kind = f"`{str(field.type).removesuffix(' | None')}`{' or null' if 'None' in str(field.type) else ''}"
    allowed = f"{kind}: {limits}" if limits else kind
    return f"| `{key}` | {value} | {_cell(allowed)} | {_cell(meaning)} |"


def _shown(value: Any) -> str:
    """A value in the notation of the command line."""
    if isinstance(value, dict):
        return "an option of the group"
    if isinstance(value, tuple):
        return f"`[{','.join(map(str, value))}]`"
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return _linked(text).replace("|", r"\|")


def _linked(text: str) -> str:
    """``text`` with links to the pages that it names, relative to ``docs/reference/``."""
    return PAGE.sub(r"[\1](../\1.md)", text)


if __name__ == "__main__":
    sys.stdout.write("\n".join(page(defaults())))
