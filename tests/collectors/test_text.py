"""Untrusted text: what reaches a screen cannot move, recolour, reorder or overflow it."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.text import MAX_MARKS, clean

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=80)
HOSTILE = st.text(
    st.sampled_from(
        "\x1b\x9b\x07\n\t\r\x00\u202e\u2066\u200b\u200d\ufe0f\u0301\ud800\ue000…é[a\U0001f1eb"
    ),
    max_size=60,
)


@given(st.one_of(ANY_TEXT, HOSTILE), st.integers(-2, 40))
@example("a" * 2000, 10)
@example("\u200b" * 2000 + "a", 10)
@example("…" * 2000, 3)
def test_result_is_bounded_printable_and_stable(text: str, limit: int) -> None:
    result = clean(text, limit)
    assert len(result) <= max(limit, 0)
    assert clean(result, limit) == result
    assert not {unicodedata.category(char) for char in result} & {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
        "Zl",
    }
    result.encode("utf-8")


@given(HOSTILE)
def test_no_base_character_carries_more_than_three_marks(text: str) -> None:
    run = MAX_MARKS
    for char in clean(text + "\u0301" * 9):
        run = run + 1 if unicodedata.combining(char) else 0
        assert run <= MAX_MARKS


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain [bold] text", "plain [bold] text"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("\x9b2J", "\ufffd2J"),
        ("user\u202egpj.exe", "usergpj.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("\u0301start", "start"),
        ("Zürich 東京 дом", "Zürich 東京 дом"),
        ("🇫🇷 👍🏽 ❤️", "FR 👍 ❤"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 3),
        (b"bytes \xff", "bytes \ufffd"),
        (None, ""),
        (12.5, "12.5"),
    ],
)
def test_each_kind_of_trouble_has_its_replacement(raw: object, shown: str) -> None:
    assert clean(raw) == shown


def test_long_text_ends_in_an_ellipsis_at_the_limit() -> None:
    assert clean("x" * 121) == "x" * 119 + "…"
    assert clean("x" * 120) == "x" * 120
    assert clean("\n" * 10**6, 4) == "   …"
    assert clean("abc", 1) == "…"


def test_a_value_that_cannot_be_printed_is_still_shown() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    class Sly(str):
        def __str__(self) -> str:
            return "\x1b[2J"

        def __len__(self) -> int:
            return 0

    assert clean(Broken()) == "\ufffd"
    assert clean(Sly("\x1bx")) == "\ufffdx"
    assert clean(10**5000) == "\ufffd"


def test_importing_it_brings_no_terminal_library() -> None:
    code = "import collectors.text, sys; print({'rich', 'textual', 'plotext'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
