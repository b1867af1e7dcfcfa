"""What people type reaches the settings as typed; lists of a sweep, ``null`` and values in quotes stay Hydra's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from bags.cli import config_folder
from bags.config.nodes import register, to_settings
from bags.config.words import for_hydra
from bags.errors import SettingError
from bags.settings import Settings

WORDS = (
    "photos (1)", "Küche", "José's photos", "写真", "a, b", "hold=7", "a&b", "wow!", "[raw]", "[raw] set", "#1 garden",
    "x~y", "~", "2024", "2024_05_01", "007", "1e5", "1.50", "12:30", "inf", "true", "yes", "NULL", "None", "-x", "$x",
    "a: b", "{a:b}", 'a"b', "a\\b\\", "a\\ b", "\\'", " a ", "a\tb", "a\nb", "choice(a,b)", "str(3)", "a..b", "..x",
    "😀", "M\udcfcller", "é",
)  # fmt: skip
RUN = [sys.executable, str(Path(__file__).parents[2] / "run.py")]


def settings_of(*words: str) -> Settings:
    register()
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        return to_settings(compose("config", overrides=for_hydra(words)))


def test_text_reaches_the_settings_as_typed(subtests: pytest.Subtests) -> None:
    for text in WORDS:
        with subtests.test(repr(text)):
            listed = text.replace(",", ";")
            photos = ["task=prepare", "scene=photos", f"source={text}", f"output_root={text}"]
            settings = settings_of(*photos, f"+group={text}", f"summarize.runs=[x,{listed}]")
            assert (settings.source, settings.output_root, settings.name, settings.group) == (text,) * 4
            assert settings.dataset.root == f"data/{text}" and settings.summarize.runs == ("x", listed.strip())
            once = for_hydra([f"name={text}"])
            assert for_hydra(once) == once  # a sweep's jobs and a training's ranks take words from such a process
            assert [each.value() for each in OverridesParser.create().parse_overrides(once)] == [text]


def test_what_hydra_has_its_own_words_for() -> None:
    assert settings_of("name=null").name == "null" and settings_of("source=null", "task=prepare").source is None
    assert settings_of("name='a, b'").name == settings_of('name="a, b"').name == settings_of(r"name=a\,\ b").name
    assert settings_of("paths.data=/d", "dataset.root=${paths.data}/Küche 1", "scene=own").dataset.root == "/d/Küche 1"
    for broken in ("${", "a${b c"):
        with pytest.raises(SettingError, match=r"name = '.*must not contain \$\{"):
            for_hydra([f"name={broken}"])


def test_lists_of_a_sweep(subtests: pytest.Subtests) -> None:
    for typed, values in [
        ("../a,../b", ["../a", "../b"]),
        ("Küche 1, Küche 2", ["'Küche 1'", "'Küche 2'"]),
        ("2024_05_01,null", ["'2024_05_01'", "null"]),
        ("'a, b',\"c\"", ["'a, b'", '"c"']),
        (r"a\, b,c", [r"a\, b", "c"]),
        ("José's,x", [r"'José\'s'", "x"]),
        ("choice(a,b)", ["choice(a,b)"]),
        ("", [""]),
    ]:
        with subtests.test(typed):
            meant = f"dataset.root={','.join(values)}"
            for flag in ("-m", "--multirun", "--multi"):
                assert for_hydra(["seed=1,2", flag, f"dataset.root={typed}"]) == ["seed=1,2", meant, flag]


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bash puts it in behind ``source=``, but not behind ``dataset.root=``."""
    monkeypatch.setenv("HOME", "/home/ann")
    assert for_hydra(["dataset.root=~/a", "name=~/a"]) == ["dataset.root=/home/ann/a", "name='~/a'"]
    assert for_hydra(["-m", "dataset.root=~/a,~/b"])[0] == "dataset.root=/home/ann/a,/home/ann/b"


def test_flags_may_stand_anywhere(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for words in [
        ["task=prepare", "source=/nowhere", "--cfg", "job"],
        ["--cfg", "job", "task=prepare", "source=/nowhere"],
        ["task=prepare", "--cfg", "job", "source=/nowhere"],
        ["task=prepare", "-c", "job", "--package", "_global_", "source=/nowhere", "--resolve"],
        ["--info", "config", "task=prepare", "source=/nowhere"],
    ]:
        with subtests.test(" ".join(words)):
            done = subprocess.run([*RUN, *words], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0 and "source: /nowhere" in done.stdout and "images: images" in done.stdout, (
                done.stderr
            )


def test_an_output_that_knows_no_umlauts(tmp_path: Path) -> None:
    words = ["task=prepare", "source=Küche \udcff", "--cfg", "job"]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin"}
    done = subprocess.run([*RUN, *words], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and r"K\xfcche \udcff" in done.stdout.lower().replace("k", "K"), done.stderr
