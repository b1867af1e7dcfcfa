"""Output to the terminal."""

from __future__ import annotations

from rich.console import Console


def terminal(stderr: bool = False) -> Console:
    """A console that prints text unchanged: brackets in a file's name are not markup, and colons not emoji."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def tell(what: str) -> None:
    """Print one line on stderr, without wrapping it in a narrow terminal."""
    terminal(stderr=True).print(what, soft_wrap=True)
