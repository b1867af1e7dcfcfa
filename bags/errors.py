"""Error messages for users: one line that names the file, key or value and says what to do."""

from __future__ import annotations

import reprlib

LONGEST = 800  # characters of a message

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = _shown.maxlong = 120
_shown.maxlist = _shown.maxtuple = _shown.maxdict = 12


class BagsError(Exception):
    """An error that the user can fix; the command line prints it without a traceback and exits with 1.

    Its message is one line of printable characters, even if a file's name or a library's message is not.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, LONGEST))


class SettingError(BagsError, ValueError):
    """An invalid setting: names the key, its value and what is allowed."""

    def __init__(self, key: str, value: object, remedy: str) -> None:
        super().__init__(f"{one_line(key, 120)} = {shown(value)}: {remedy}")


class DataError(BagsError):
    """A scene, photo or other file that cannot be used."""


def to_install(extra: str) -> str:
    """Command to install an extra of this package; from the checkout, because on PyPI the name is another package's."""
    return f"pip install -e '.[{extra}]' in the checkout"


def one_line(text: str, longest: int) -> str:
    """``text`` with the middle left out if it is too long, and unprintable characters escaped."""
    if len(text) > longest:
        text = f"{text[: longest // 2]} ... {text[-longest // 2 :]}"
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def in_utf8(name: str) -> str:
    """A file's name as valid UTF-8; each byte that is not UTF-8 is escaped (0xFC, which Python reads as U+DCFC)."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value: object) -> str:
    """``value`` as Python represents it, shortened if it is long or deeply nested."""
    try:
        return _shown.repr(value)
    except ValueError:  # Python does not convert integers of more than sys.get_int_max_str_digits() digits
        return "a number of thousands of digits"


def _escaped(letter: str) -> str:
    return " " if letter.isspace() else letter.encode("unicode_escape").decode("ascii")
