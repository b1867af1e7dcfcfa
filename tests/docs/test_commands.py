"""Every command that README and docs/ show: run, or marked with what it needs, and one of ours at least composes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from bags.cli import check_data, checked
from bags.config.files import config_folder, config_groups
from bags.config.nodes import check_keys, register, to_settings
from bags.config.words import in_order
from bags.errors import BagsError
from tests.docs.pages import PAGES, ROOT, Block

SHELL = [block for page in PAGES for block in page.blocks("sh")]
OPTUNA = re.compile(r"hydra[/.]sweeper\b")  # a package of its own, with values of its own
KEY = re.compile(r"[a-z][\w]*(?:\.\w+)+=\S*")


def where(block: Block) -> str:
    return f"{block.page}:{block.line}"


def jobs(settings: Sequence[str], sweep: bool) -> list[list[str]]:
    """What each job of a sweep is given: of many the first and the last; without a sweep all of it."""
    parsed = OverridesParser.create().parse_overrides(list(settings))
    if not sweep:
        return [list(settings)]
    plain = [override for override in parsed if not override.is_interval_sweep()]
    (batch,) = BasicSweeper.split_arguments(plain, max_batch_size=None)
    return [list(batch[0]), list(batch[-1])]


def check(words: Sequence[str]) -> None:
    """See that ``python run.py`` takes these words, up to where it would look for photos or a finished run."""
    ours = [word for word in words if not OPTUNA.match(word)]
    settings, flags = in_order(checked(ours))
    if "--config-dir" in flags:  # the reader's own files; the block says which test has them
        return
    for overrides in jobs(settings, "-m" in flags):
        composed = compose("config", overrides=overrides)
        scene = [word.partition("=")[2] for word in overrides if word.startswith("scene=")]
        check_data(composed, scene[-1] if scene else None)
        to_settings(composed)


@pytest.fixture(autouse=True, scope="module")
def _hydra() -> Iterator[None]:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        yield


def test_every_shell_block_says_what_becomes_of_it() -> None:
    assert len(SHELL) > 15 and len({block.page for block in SHELL}) > 5
    assert [where(block) for block in SHELL if not block.kind] == []


def test_commands(subtests: pytest.Subtests) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for block in SHELL:
        for words in block.commands():
            with subtests.test(f"{where(block)}: {' '.join(words)}"):
                if words[:2] == ["python", "run.py"] or words[0] == "bags":
                    check(words[1 if words[0] == "bags" else 2 :])
                elif words[:2] == ["python", "-m"]:
                    assert importlib.util.find_spec(words[2]) is not None
                elif words[0] == "python":
                    assert (ROOT / words[1]).is_file()
                elif words[0] == "make":
                    assert set(words[1:]) <= set(targets)


@pytest.mark.parametrize("block", [block for block in SHELL if block.kind == "run"], ids=where)
def test_commands_that_take_seconds_run(block: Block, tmp_path: Path) -> None:
    for words in block.commands():
        script = [str(ROOT / word) if word.endswith(".py") else word for word in words[1:]]
        subprocess.run([sys.executable, *script], cwd=tmp_path, check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_the_tests_named_exist() -> None:
    named = [name for block in SHELL if block.kind == "tested" for name in block.mark.split(", ")]
    found = [(name, *name.split("::")) for name in named]
    assert [name for name, path, test in found if f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_inline_commands_and_keys(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page.name):
            for code in page.inline():
                code = re.sub(r"<\w+>|N\b", "1", code)
                if code.startswith("python run.py ") and "..." not in code:
                    check(code.split()[2:])
                check_keys(KEY.findall(code), config_groups())


def test_a_command_that_does_not_work_is_seen(subtests: pytest.Subtests) -> None:
    for word, said in {
        "dataset.rot=x": r"dataset\.rot",
        "scene=nowhere": "nowhere",
        "model.bpn.kernels=[4]": "kernels",
        "source=x": "source",
    }.items():
        with subtests.test(word), pytest.raises((BagsError, HydraException), match=said):
            check([word])
