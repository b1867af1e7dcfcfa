"""The YAML files in ``conf/``: their location, and how to compose settings from them in Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from bags.config.nodes import check_keys, check_options, register, to_settings
from bags.config.words import for_hydra
from bags.settings import Settings

PACKAGE = Path(__file__).resolve().parents[1]


def config_folder() -> str:
    """``conf/`` of the checkout, or the copy in an installed wheel."""
    checkout = PACKAGE.parent / "conf"
    return str(checkout if (checkout / "config.yaml").is_file() else PACKAGE / "conf")


def config_groups() -> dict[str, list[str]]:
    """Names of the configuration groups, such as ``model``, with their options; ``local`` is for users' files."""
    folders = [path for path in Path(config_folder()).iterdir() if path.is_dir()]
    groups = {
        folder.name: sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))
        for folder in folders
    }
    return {"local": []} | groups


def check_overrides(words: Sequence[str]) -> None:
    """Reject unknown keys and options before Hydra does, in one line and with a suggestion.

    Raises:
        SettingError: there is no such key, group or option.
    """
    groups = config_groups()
    check_keys(words, groups)
    check_options(words, groups)


def compose(*words: str) -> Settings:
    """The settings that a command line would give: ``compose("scene=demo", "schedule.steps=300")``.

    Settings are frozen dataclasses; use ``dataclasses.replace`` for a changed copy. Hydra only merges the YAML files:
    the working directory, ``sys.argv`` and logging are not changed.

    Args:
        words: ``key=value``, as on the command line.

    Raises:
        SettingError: a key is unknown or a value is invalid; names it.
    """
    register()
    check_overrides(words)
    with initialize_config_dir(version_base="1.3", config_dir=config_folder()):
        cfg = hydra_compose("config", overrides=for_hydra(words))
    return to_settings(cfg)
