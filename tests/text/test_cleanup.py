"""The clean-up modes against Spark NLP's own patterns."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkxlmr.errors import SettingError
from sparkxlmr.text.cleanup import MODES, TRIMMED, clean

# Spark NLP's patterns as it writes them, with Java's white space spelled out
S = r"[ \t\n\x0b\f\r]"
AS_WRITTEN = {
    "disabled": lambda t: t,
    "inplace": lambda t: re.sub(S, " ", t),
    "inplace_full": lambda t: re.sub(S + r"|(?:\\r)?(?:\\n)|(?:\\t)", " ", t),
    "shrink": lambda t: re.sub(S + "+", " ", t.strip(TRIMMED)),
    "shrink_full": lambda t: re.sub(S + r"+|(?:\\r)*(?:\\n)+|(?:\\t)+", " ", t.strip(TRIMMED)),
    "each": lambda t: re.sub(S + r"[\n\t]", " ", t),
    "each_full": lambda t: re.sub(S + r"(?:\n|\t|(?:\\r)?(?:\\n)|(?:\\t))", " ", t),
    "delete_full": lambda t: re.sub(r"(?:\\r)?(?:\\n)|(?:\\t)", "", t.strip(TRIMMED)),
}
pieces = st.lists(
    st.sampled_from([" ", "\t", "\n", "\r", "\x0b", "\\", "\\n", "\\r", "\\t", "n", "é", "🙂", "\0"])
)


@given(pieces)
def test_linear_patterns_find_what_the_written_ones_find(parts):
    text = "".join(parts)
    assert {mode: clean(text, mode) for mode in MODES} == {m: f(text) for m, f in AS_WRITTEN.items()}


@pytest.mark.parametrize(
    "text", [" " * 10**6 + "a", "\\r" * 500_000, ("\\r" * 3 + "\\n") * 100_000, "\\" * 10**6]
)
def test_long_runs_take_linear_time(text):
    start = time.process_time()
    for mode in MODES:
        clean(text, mode)
    assert time.process_time() - start < 10


def test_unknown_mode():
    with pytest.raises(SettingError, match=r"'tidy'.*disabled"):
        clean("text", "tidy")
