"""Which folders are finished runs, and what is said of those that are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bags.summary.runs import find_runs
from tests.summary.conftest import WriteRun

BY_MODEL = ("model.name",)


def text(path: str, change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_text(change((folder / path).read_text()))


SPOILT = [  # how, and what is said of it
    (text("metrics.json", lambda t: t[:50]), "Expecting|Unterminated"),
    (text("metrics.json", lambda t: t.replace(" 20.0", "NaN")), "psnr is nan"),
    (text("metrics.json", lambda t: t.replace(" 20.0", '"good"')), "psnr is 'good'"),
    (text("metrics.json", lambda t: "[]"), "list"),
    (text("metrics.json", lambda t: '{"accuracy": 1}'), "no 'protocol'"),
    (text("config.yaml", lambda t: "a: [b"), "expected"),
    (text("config.yaml", lambda t: ""), "NoneType"),
    (text("config.yaml", lambda t: t.replace("seed", "sead")), "no 'seed'"),
    (text("config.yaml", lambda t: "!!python/object/apply:os.getcwd []"), "write the value itself"),
    (lambda folder: (folder / "config.yaml").unlink(), r"config\.yaml"),
    (lambda folder: (folder / "metrics.json").write_bytes(b"\xff\xfe\x00"), "decode"),
]


def test_broken_and_foreign_files_are_named_and_skipped(
    write_run: WriteRun, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    write_run("good")
    for number, (spoil, _) in enumerate(SPOILT):
        spoil(write_run(f"bad {number:02}"))
    runs, problems = find_runs(tmp_path, ["**"], BY_MODEL)
    assert [run.folder.name for run in runs] == ["good"] and len(problems) == len(SPOILT)
    for number, (problem, (_, said)) in enumerate(zip(sorted(problems), SPOILT, strict=True)):
        with subtests.test(said):
            assert str(tmp_path / f"bad {number:02}") in problem and "\n" not in problem
            assert re.search(said, problem)


def test_globs(write_run: WriteRun, tmp_path: Path) -> None:
    for name in ("demo-seed1", "demo-seed2", "sweep/deep", "demo-seed1.20261121-103000"):
        write_run(name)

    def found(*patterns: str) -> list[str]:
        return [str(run.folder.relative_to(tmp_path)) for run in find_runs(tmp_path, patterns, BY_MODEL)[0]]

    assert found("**") == ["demo-seed1", "demo-seed2", "sweep/deep"], "what was set aside is left out"
    assert found("*") == ["demo-seed1", "demo-seed2"]
    assert found("sweep/*", "demo-seed2") == ["demo-seed2", "sweep/deep"]
    assert found("demo-seed1.20261121-103000") == ["demo-seed1.20261121-103000"]
    runs, problems = find_runs(tmp_path, ["demo*", "nothing*"], BY_MODEL)
    assert len(runs) == 2 and len(problems) == 1 and "nothing*" in problems[0]


def test_runs_older_than_a_key_show_a_dash(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("a")
    assert find_runs(tmp_path, ["**"], ("model.name", "dataset.window"))[0][0].column == "bags, window=-"
