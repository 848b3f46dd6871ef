r"""The word rules of Spark NLP's Tokenizer, as a pure function.

A text is cut in three steps. (1) Candidates are the runs of characters that the target allows; the target
pattern is read as Spark NLP reads it, as the inside of a character class (``\S+`` allows all but ASCII white
space, and with it no-break spaces). (2) A candidate that is an exception, or holds one with a break inside,
stays whole. (3) Else the first rule that matches cuts it: each group of the regular expression is a token.
The default rule takes context characters (``. , ; : ! ? * - ( ) " '``) off both ends; a candidate of nothing
else stays whole. Inside a token, ``split_pattern`` or ``split_chars`` cut further, and what they match is
dropped.

Offsets are those of the text, in code points; Spark NLP's own are wrong where a separator is not one
character long or stands at an edge, and after characters outside the Basic Multilingual Plane that the target
refuses.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from sparkxlmr.errors import SettingError
from sparkxlmr.text.code_points import Ranges, class_pattern, complement, intersection, union
from sparkxlmr.text.java_regex import character_class, compile_java, find_all, replace_all

CONTEXT_CHARS = (".", ",", ";", ":", "!", "?", "*", "-", "(", ")", '"', "'")
_MARKS = tuple(map(chr, range(0xFDD0, 0xFDF0))) + tuple(map(chr, range(0xF0000, 0xFFFFE)))

Span = tuple[int, int]
#: from a text to the begins of its words, and the words
Finder = Callable[[str], tuple[list[int], list[str]]]


@dataclass(frozen=True)
class WordRules:
    r"""The settings of a word tokenizer; patterns are Java's. Small, picklable, and hashable.

    Attributes:
        target_pattern: what may stand in a candidate, read as the inside of a character class.
        context_chars: characters taken off both ends.
        prefix_pattern: instead of context characters at the beginning; starts with ``\A``, each group a
            token.
        suffix_pattern: instead of context characters at the end; ends with ``\z``, each group a token.
        infix_patterns: what stands between; tried in turn, each group a token.
        exceptions: patterns that keep a candidate whole, spaces inside them included.
        case_sensitive_exceptions: False lets ASCII letters match in either case.
        split_pattern: cuts tokens inside; wins over `split_chars`.
        split_chars: characters that cut tokens inside; two characters, the first a backslash, are a pattern.
        min_length: shortest token kept, in UTF-16 units as on the JVM (an emoji counts 2).
        max_length: longest token kept, in UTF-16 units.
    """

    target_pattern: str = r"\S+"
    context_chars: tuple[str, ...] = CONTEXT_CHARS
    prefix_pattern: str | None = None
    suffix_pattern: str | None = None
    infix_patterns: tuple[str, ...] | None = None
    exceptions: tuple[str, ...] = ()
    case_sensitive_exceptions: bool = True
    split_pattern: str | None = None
    split_chars: tuple[str, ...] = ()
    min_length: int = 0
    max_length: int | None = None


def tokenize(text: str, rules: WordRules = WordRules()) -> list[tuple[int, int, str]]:
    """The words of a text as (begin, end inclusive, token), in order.

    Raises:
        SettingError: a pattern in the rules cannot be used.

    >>> tokenize("I won't, ok?")
    [(0, 0, 'I'), (2, 6, "won't"), (7, 7, ','), (9, 10, 'ok'), (11, 11, '?')]
    >>> tokenize("New York!", WordRules(exceptions=("New York",), context_chars=()))
    [(0, 8, 'New York!')]
    """
    begins, tokens = word_finder(rules)(text)
    return [(begin, begin + len(token) - 1, token) for begin, token in zip(begins, tokens, strict=True)]


@lru_cache(maxsize=64)
def word_finder(rules: WordRules) -> Finder:
    """The compiled rules: a function from a text to the begins of its words and the words themselves.

    Raises:
        SettingError: a pattern in the rules cannot be used.
    """
    find = _plain_finder(rules) if _is_plain(rules) else _Cutter(rules)
    shortest, longest = max(rules.min_length, 1), rules.max_length
    if longest is None:
        longest = sys.maxsize
    if longest < rules.min_length:
        raise SettingError(
            f"the longest token allowed has {longest} characters, the shortest {rules.min_length}",
            "maxLength not below minLength",
            "raise maxLength or lower minLength",
        )

    def find_within_limits(text: str) -> tuple[list[int], list[str]]:
        begins, tokens = find(text)
        if shortest == 1 and 2 * len(text) <= longest:
            return begins, tokens
        kept = [i for i, token in enumerate(tokens) if shortest <= utf16_length(token) <= longest]
        return [begins[i] for i in kept], [tokens[i] for i in kept]

    return find_within_limits


def utf16_length(token: str) -> int:
    """How long Java finds a text: what lies beyond U+FFFF counts two."""
    return len(token) if token.isascii() else len(token) + sum(char > "\uffff" for char in token)


def _is_plain(rules: WordRules) -> bool:
    """Whether context characters are the only rule."""
    return not (
        rules.prefix_pattern
        or rules.suffix_pattern
        or rules.infix_patterns is not None
        or rules.exceptions
        or rules.split_pattern
        or rules.split_chars
    )


def _allowed(rules: WordRules) -> Ranges:
    """The characters of a candidate. Spark NLP wraps the target, so ``( ? : )`` are among them."""
    return character_class(f"(?:{rules.target_pattern})")


def _plain_finder(rules: WordRules) -> Finder:
    """The plain rules as one regular expression over the whole text: a run of context characters, or from the
    first to the last other character of a candidate."""
    allowed = _allowed(rules)
    context = union(tuple((ord(char), ord(char)) for char in rules.context_chars))
    other = class_pattern(intersection(allowed, complement(context)))
    edge = class_pattern(intersection(allowed, context))
    find = re.compile(f"{edge}+|{other}(?:{class_pattern(allowed)}*{other})?").findall

    def find_words(text: str) -> tuple[list[int], list[str]]:
        tokens = find(text)
        begins, at = [], 0
        for token in tokens:
            # no token begins in the gap before it, whose characters are not allowed in any
            at = text.index(token, at)
            begins.append(at)
            at += len(token)
        return begins, tokens

    return find_words


class _Cutter:
    """The rules in full: candidates, exceptions, rules with groups, splitting."""

    def __init__(self, rules: WordRules) -> None:
        allowed = class_pattern(_allowed(rules))
        self.candidates = re.compile(f"{allowed}+")
        self.breaks = re.compile(f"(?!{allowed})(?s:.)")
        self.exceptions = [compile_java(e, not rules.case_sensitive_exceptions) for e in rules.exceptions]
        self.patterns = _rule_patterns(rules)
        self.split_pattern = compile_java(rules.split_pattern) if rules.split_pattern else None
        self.split_chars = _split_chars_pattern(rules.split_chars) if rules.split_chars else None

    def __call__(self, text: str) -> tuple[list[int], list[str]]:
        spans = self._spans(text)
        return [begin for begin, _ in spans], [text[begin:end] for begin, end in spans]

    def _spans(self, text: str) -> list[Span]:
        spans: list[Span] = []
        protected, mark = self._protected(text)
        for found in self.candidates.finditer(protected):
            candidate = found[0]
            if self.exceptions and (
                mark in candidate or any(e.fullmatch(candidate) for e in self.exceptions)
            ):
                spans.append(found.span())
            else:
                start = found.start()
                spans.extend((start + begin, start + end) for begin, end in self._cut(candidate))
        return spans

    def _protected(self, text: str) -> tuple[str, str]:
        """The text with a mark for each character inside an exception that would break it, and the mark."""
        if not self.exceptions:
            return text, ""
        mark = next(mark for mark in _MARKS if mark not in text)
        for exception in reversed(self.exceptions):
            text = replace_all(exception, lambda match: self.breaks.sub(mark, match[0]), text)
        return text, mark

    def _cut(self, candidate: str) -> Iterator[Span]:
        for pattern in self.patterns:
            match = pattern.search(candidate)
            if match is None:
                continue
            for group in range(1, pattern.groups + 1):
                begin, end = match.span(group)
                if begin < end:
                    yield from self._split(candidate, begin, end)
            return
        yield 0, len(candidate)

    def _split(self, candidate: str, begin: int, end: int) -> Iterator[Span]:
        """The parts of a token between separators; the token itself where nothing is to be split."""
        token = candidate[begin:end]
        if self.split_pattern is not None:
            parts = _parts(self.split_pattern, token)
            # a token with separators at its end only stays whole, as in Spark NLP
            if len(parts) > 1:
                yield from ((begin + a, begin + b) for a, b in parts if a < b)
                return
        if self.split_chars is not None and self.split_chars.search(token):
            yield from ((begin + a, begin + b) for a, b in _parts(self.split_chars, token) if a < b)
        else:
            yield begin, end


def _parts(separator: re.Pattern[str], token: str) -> list[Span]:
    """Where Java's ``String.split`` cuts: no empty parts at the end, no match of no width at 0."""
    parts, start = [], 0
    for match in find_all(separator, token):
        if match.end() > 0:
            parts.append((start, match.start()))
            start = match.end()
    parts.append((start, len(token)))
    while len(parts) > 1 and parts[-1][0] == parts[-1][1]:
        parts.pop()
    return parts


def _rule_patterns(rules: WordRules) -> list[re.Pattern[str]]:
    r"""One pattern for each infix: prefix, infix, suffix."""
    context = "".join(f"\\x{{{ord(char):x}}}" for char in rules.context_chars)
    edge, inner = (f"([{context}]*)", f"[^{context}]") if context else ("()", r"[\s\S]")
    prefix = rules.prefix_pattern or rf"\A{edge}"
    suffix = rules.suffix_pattern or rf"{edge}\z"
    infixes = (
        rules.infix_patterns if rules.infix_patterns is not None else (rf"({inner}(?:(?s:.)*{inner})?)",)
    )
    return [compile_java(prefix + infix + suffix) for infix in infixes]


def _split_chars_pattern(split_chars: tuple[str, ...]) -> re.Pattern[str]:
    return compile_java("|".join(c if len(c) > 1 else f"\\x{{{ord(c):x}}}" for c in split_chars))
