r"""Java regular expressions, as the settings of Spark NLP hold them, for Python's ``re``.

Differences that are bridged: ``\z``, ``\Z``, ``$`` and ``.`` know Java's line ends; ``\p{L}`` and its kin;
``\Q..\E``; ``\h``, ``\v``, ``\R``; classes within classes, ``[a-z&&[^q]]``; flags in the middle, ``(?i)``;
named groups. As in Java ``\w``, ``\d``, ``\s`` and ``(?i)`` are ASCII. A class becomes a flat list of ranges.
What is left out is refused by name: scripts and blocks in ``\p``, flags other than ``i`` and ``s``, ``\G``,
``\X``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from sparkxlmr.errors import SettingError

Ranges = tuple[tuple[int, int], ...]

_LINE_ENDS = "\n\r\x85\u2028\u2029"
_BEFORE_END = rf"(?=(?:\r\n|[{_LINE_ENDS}])?\Z)"
_LITERALS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_SPACE = ((9, 13), (32, 32))
_DIGIT = ((48, 57),)
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_HORIZONTAL = (
    (0x09, 0x09), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200A),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
_VERTICAL = ((0x0A, 0x0D), (0x85, 0x85), (0x2028, 0x2029))
_SHORTHANDS: dict[str, Ranges] = {"s": _SPACE, "d": _DIGIT, "w": _WORD, "h": _HORIZONTAL, "v": _VERTICAL}
_POSIX: dict[str, Ranges] = {
    "Lower": ((97, 122),), "Upper": ((65, 90),), "ASCII": ((0, 127),), "Alpha": ((65, 90), (97, 122)),
    "Digit": _DIGIT, "Alnum": ((48, 57), (65, 90), (97, 122)), "Graph": ((33, 126),), "Print": ((32, 126),),
    "Punct": ((33, 47), (58, 64), (91, 96), (123, 126)), "Blank": ((9, 9), (32, 32)), "Space": _SPACE,
    "Cntrl": ((0, 31), (127, 127)), "XDigit": ((48, 57), (65, 70), (97, 102)),
}  # fmt: skip
_LAST = 0x10FFFF


def compile_java(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    r"""A compiled Python pattern that finds what Java's ``Pattern.compile(pattern)`` finds.

    Raises:
        SettingError: the pattern is malformed, or uses something that is not bridged.

    >>> compile_java(r"\A([\p{L}&&[^x]]+)\z").match("é").group(1)
    'é'
    """
    try:
        flags = re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG)
        return re.compile(_Translator(pattern, ignore_case).translate(), flags)
    except (re.error, IndexError, ValueError, OverflowError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(
            f"the pattern {pattern!r} cannot be read: {error}",
            "a Java regular expression",
            "check its brackets",
        ) from None


def character_class(content: str) -> Ranges:
    r"""The code points of the Java class ``[content]`` as sorted ranges, ends included.

    >>> character_class("^\\x00-a") == ((98, 0x10FFFF),)
    True
    """
    translator = _Translator(content + "]", False)
    ranges = translator.read_class()
    if translator.at != len(content) + 1:
        raise SettingError(f"the character class [{content}] ends early", "balanced brackets", "escape the ]")
    return ranges


def class_pattern(ranges: Ranges) -> str:
    """A pattern for Python's ``re`` that matches one character of these ranges."""
    if not ranges:
        return "(?!)"
    return "[" + "".join(_code(a) if a == b else f"{_code(a)}-{_code(b)}" for a, b in ranges) + "]"


