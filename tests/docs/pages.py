"""The pages of README and docs/, taken apart: fenced blocks with their marks, commands, inline code, links, headings.

A comment right before a shell block, which readers do not see, says what becomes of its commands:

    <!-- run -->                            they are run as they stand (``test_commands.py``), in seconds
    <!-- tested: tests/file.py::test -->    that test runs them, or the same with less to do; several: with commas
    <!-- needs: photos, 20 minutes -->      no test runs them; those of ours are composed and checked
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?:<!-- (run|needs|tested)(?:: (.+?))? -->\n)?( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL
)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^([A-Z]+)=(.*)$", re.DOTALL)
PLACEHOLDER = re.compile(r"<\w+>")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, and its mark, in two parts."""

    page: str
    line: int
    kind: str
    mark: str
    language: str
    text: str

    def commands(self) -> Iterator[list[str]]:
        """The words of every command of a shell block; comments are left out, variables of the block filled in."""
        known: dict[str, str] = {}
        for line in self.text.replace("\\\n", " ").splitlines():
            for name, value in known.items():
                line = line.replace(f"${name}", value)
            for words in _commands(line):
                if len(words) == 1 and (found := ASSIGNMENT.match(words[0])):
                    known[found[1]] = found[2]
                else:
                    yield words


def _commands(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in [*shlex.split(PLACEHOLDER.sub("demo", line), comments=True), "&&"]:
        if word != "&&":
            words.append(word)
        elif words:
            yield words
            words = []


@dataclass(frozen=True)
class Page:
    """One Markdown file; ``name`` is its path below the repository's root."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks, line by line as before."""
        return BLOCK.sub(lambda found: "\n" * found[0].count("\n"), self.text)

    def blocks(self, language: str) -> list[Block]:
        return [
            Block(
                self.name, self.text.count("\n", 0, found.start(5)), found[1] or "", found[2] or "", found[4], found[5]
            )
            for found in BLOCK.finditer(self.text)
            if found[4] == language
        ]

    def inline(self) -> list[str]:
        return INLINE.findall(self.prose)

    def links(self) -> list[str]:
        return [first or second for first, second in LINK.findall(INLINE.sub("", self.prose))]

    def anchors(self) -> set[str]:
        """Of all headings, as GitHub makes them."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in HEADING.findall(self.prose)
        }


PAGES = [Page(str(path.relative_to(ROOT))) for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])]
