r"""The rules of Spark NLP's RegexTokenizer, as a pure function: a pattern says what stands between tokens.

Offsets are those of the text, in code points, also where tokens are lower-cased or lose their white space.
Spark NLP looks each token up in the (lower-cased) text, behind the one before, and so finds some in the
separators between.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from sparkxlmr.errors import SettingError
from sparkxlmr.text.java_regex import compile_java, find_all
from sparkxlmr.text.words import utf16_length

#: from a text to the begins of its tokens, the tokens, and their ends (inclusive)
Finder = Callable[[str], tuple[list[int], list[str], list[int]]]

_WHITE_SPACE = " \t\n\x0b\f\r"  # Java's \s
_WITHOUT_WHITE_SPACE = str.maketrans("", "", _WHITE_SPACE)


@dataclass(frozen=True)
class SeparatorRules:
    r"""The settings of a tokenizer that cuts at separators. Small, picklable, and hashable.

    Attributes:
        pattern: a Java regular expression for what stands between tokens.
        to_lowercase: whether the text is lower-cased first; the pattern then sees lower case.
        min_length: shortest token kept, in UTF-16 units as on the JVM (an emoji counts 2).
        max_length: longest token kept, in UTF-16 units.
        trim_whitespace: whether tokens lose their white space, that within them too (``\s``).
        preserve_position: with `trim_whitespace`, whether the white space at both ends counts in the offsets.
    """

    pattern: str = r"\s+"
    to_lowercase: bool = False
    min_length: int = 1
    max_length: int | None = None
    trim_whitespace: bool = False
    preserve_position: bool = True


def split_at_separators(text: str, rules: SeparatorRules = SeparatorRules()) -> list[tuple[int, int, str]]:
    """The tokens of a text as (begin, end inclusive, token), in order.

    Raises:
        SettingError: the pattern cannot be used, or the lengths contradict each other.

    >>> split_at_separators("Hello  World.")
    [(0, 4, 'Hello'), (7, 12, 'World.')]
    >>> split_at_separators("a, B", SeparatorRules(",", True, trim_whitespace=True))
    [(0, 0, 'a'), (2, 3, 'b')]
    """
    begins, tokens, ends = separator_finder(rules)(text)
    return list(zip(begins, ends, tokens, strict=True))


@lru_cache(maxsize=64)
def separator_finder(rules: SeparatorRules) -> Finder:
    """The compiled rules: a function from a text to begins, tokens and ends.

    Raises:
        SettingError: the pattern cannot be used, or the lengths contradict each other.
    """
    separator = compile_java(rules.pattern)
    shortest = max(rules.min_length, 1)
    longest = sys.maxsize if rules.max_length is None else rules.max_length
    if longest < rules.min_length:
        raise SettingError(
            f"the longest token allowed has {longest} characters, the shortest {rules.min_length}",
            "maxLength not below minLength",
            "raise maxLength or lower minLength",
        )

    def find_tokens(text: str) -> tuple[list[int], list[str], list[int]]:
        lowered = text.lower() if rules.to_lowercase else text
        place = _places(text, lowered)
        begins, tokens, ends = [], [], []
        for begin, end in _between(separator, lowered):
            token = lowered[begin:end]
            if not shortest <= utf16_length(token) <= longest:
                continue
            if rules.trim_whitespace:
                if not rules.preserve_position:
                    end -= len(token) - len(token.rstrip(_WHITE_SPACE))
                    begin += len(token) - len(token.lstrip(_WHITE_SPACE))
                token = token.translate(_WITHOUT_WHITE_SPACE)
            if token:
                begins.append(place(begin))
                tokens.append(token)
                ends.append(place(end - 1))
        return begins, tokens, ends

    return find_tokens


def _between(separator: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    """What lies between the separators; as in Java, one of no width at the very beginning is none."""
    start = 0
    for match in find_all(separator, text):
        if match.end() > 0:
            yield start, match.start()
            start = match.end()
    yield start, len(text)


def _places(text: str, lowered: str) -> Callable[[int], int]:
    """From the place of a character in the lower-cased text to that in the text; few grow (İ)."""
    if len(text) == len(lowered):
        return int
    lengths = list(accumulate((len(char.lower()) for char in text), initial=0))
    places = [i for i in range(len(text)) for _ in range(lengths[i + 1] - lengths[i])]
    return places.__getitem__