def union(*parts: Ranges) -> Ranges:
    """All code points of the parts."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for part in parts for pair in part):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """All other code points."""
    result, start = [], 0
    for low, high in union(ranges):
        if start < low:
            result.append((start, low - 1))
        start = high + 1
    if start <= _LAST:
        result.append((start, _LAST))
    return tuple(result)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """The code points of both."""
    return complement(union(complement(left), complement(right)))


def _code(point: int) -> str:
    return f"\\U{point:08x}"


@lru_cache(maxsize=64)
def _property(name: str) -> Ranges:
    if name in _POSIX:
        return _POSIX[name]
    category = name.removeprefix("Is").removeprefix("gc=").removeprefix("general_category=")
    if re.fullmatch("[LMNPSZC][a-z]?", category):
        points = [i for i in range(_LAST + 1) if unicodedata.category(chr(i)).startswith(category)]
        return union(tuple((i, i) for i in points))
    raise SettingError(
        f"the pattern uses \\p{{{name}}}",
        "a general category such as L or Lu, or a POSIX class such as Punct",
        "write the characters as a class of ranges",
    )


def _both_cases(ranges: Ranges) -> Ranges:
    lower = tuple((a - 32, b - 32) for a, b in intersection(ranges, ((97, 122),)))
    upper = tuple((a + 32, b + 32) for a, b in intersection(ranges, ((65, 90),)))
    return union(ranges, lower, upper)


class _Translator:
    """Reads one Java pattern from left to right."""

    def __init__(self, pattern: str, ignore_case: bool) -> None:
        self.pattern, self.at = pattern, 0
        # flags of the groups that are open, and for each the flag groups that were opened inside
        self.flags, self.opened = [{"i"} if ignore_case else set[str]()], [list[str]()]

    def translate(self) -> str:
        out: list[str] = []
        while self.at < len(self.pattern):
            out.append(self._next())
        return "".join(out) + ")" * len(self.opened[-1])

    def _take(self, n: int = 1) -> str:
        taken = self.pattern[self.at : self.at + n]
        if len(taken) < n:
            raise ValueError("it ends too early")
        self.at += n
        return taken

    def _next(self) -> str:
        char = self._take()
        if char == "\\":
            return self._escape()
        if char == "[":
            return class_pattern(self.read_class())
        if char == "(":
            return self._open()
        if char == ")":
            if len(self.flags) == 1:
                raise ValueError("a ) too many")
            self.flags.pop()
            return ")" * len(self.opened.pop()) + ")"
        if char == "|":
            # a flag holds to the end of its group, across alternatives
            return ")" * len(self.opened[-1]) + "|" + "".join(self.opened[-1])
        if char == ".":
            return "(?s:.)" if "s" in self.flags[-1] else f"[^{_LINE_ENDS}]"
        return _BEFORE_END if char == "$" else char

    def _open(self) -> str:
        group = re.compile(r"\?(?:<([A-Za-z]\w*)>|<?[=!]|>|([a-zA-Z]*)(-[a-zA-Z]+)?([:)]))").match(
            self.pattern, self.at
        )
        flags = set(self.flags[-1])
        if group is None:
            self._enter(flags)
            return "("
        self.at = group.end()
        if group[4] is None:
            self._enter(flags)
            return f"(?P<{group[1]}>" if group[1] else "(" + group[0]
        on, off = set(group[2]), set((group[3] or "")[1:])
        if (on | off) - {"i", "s"}:
            raise ValueError(f"flags other than i and s in ({group[0]} are not supported")
        flags = (flags | on) - off
        switched = ("i" if "i" in on else "") + ("-i" if "i" in off else "")
        if group[4] == ":":
            self._enter(flags)
            return f"(?{switched}:"
        self.flags[-1] = flags
        self.opened[-1].append(f"(?{switched}:")
        return f"(?{switched}:"

    def _enter(self, flags: set[str]) -> None:
        self.flags.append(flags)
        self.opened.append([])

    def _escape(self) -> str:
        char = self.pattern[self.at] if self.at < len(self.pattern) else ""
        if char in ("A", "b", "B"):
            return "\\" + self._take()
        if char in ("z", "Z", "R"):
            self.at += 1
            return {"z": r"\Z", "Z": _BEFORE_END, "R": r"(?:\r\n|[\n-\r\x85\u2028\u2029])"}[char]
        if char == "Q":
            return re.escape(self._quoted())
        if char == "k":
            name = re.compile(r"k<(\w+)>").match(self.pattern, self.at)
            if name is None:
                raise ValueError("\\k without <name>")
            self.at = name.end()
            return f"(?P={name[1]})"
        if char and char in "123456789":
            return "\\" + self._take()
        ranges = self._escaped_ranges()
        return re.escape(chr(ranges[0][0])) if _single(ranges) else class_pattern(ranges)

    def _quoted(self) -> str:
        end = self.pattern.find("\\E", self.at)
        text = self.pattern[self.at + 1 :] if end < 0 else self.pattern[self.at + 1 : end]
        self.at = len(self.pattern) if end < 0 else end + 2
        return text

    def _escaped_ranges(self) -> Ranges:
        """The characters that the escape after a backslash stands for."""
        char = self._take()
        if char.lower() in _SHORTHANDS:
            ranges = _SHORTHANDS[char.lower()]
            return ranges if char.islower() else complement(ranges)
        if char in "pP":
            name = self._take()
            if name == "{":
                end = self.pattern.index("}", self.at)
                name = self._take(end - self.at)
                self.at += 1
            ranges = _property(name.removeprefix("^"))
            return ranges if (char == "p") != name.startswith("^") else complement(ranges)
        if char == "x" and self.pattern[self.at : self.at + 1] == "{":
            end = self.pattern.index("}", self.at)
            point = int(self._take(end - self.at)[1:], 16)
            self.at += 1
        elif char in "xu":
            point = int(self._take(2 if char == "x" else 4), 16)
        elif char == "0":
            octal = re.compile("[0-3]?[0-7]{1,2}").match(self.pattern, self.at)
            if octal is None:
                raise ValueError("\\0 without octal digits")
            self.at, point = octal.end(), int(octal[0], 8)
        elif char == "c":
            point = ord(self._take()) ^ 64
        elif char.isascii() and char.isalpha() and char not in _LITERALS:
            raise ValueError(f"\\{char} is not supported")
        else:
            point = ord(_LITERALS.get(char, char))
        return ((point, point),)

    def read_class(self) -> Ranges:
        """The class whose ``[`` has just been read, up to and with its ``]``."""
        negated = self.pattern[self.at : self.at + 1] == "^"
        self.at += negated
        parts: list[Ranges] = []
        operands: list[Ranges] = []
        start = self.at
        while True:
            if self.pattern.startswith("&&", self.at):
                self.at += 2
                operands.append(union(*parts))
                parts = []
                continue
            char = self._take()
            if char == "]" and self.at - 1 > start:
                break
            parts.append(self._class_item(char))
        if parts or not operands:  # an empty operand at the end, as in [a-z&&], means nothing
            operands.append(union(*parts))
        ranges = operands[0]
        for other in operands[1:]:
            ranges = intersection(ranges, other)
        return complement(ranges) if negated else ranges

    def _class_item(self, char: str) -> Ranges:
        """One element of a class: a class within, a shorthand, a character, or a range of characters."""
        if char == "[":
            return self.read_class()
        if char == "\\" and self.pattern.startswith("Q", self.at):
            return union(tuple((ord(c), ord(c)) for c in self._quoted()))
        ranges = self._escaped_ranges() if char == "\\" else ((ord(char), ord(char)),)
        after = self.pattern[self.at : self.at + 2]
        if _single(ranges) and len(after) == 2 and after[0] == "-" and after[1] not in "[]":
            self.at += 1
            last = self._take()
            end = self._escaped_ranges() if last == "\\" else ((ord(last), ord(last)),)
            if not _single(end) or end[0][0] < ranges[0][0]:
                raise ValueError("a range in a class ends before it begins")
            ranges = ((ranges[0][0], end[0][0]),)
        return _both_cases(ranges) if "i" in self.flags[-1] else ranges


def _single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]
