"""From Hydra's nodes to validated ``Settings``; the only place that instantiates ``_target_`` nodes."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bags.errors import DataError, SettingError
from bags.io.documents import read_yaml
from bags.settings import Settings


def register() -> None:
    """Register with Hydra all keys and defaults (the config ``base``) and ``${folder_name:PATH}``, a path's last part.

    For a file (a video), that is its name without the extension.
    """
    ConfigStore.instance().store(name="base", node=asdict(Settings()))
    OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)


def _folder_name(path: str | None) -> str:
    if not path:
        return "run"
    resolved = Path(path).resolve()
    return resolved.stem if resolved.is_file() else resolved.name


def to_settings(cfg: DictConfig) -> Settings:
    """Validate a composed configuration.

    Raises:
        SettingError: names the unknown key, the wrong type or the invalid value.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise SettingError(str(error.full_key), "${...}", f"{reason}; give the value itself") from error
    return _build(Settings, plain, "")


def on_top_of_saved(cfg: DictConfig, saved: Path, overrides: Sequence[str]) -> DictConfig:
    """A finished run's configuration, overridden by the command line.

    Args:
        cfg: composed from the command line.
        saved: the run's ``config.yaml``.
        overrides: ``key=value`` of the command line; the key of a group replaces the whole section.

    Raises:
        DataError: ``saved`` is not a run's configuration.
    """
    try:
        merged = OmegaConf.create(read_yaml(saved))
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise DataError(f"{saved}: not a run's configuration ({error})") from error
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        value = OmegaConf.select(cfg, key)
        if value is not None or OmegaConf.select(merged, key) is not None:
            OmegaConf.update(merged, key, value, merge=False, force_add=True)
    return merged


def said() -> set[str]:
    """Keys and groups named on this process's command line; none if Hydra is not running."""
    if not HydraConfig.initialized():
        return set()
    return {override.split("=", 1)[0].lstrip("+~") for override in HydraConfig.get().overrides.task}


def closest(name: str, known: Collection[str], separator: str) -> list[str]:
    """Those of ``known`` whose last part, after a separator, is ``name``; else the most similar one; or none."""
    return [full for full in known if full.endswith(f"{separator}{name}")] or difflib.get_close_matches(
        name, known, n=1
    )


def check_keys(words: Iterable[str], groups: Iterable[str]) -> None:
    """Reject unknown keys by name, before Hydra suggests to add them with a plus.

    Args:
        words: of the command line. Additions and deletions (``+``, ``~``) and Hydra's own keys are left to Hydra.
        groups: names of the configuration groups.

    Raises:
        SettingError: there is no such key or group; suggests similar ones.
    """
    keys = list(_keys(asdict(Settings())))
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key.startswith(("-", "+", "~", "hydra.")) or "/" in key or "@" in key or key in groups:
            continue
        if not any(f"{known}.".startswith(f"{key}.") or key.startswith(f"{known}.") for known in keys):
            close = closest(key, [*keys, *groups], ".")
            hint = f"did you mean {' or '.join(close)}?" if close else "--cfg job prints all there are"
            raise SettingError(key, value, f"no such key; {hint}")


def check_options(words: Iterable[str], groups: Mapping[str, Collection[str]]) -> None:
    """Reject options that a configuration group does not have, in one line; Hydra lists all there are.

    Args:
        words: of the command line. Values that Hydra has to work out are left to it, and so is everything if
            ``hydra.searchpath`` names other folders.
        groups: names of the configuration groups with their options; a group without any may have any.

    Raises:
        SettingError: there is no such option; suggests the most similar one.
    """
    words = list(words)
    if any(word.startswith("hydra.searchpath") for word in words):
        return
    for word in words:
        key, _, value = word.partition("=")
        options = groups.get(key, ())
        if not options or set("(${'\"\\") & set(value):
            continue
        for option in (part.strip().removesuffix(".yaml") for part in value.strip("[]").split(",")):
            if option not in (*options, "", "null"):
                close = closest(option, options, "/")
                hint = f"did you mean {close[0]}? " if close else ""
                raise SettingError(key, option, f"no such option; {hint}--help lists all there are")


def _keys(section: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of all values; an empty section counts as a value, because it may contain anything."""
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def instantiate(name: str, section: dict[str, Any]) -> list[Any]:
    """Instantiate every ``_target_`` node of the section ``name``, in order; null entries are skipped.

    Raises:
        SettingError: there is no such class, or it needs a package that is not installed.
    """
    return [_made(f"{name}.{key}", node) for key, node in section.items() if node]


def _made(key: str, node: dict[str, Any]) -> Any:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate as hydra_instantiate

    try:
        return hydra_instantiate(node)
    except InstantiationException as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        raise SettingError(f"{key}._target_", node.get("_target_"), f"cannot be created: {error.__cause__}") from error


def _build(kind: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise SettingError(prefix.rstrip("."), values, "must be a section of keys and values")
    known = {f.name for f in fields(kind)}
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            raise SettingError(
                f"{prefix}{key}", values[key], f"no such key{f'; did you mean {close[0]}?' if close else ''}"
            )
    hints = typing.get_type_hints(kind)
    return kind(**{key: _convert(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, key: str) -> Any:
    """``value`` converted to the type ``hint``; errors name ``key``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _build(typing.cast(type, hint), value, f"{key}.")
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        *others, last = (a for a in arguments if a is not type(None))
        for other in others:
            try:
                return _convert(other, value, key)
            except SettingError:
                continue
        return _convert(last, value, key)
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingError(key, value, "must be a list")
        return tuple(_convert(arguments[0], item, key) for item in value)
    if origin is dict:
        return dict(value or {})
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise SettingError(key, value, "must be a number of fewer than 300 digits") from error
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # a name may be a number, such as a folder 2024
    if hint is str and isinstance(value, str) and "${" in value:
        raise SettingError(key, value, "must not contain ${, which refers to another setting")
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise SettingError(key, value, f"must be {names.get(hint, str(hint))}")
    return value
