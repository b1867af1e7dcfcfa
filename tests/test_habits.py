"""What a project says of itself in several places agrees: versions of Python, checks, name and version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import SpecifierSet

import bags

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def parsed(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_ci_runs_every_version_of_python_that_is_promised() -> None:
    (promised,) = re.findall(r'^requires-python = "(.*)"', PROJECT, re.MULTILINE)
    jobs = parsed(".github/workflows/ci.yml")["jobs"]
    tested = jobs["test"]["strategy"]["matrix"]["python"]
    assert tested == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in SpecifierSet(promised)]
    assert tested == re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    extras = re.search(r'--editable ("\.\[[\w,]+\]")', MAKEFILE.split("$(READY):")[1])
    assert extras and {"make lint PYTHON=python", "make test PYTHON=python"} <= set(commands)
    assert any(f"--editable {extras[1]}\npython -m pytest" in command for command in commands)


def test_ci_does_what_its_script_does() -> None:
    """Lint, tests and documentation, each in a job of its own."""
    script = re.findall(r"^make \w+$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    jobs = parsed(".github/workflows/ci.yml")["jobs"]
    commands = [[step["run"] for step in job["steps"] if "run" in step] for job in jobs.values()]
    assert len(script) == 3
    assert all(sum(f"{command} PYTHON=python" in of_job for of_job in commands) == 1 for command in script)


def test_commits_are_checked_as_the_makefile_does() -> None:
    hooks = [hook for repository in parsed(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]
    assert [(hook["entry"], hook["pass_filenames"]) for hook in hooks] == [("make lint", False)]
    assert re.search(r"^lint:", MAKEFILE, re.MULTILINE)


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = parsed("CITATION.cff")
    assert citation["version"] == bags.__version__ and f'license = "{citation["license"]}"' in PROJECT
    (paper,) = citation["references"]
    assert len(paper["authors"]) == 7 and paper["identifiers"][0]["value"] == "arXiv:2403.04926"


def test_issue_forms_have_what_github_needs() -> None:
    forms = {path.name: parsed(str(path)) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    assert len(forms) > 1 and forms.pop("config.yml")
    for name, form in forms.items():
        assert form["name"] and form["description"], name
        assert all(part["id"] and part["attributes"]["label"] for part in form["body"]), name
