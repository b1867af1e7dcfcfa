from __future__ import annotations

import re
from pathlib import Path

from bags.errors import LONGEST, BagsError, DataError, SettingError, to_install


def test_messages_are_one_printable_line() -> None:
    for said, shown in {
        "a\nb\tc": "a b c",
        "\x1b[2J\x07\x00": r"\x1b[2J\x07\x00",
        "\udcff\ud800": r"\udcff\ud800",
        "grün \U0001f600": "grün \U0001f600",
    }.items():
        assert str(BagsError(said)) == shown and shown in str(DataError(f"x{said}y"))


def test_long_values_are_cut_and_their_key_and_remedy_stay() -> None:
    assert len(str(BagsError("x" * 10_000))) < LONGEST + 10
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("y" * 10**6, list(range(10**6)), deep, 10**4000, 10**5000, [10**5000]):
        message = str(SettingError("trainer.threads", value, "give less"))
        assert message.startswith("trainer.threads = ") and message.endswith(": give less") and len(message) < LONGEST


ROOT = Path(__file__).parents[1]
READ = [
    *ROOT.glob("*.md"),
    *(path for top in ("bags", "docs", "conf", "hydra_plugins") for path in (ROOT / top).rglob("*")),
]


def test_messages_never_suggest_the_unrelated_package() -> None:
    """PyPI has a ``bags`` that is not this one; only a checkout's folder names ours."""
    told = {path: path.read_text() for path in READ if path.suffix in (".md", ".py", ".yaml")}
    assert to_install("cuda").startswith("pip install -e '.[cuda]'")
    assert [str(path) for path, text in told.items() if re.search(r"""pip install ['"]?bags\[""", text)] == []


def test_every_documented_extra_exists() -> None:
    extras = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    told = [path.read_text() for path in READ if path.suffix in (".md", ".py", ".yaml")]
    named = set(re.findall(r"""(?:-e '\.\[|to_install\(['"])(\w+)['"\]]""", "\n".join(told)))
    assert {"cuda", "viewer", "page", "heic", "slurm", "optuna"} <= named
    assert named <= set(re.findall(r"^(\w+) =", extras, re.MULTILINE))
