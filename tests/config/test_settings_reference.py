"""The reference page of the settings: every key, documented at its field."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from bags.config.reference import Documented, defaults, page
from bags.settings import Settings
from bags.settings.limits import Section

DOCS = Path(__file__).parents[2] / "docs"


def sections(section: Section) -> list[Section]:
    inner = [getattr(section, field.name) for field in fields(section)]
    return [section, *(each for one in inner if is_dataclass(one) for each in sections(one))]


def test_every_field_and_nothing_else_is_documented() -> None:
    for section in sections(Settings()):
        values = {field.name for field in fields(section) if not is_dataclass(getattr(section, field.name))}
        documented = set(Documented.of(type(section)).meanings)
        assert values <= documented <= {field.name for field in fields(section)}, section.key


def test_a_row_has_default_published_value_limits_and_meaning() -> None:
    lines = list(page(defaults()))
    (row,) = [line for line in lines if line.startswith("| `model.bpn.kernel_spacing` |")]
    assert "| `4` (published: `1`) | `int`: one of 1, 2, 4, 8, 16 | pixels from one" in row
    (null,) = [line for line in lines if line.startswith("| `schedule.minutes` |")]
    assert "| `null` | `float` or null: above 0, at most 100,000 |" in null
    assert "## `model.gaussians`" in lines


def test_pages_named_in_docstrings_are_links_to_pages() -> None:
    named = {name for line in page(defaults()) for name in re.findall(r"\]\(\.\./(\w+)\.md\)", line)}
    assert {"datasets", "full_resolution"} <= named <= {path.stem for path in DOCS.glob("*.md")}


def test_a_line_for_several_fields_and_one_that_goes_on() -> None:
    @dataclass(frozen=True)
    class Both(Section, key="both"):
        """Two.

        Attributes:
            a, b: one text,
                continued.
        """

        a: int = 1
        b: int = 2

    assert Documented.of(Both) == Documented("Two.", {"a": "one text, continued.", "b": "one text, continued."})
