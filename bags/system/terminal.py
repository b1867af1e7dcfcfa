"""The terminal."""

from __future__ import annotations

from rich.console import Console


def terminal(stderr: bool = False) -> Console:
    """A console that prints what it is given: brackets in a file's name are no markup, colons no pictures."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def tell(what: str) -> None:
    """One line about what was made, on stderr, not broken where the terminal is narrow."""
    terminal(stderr=True).print(what, soft_wrap=True)
