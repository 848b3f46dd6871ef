r"""The characters of a Java regular expression: escapes, and classes with their nesting and intersections.

Classes are read in Java's own order, because ``&&`` is not a plain operator there: without a right side it
intersects with the element before it (``[a-zA-Z&&]`` is ``[A-Z]``), without a left side it is the right side
(``[&&a]`` is ``[a]``), and ``^`` counts behind ``[`` only.
"""

from __future__ import annotations

import re

from sparkxlmr.errors import SettingError
from sparkxlmr.text.code_points import (
    SHORTHANDS,
    Ranges,
    both_cases,
    complement,
    intersection,
    property_ranges,
    union,
)

_CONTROLS = {"t": 9, "n": 10, "r": 13, "f": 12, "a": 7, "e": 27}
_QUOTE = re.compile(r"(\\[^Q])|\\Q(.*?)(?:\\E|\Z)", re.DOTALL)
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_UNIT = re.compile(r"u([0-9A-Fa-f]{4})")
_LOW_SURROGATE = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
_OCTAL = re.compile("0([0-3][0-7]{2}|[0-7]{1,2})")
_PROPERTY = re.compile(r"[pP](?:\{([^}]+)\}|(.))", re.DOTALL)


class PatternReader:
    """Reads characters, escapes and classes of one Java pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        #: the pattern, its quotes ``\\Q..\\E`` replaced by escapes
        self.pattern = _QUOTE.sub(lambda m: m[1] or "".join(f"\\x{{{ord(c):x}}}" for c in m[2]), pattern)
        self.at = 0
        self.ignore_case = False

    def peek(self) -> str:
        """The next character; "" at the end."""
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        """The next character, consumed. Raises ValueError at the end."""
        char = self.peek()
        if not char:
            raise ValueError("it ends too early")
        self.at += 1
        return char

    def skip(self, text: str) -> bool:
        """Whether the text comes next; it is then consumed."""
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) * found
        return found

    def match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        """The match of the expression at this position, consumed."""
        match = expression.match(self.pattern, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def read_escape(self, in_range: bool = False) -> int | Ranges:
        r"""What the escape after a backslash stands for: one code point, or a set.

        ``in_range``: it begins or ends a range of a class, where ``\v`` is the vertical tab alone.
        """
        char = self.peek()
        if char == "v" and in_range:
            self.at += 1
            return 0x0B
        if char and char.lower() in SHORTHANDS:
            self.at += 1
            ranges = SHORTHANDS[char.lower()]
            return ranges if char.islower() else complement(ranges)
        if char in _CONTROLS:
            self.at += 1
            return _CONTROLS[char]
        if char in ("p", "P"):
            return self._read_property()
        if char in ("x", "u", "0"):
            return self._read_number(char)
        self.take()
        if char == "c":
            return ord(self.take()) ^ 64
        if char.isascii() and char.isalnum():
            raise ValueError(f"\\{char} is not supported")
        return ord(char)

    def _read_property(self) -> Ranges:
        found = self.match(_PROPERTY)
        if found is None:
            raise ValueError("\\p without a name in braces")
        name = found[1] or found[2]
        ranges = property_ranges(name, self.ignore_case)
        if ranges is None:
            raise SettingError(
                f"the pattern uses \\p{{{name}}}",
                "a general category such as L or Lu, or a POSIX class such as Punct",
                "write the characters as a class of ranges",
            )
        return ranges if found[0][0] == "p" else complement(ranges)

    def _read_number(self, kind: str) -> int:
        found = self.match({"x": _HEX, "u": _UNIT, "0": _OCTAL}[kind])
        if found is None:
            raise ValueError(f"\\{kind} without the digits that it needs")
        point = int(found[found.lastindex or 0], 8 if kind == "0" else 16)
        if point > 0x10FFFF:
            raise ValueError(f"\\{found[0]} is beyond the last code point")
        if kind == "u" and 0xD800 <= point < 0xDC00 and (low := self.match(_LOW_SURROGATE)):
            return 0x10000 + ((point - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        return point

    def read_class(self, nested: bool = True) -> Ranges:
        """The class whose ``[`` has just been read, up to and with its ``]``.

        Not ``nested``: the right side of ``&&``, which ends before the ``]`` of the class around it.
        """
        negated = nested and self.skip("^")
        parts = _Parts()
        while True:
            if self.skip("["):
                parts.add(self.read_class())
            elif self.skip("&&"):
                parts.intersect(self._right_side())
            elif self.peek() == "]" and not parts.is_empty():
                self.at += nested
                ranges = parts.all()
                return complement(ranges) if negated else ranges
            else:
                self._read_item(parts)

    def _right_side(self) -> Ranges | None:
        """What stands behind ``&&``, up to the ``]`` of the class or another ``&``."""
        right: Ranges | None = None
        while self.peek() not in ("]", "&"):
            ranges = self.read_class(nested=self.skip("["))
            right = ranges if right is None else union(right, ranges)
        return right

    def _read_item(self, parts: _Parts) -> None:
        """One element of a class: a set, a character, or a range of characters."""
        if self.skip("\\"):
            first = self.read_escape(in_range=self.pattern[self.at + 1 : self.at + 2] == "-")
            if not isinstance(first, int):
                parts.add(first)
                return
        else:
            first = ord(self.take())
        after = self.pattern[self.at : self.at + 2]
        if not after.startswith("-") or after[1:] in ("[", "]"):
            parts.add_character(first, self.ignore_case)
            return
        self.at += 1
        last = self.read_escape(in_range=True) if self.skip("\\") else ord(self.take())
        if not isinstance(last, int) or last < first:
            raise ValueError("a range in a class ends before it begins")
        ranges = ((first, last),)
        parts.add(both_cases(ranges) if self.ignore_case else ranges)


class _Parts:
    """What has been read of a class.

    Java collects single characters up to U+00FF apart and adds them late, at ``&&`` and at the end; it is the
    same collection both times, so that characters behind an intersection bring those before it back.
    """

    def __init__(self) -> None:
        self.ranges: Ranges | None = None
        self.last: Ranges | None = None
        self.characters: list[Ranges] = []
        self.pending = False

    def is_empty(self) -> bool:
        return self.ranges is None and not self.pending

    def add(self, ranges: Ranges) -> None:
        self.last = ranges
        self.ranges = ranges if self.ranges is None else union(self.ranges, ranges)

    def add_character(self, point: int, ignore_case: bool) -> None:
        ranges: Ranges = ((point, point),)
        if ignore_case:
            ranges = both_cases(ranges)
        if point > 0xFF:
            self.add(ranges)
        else:
            self.characters.append(ranges)
            self.last, self.pending = None, True

    def intersect(self, right: Ranges | None) -> None:
        if self.pending:
            characters = union(*self.characters)
            if self.ranges is None:
                self.last = characters
            self.ranges = characters if self.ranges is None else union(self.ranges, characters)
            self.pending = False
        if right is not None:
            self.last = right
        if self.last is None:
            raise ValueError("an intersection in a class lacks a side")
        self.ranges = self.last if self.ranges is None else intersection(self.ranges, self.last)

    def all(self) -> Ranges:
        ranges = self.ranges or ()
        return union(ranges, *self.characters) if self.pending else ranges
