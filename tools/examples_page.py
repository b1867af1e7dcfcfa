"""The examples as a page of Markdown, on standard output: the docstring of each, then its code (``make docs``)."""

from __future__ import annotations

import ast
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def section(path: Path) -> str:
    """One example: the docstring's first line as a heading, the rest of it, and the code."""
    source = path.read_text(encoding="utf-8")
    docstring = ast.parse(source).body[0]
    title, _, text = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    code = "\n".join(source.splitlines()[docstring.end_lineno :]).strip()
    return f"## {title.rstrip('.')}\n{text}\n\n`examples/{path.name}`:\n\n```python\n{code}\n```\n"


if __name__ == "__main__":
    print("\n".join(section(path) for path in sorted(EXAMPLES.glob("[0-9]*.py"))))
