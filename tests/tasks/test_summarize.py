"""``task=summarize`` on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_cli import bags
from tests.summary.conftest import WriteRun, write_run

__all__ = ["write_run"]  # a fixture


def test_tables_are_written_and_problems_reported(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("one", psnr=21.5)
    (write_run("bad") / "metrics.json").write_text("{")
    root = Path(__file__).parents[2]
    code = "import sys; from bags.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, "task=summarize", f"output_root={tmp_path}"]
    result = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert f"{tmp_path}/bad is left out" in result.stderr
    assert "21.50" in result.stdout and "finished runs read: 1;" in result.stdout
    assert "| a | 21.50 |" in (tmp_path / "summary" / "summary.md").read_text()
    assert sorted(path.name for path in (tmp_path / "summary").iterdir()) == [
        "summary.csv", "summary.md", "summary.tex",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("summarize.runs=[none*]",), "none*"),
        (("summarize.runs=[none**]",), "none**"),  # before Python 3.13 no glob
        (("summarize.runs=[/etc]",), "summarize.runs"),
        (("summarize.runs=[]",), "summarize.runs"),
        (("summarize.columns=[model.nam]",), "summarize.columns = 'model.nam'"),
    ],
)
def test_mistakes(overrides: tuple[str, ...], said: str, write_run: WriteRun, tmp_path: Path) -> None:
    write_run("one")
    result = bags(tmp_path, "task=summarize", f"output_root={tmp_path}", *overrides)
    assert result.returncode == 1 and said in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "summary").exists()
