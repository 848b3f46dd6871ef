r"""The sentence rules of Spark NLP's SentenceDetector, as a pure function.

A text is worked on in a copy with marks, step by step: a mark goes in where a sentence ends, around what must
stay whole, and in place of a stop that ends nothing. The steps and their order are Spark NLP's, which took
them from Pragmatic Segmenter; every step looks at the marks of the steps before it, so that the answers are
the same. Steps of Spark NLP that can change no answer are left out: the marks for ``?`` and ``!`` in quotes
(set after the step that looks at them) and the second rule for an ellipsis (the first leaves it nothing).

Only ``. ; ! ?`` end a sentence by themselves; the stops of other scripts want ``custom_bounds``. White space
and letters are ASCII, as in Java.

A sentence is cut out of the text itself, so that its offsets always hold, and text that contains the marks
comes out unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from sparkxlmr.errors import SettingError
from sparkxlmr.text.cleanup import TRIMMED
from sparkxlmr.text.java_regex import compile_java, find_all, replace_all, word_boundary
from sparkxlmr.text.words import utf16_length

#: what happens to the text that a custom bound matches
STRATEGIES = ("none", "prepend", "append")

# Marks, noncharacters all: a sentence ends; one ends here and a custom bound was taken out; what is between
# opened and closed stays whole; a stop that ends nothing. In a text that holds one, _OTHER stands for it.
_BREAK, _CUT, _OPEN, _CLOSE, _HELD, _OTHER = map(chr, range(0xFDD0, 0xFDD6))
_ANY_MARK = re.compile(f"[{_BREAK}-{_HELD}]")
_ZERO_WIDTH = re.compile(f"[{_BREAK}-{_CLOSE}]")

_ABBREVIATIONS = (
    "adj aug bros btw co col corp cpl dec del dept dist dr e.g etc exp feb fy hr i.e id inc jan jr jul jun lt"
    " ltd mar may min mr mrs ms no nov oct ok p plz prof px rep sec sep sept sr st u.s ver vs"
)
_TITLES = "dr mr ms mt prof st"
_BEFORE_NUMBERS = "no p px"

Span = tuple[int, int]
#: from a text to the begins of its sentences, and the sentences
Finder = Callable[[str], tuple[list[int], list[str]]]
_Step = Callable[[str], str]


@dataclass(frozen=True)
class SentenceRules:
    """The settings of a sentence detector; patterns are Java's. Small, picklable, and hashable.

    Attributes:
        use_abbreviations: whether a stop after one of a short list of English abbreviations may end nothing.
        detect_lists: whether ``1.`` and ``(a)`` begin a sentence.
        custom_bounds: patterns of further bounds, looked for before all else.
        use_custom_bounds_only: whether nothing else ends a sentence; without custom bounds it does nothing.
        custom_bounds_strategy: what a custom bound matches is taken out (``none``), begins the next sentence
            (``prepend``), or ends its own (``append``).
        split_length: cut longer sentences at spaces; in UTF-16 units as on the JVM (an emoji counts 2). A
            word that is longer stays whole.
        min_length: shortest sentence kept, in UTF-16 units.
        max_length: longest sentence kept, in UTF-16 units.
    """

    use_abbreviations: bool = True
    detect_lists: bool = True
    custom_bounds: tuple[str, ...] = ()
    use_custom_bounds_only: bool = False
    custom_bounds_strategy: str = "none"
    split_length: int | None = None
    min_length: int = 0
    max_length: int | None = None


def split_sentences(text: str, rules: SentenceRules = SentenceRules()) -> list[tuple[int, int, str]]:
    r"""The sentences of a text as (begin, end inclusive, sentence), in order, without the white space around.

    Raises:
        SettingError: the rules contradict each other, or a pattern cannot be used.

    >>> split_sentences("Mr. Li paid $3.50. Why?")
    [(0, 17, 'Mr. Li paid $3.50.'), (19, 22, 'Why?')]
    >>> split_sentences("one\n\ntwo", SentenceRules(custom_bounds=("\n\n",)))
    [(0, 2, 'one'), (5, 7, 'two')]
    """
    begins, sentences = sentence_finder(rules)(text)
    return [(begin, begin + len(s) - 1, s) for begin, s in zip(begins, sentences, strict=True)]


@lru_cache(maxsize=64)
def sentence_finder(rules: SentenceRules) -> Finder:
    """The compiled rules: a function from a text to the begins of its sentences and the sentences themselves.

    Raises:
        SettingError: the rules contradict each other, or a pattern cannot be used.
    """
    if rules.custom_bounds_strategy not in STRATEGIES:
        raise SettingError(
            f"the strategy for custom bounds is {rules.custom_bounds_strategy!r}",
            f"one of {', '.join(STRATEGIES)}",
            "choose one",
        )
    longest = sys.maxsize if rules.max_length is None else rules.max_length
    if longest < rules.min_length:
        raise SettingError(
            f"the longest sentence allowed has {longest} characters, the shortest {rules.min_length}",
            "maxLength not below minLength",
            "raise maxLength or lower minLength",
        )
    bounds = [compile_java(pattern) for pattern in rules.custom_bounds]
    steps = _steps(rules)

    def find_sentences(text: str) -> tuple[list[int], list[str]]:
        marked, gaps = _at_bounds(_ANY_MARK.sub(_OTHER, text), bounds, rules.custom_bounds_strategy)
        for step in steps:
            marked = step(marked)
        begins, sentences = [], []
        for begin, end in _spans(marked, gaps, len(text)):
            sentence = text[begin:end].lstrip(TRIMMED)
            begin = end - len(sentence)
            sentence = sentence.rstrip(TRIMMED)
            for start, stop in _split(sentence, rules.split_length):
                part = sentence[start:stop]
                if part and rules.min_length <= utf16_length(part) <= longest:
                    begins.append(begin + start)
                    sentences.append(part)
        return begins, sentences

    return find_sentences


def _at_bounds(text: str, bounds: list[re.Pattern[str]], strategy: str) -> tuple[str, list[int]]:
    """The text with marks for its custom bounds, and for each cut the number of characters taken out."""
    gaps: list[int] = []
    for bound in bounds:
        if strategy == "none":
            text, gaps = _cut_out(text, bound, gaps)
        else:
            text = replace_all(bound, _prepended if strategy == "prepend" else _appended, text)
    return text, gaps


def _prepended(match: re.Match[str]) -> str:
    return _BREAK + match[0]


def _appended(match: re.Match[str]) -> str:
    return match[0] + _BREAK


def _cut_out(text: str, bound: re.Pattern[str], gaps: list[int]) -> tuple[str, list[int]]:
    """A cut for each match. A match may take in cuts of earlier bounds; its gap is then that of all."""
    pieces: list[str] = []
    new_gaps: list[int] = []
    done, passed = 0, 0  # characters of the text, cuts in them
    for match in find_all(bound, text):
        before = text.count(_CUT, done, match.start())
        within = match[0].count(_CUT)
        new_gaps += gaps[passed : passed + before]
        passed += before
        new_gaps.append(len(match[0]) - within + sum(gaps[passed : passed + within]))
        passed += within
        pieces += text[done : match.start()], _CUT
        done = match.end()
    return "".join(pieces) + text[done:], new_gaps + gaps[passed:]


def _spans(marked: str, gaps: list[int], length: int) -> Iterator[Span]:
    """Where the sentences of a marked text stand in the text itself, of `length` characters."""
    marks = list(_ZERO_WIDTH.finditer(marked))
    ends = set()
    inside = False  # whether the next bracket is a closing one: an end before it counts for nothing
    for i in reversed(range(len(marks))):
        if marks[i][0] in (_OPEN, _CLOSE):
            inside = marks[i][0] == _CLOSE
        elif not inside:
            ends.add(i)
    begin, taken_out = 0, 0
    remaining = iter(gaps)
    for i, mark in enumerate(marks):
        at = mark.start() - i + taken_out
        gap = next(remaining) if mark[0] == _CUT else 0
        if i in ends:
            yield begin, at
            begin = at + gap
        taken_out += gap
    yield begin, length


def _split(sentence: str, longest: int | None) -> Iterator[Span]:
    """The sentence cut at single spaces into parts of at most `longest`, a longer word being a part."""
    if longest is None or (len(sentence) <= longest and utf16_length(sentence) <= longest):
        yield 0, len(sentence)
        return
    start = at = used = 0
    for word in sentence.split(" "):
        size = utf16_length(word)
        if used + size > longest and at > start:
            yield start, at - 1  # without the space before this word
            start, used = at, 0
        used += size + 1
        at += len(word) + 1
    yield start, at - 1


def _replace(pattern: str, replacement: str, needs: str) -> _Step:
    """A step that a text without any of the characters `needs` can skip."""
    sub = re.compile(pattern, re.ASCII).sub

    def step(text: str) -> str:
        return sub(replacement, text) if any(char in text for char in needs) else text

    return step


_WHOLE = rf"{_OPEN}\g<0>{_CLOSE}"


@lru_cache(maxsize=1)
def _lists() -> list[_Step]:
    """An item begins a sentence and stays whole. (The bare s in the pattern is Spark NLP's.)"""
    item = f"{_BREAK}{_WHOLE}"
    number = (
        r"\s\d{1,2}\.\s|\A\d{1,2}\.\s|\s\d{1,2}\.\)|\A\d{1,2}\.\)|\s-\d{1,2}\.\s|\A-\d{1,2}\.\s|s-\d{1,2}\.\)"
        r"|\A-\d{1,2}[^\n\r\x85\u2028\u2029]\)"
    )
    return [_replace(r"\([a-z]+\)|\A[a-z]+\)", item, ")"), _replace(number, item, ".)")]


@lru_cache(maxsize=1)
def _numbers() -> list[_Step]:
    """A stop before a digit, or after one with no white space behind."""
    line = r"(?:(?<=\A\d\.)|(?<=\A\d\d\.))(?=\s\S|\))"
    return [_replace(rf"\.(?:(?=\d)|(?<=\d\.)(?=\S)|{line})", _HELD, ".")]


@lru_cache(maxsize=2)
def _abbreviations(use_dictionary: bool) -> list[_Step]:
    """U.S., p.m. stay whole; J. and 's; and those of the dictionary by what comes after."""
    possessive = r"(?='s(?:\s|\$|\Z))"
    initial = r"(?:(?<=\A[A-Z]\.)|(?<=\s[A-Z]\.))(?=\s)"
    steps = [
        # the look-ahead spares most letters the test for a boundary
        _replace(
            rf"(?=[a-zA-Z]\.[a-zA-Z]){word_boundary()}[a-zA-Z](?:\.[a-zA-Z])+(?:\.(?!\s[A-Z]))*", _WHOLE, "."
        ),
        _replace(r"[pP]\.[mM]\.*", _WHOLE, "."),
        _replace(r"[aA]\.[mM]\.*", _WHOLE, "."),
        _replace(rf"\.(?:{possessive}|(?<=Co\.)(?=\sKG)|{initial})", _HELD, "."),
    ]
    if use_dictionary:
        follows = r"\s(?:[a-z\d]|I\s|I'm|I'll)"
        listed = _listed(_ABBREVIATIONS)
        steps.append(
            _replace(
                rf"(?<!\S)({_listed(_TITLES)}(?=\.(?:\s|:\d))"
                rf"|{_listed(_BEFORE_NUMBERS)}(?=\.(?:\s\d|\s++\())"
                rf"|{listed}(?=\.(?:[.:?,]|{follows}))|(?<=\s){listed}(?=\.-))\.",
                rf"\g<1>{_HELD}",
                ".",
            )
        )
    return steps


def _listed(abbreviations: str) -> str:
    """A pattern for any of them, whatever the case; the dot within one stands for any character."""
    names = abbreviations.replace(".", r"[^\n\r\x85\u2028\u2029]").split()
    return f"(?i:{'|'.join(names)})"


def _protect_single_quotes(text: str) -> str:
    r"""Keep whole what Java's ``(?<=\s|^)'[\w\s?!.,|']+'\W`` finds, in time linear in the text.

    In each run of the characters of that class: from the first quote that opens to the last that closes.
    """
    if "'" not in text:
        return text
    pieces: list[str] = []
    done = 0
    for run in _RUN_WITH_QUOTES.finditer(text):
        opening = _OPENING_QUOTE.search(text, run.start(), run.end())
        if opening is None:
            continue
        first = opening.start()
        last = text.rfind("'", first + 2, run.end())
        while last >= 0 and (last + 1 == len(text) or _is_word(text[last + 1])):
            last = text.rfind("'", first + 2, last)
        if last >= 0:
            pieces += text[done:first], _OPEN, text[first : last + 2], _CLOSE
            done = last + 2
    return "".join(pieces) + text[done:]


_RUN_WITH_QUOTES = re.compile(r"[\w\s?!.,|']++", re.ASCII)
_OPENING_QUOTE = re.compile(r"(?<!\S)'", re.ASCII)


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


@lru_cache(maxsize=1)
def _stops() -> list[_Step]:
    """What ends a sentence, and the quotes and brackets in which nothing does."""
    within = r"[\w\s?!.,]++"
    held = r"(?<=\w\.)(?=\w)|(?<=[a-zA-z]°\.)(?=\s*\d)"
    return [
        # a run of ! and ? after which a space comes, unless it is a single one after white space; matched
        # from its first character on, so that a long run costs no more than its length
        _replace(r"(?<![!?])(?:(?<=\S)[!?]|[!?]{2})[!?]*+(?=\s|\Z|\$)", rf"\g<0>{_BREAK}", "!?"),
        _replace(rf"\.(?:{held})", _HELD, "."),
        _replace(r"\.\.\.(?=\s+[A-Z])", f"{_HELD}{_HELD}{_HELD}{_BREAK}", "."),
        _protect_single_quotes,
        _replace(rf'"{within}"', _WHOLE, '"'),
        _replace(rf"\[{within}\]", _WHOLE, "]"),
        _replace(rf"\({within}\)", _WHOLE, ")"),
        _replace("[.;]", rf"\g<0>{_BREAK}", ".;"),
    ]


def _steps(rules: SentenceRules) -> list[_Step]:
    """The steps after the custom bounds, in Spark NLP's order, which is another one with such bounds."""
    if rules.custom_bounds and rules.use_custom_bounds_only:
        return []
    lists = _lists() if rules.detect_lists else []
    numbers, abbreviations = _numbers(), _abbreviations(rules.use_abbreviations)
    between = [*abbreviations, *numbers] if rules.custom_bounds else [*numbers, *abbreviations]
    return [*lists, *between, *_stops()]
