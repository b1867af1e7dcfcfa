"""Errors meant for people: one message that names the file, key or value and says what to do."""

from __future__ import annotations


class BagsError(Exception):
    """Anything a user can mend; the command line prints it without a traceback and exits with 1."""


class SettingError(BagsError, ValueError):
    """A setting that cannot be: names the key, the value it got and what is allowed."""

    def __init__(self, key: str, value: object, remedy: str) -> None:
        super().__init__(f"{key} = {value!r}: {remedy}")


class DataError(BagsError):
    """A scene, photo or other file that cannot be used as it is."""
