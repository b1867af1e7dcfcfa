from __future__ import annotations

import pytest

from bags.errors import LONGEST, BagsError, DataError, SettingError


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("\x1b[2J\x07\x00", r"\x1b[2J\x07\x00"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("grün \U0001f600", "grün \U0001f600"),
    ],
)
def test_a_message_is_one_line_that_can_be_printed(said: str, shown: str) -> None:
    assert str(BagsError(said)) == shown
    assert shown in str(DataError(f"x{said}y"))


def test_long_values_are_cut_and_their_key_and_remedy_stay() -> None:
    assert len(str(BagsError("x" * 10_000))) < LONGEST + 10
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("y" * 10**6, list(range(10**6)), deep, 10**4000, 10**5000, [10**5000]):
        message = str(SettingError("trainer.threads", value, "give less"))
        assert message.startswith("trainer.threads = ") and message.endswith(": give less") and len(message) < LONGEST
