r"""Sets of code points as sorted ranges, and the properties that Java's patterns name (``\p{Lu}``).

Categories are those of this Python's ``unicodedata``. A JVM may have another version of Unicode (Java 17 has
13.0, Python 3.11 has 14.0), so the two can differ on characters that only the later one assigns.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
SPACE: Ranges = ((9, 13), (32, 32))
DIGIT: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_HORIZONTAL = (
    (0x09, 0x09), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200A),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
_VERTICAL = ((0x0A, 0x0D), (0x85, 0x85), (0x2028, 0x2029))
#: the escapes for sets: ``\s`` and its complement ``\S``, and so on
SHORTHANDS: dict[str, Ranges] = {"s": SPACE, "d": DIGIT, "w": WORD, "h": _HORIZONTAL, "v": _VERTICAL}
_POSIX: dict[str, Ranges] = {
    "Lower": ((97, 122),), "Upper": ((65, 90),), "ASCII": ((0, 127),), "Alpha": ((65, 90), (97, 122)),
    "Digit": DIGIT, "Alnum": ((48, 57), (65, 90), (97, 122)), "Graph": ((33, 126),), "Print": ((32, 126),),
    "Punct": ((33, 47), (58, 64), (91, 96), (123, 126)), "Blank": ((9, 9), (32, 32)), "Space": SPACE,
    "Cntrl": ((0, 31), (127, 127)), "XDigit": ((48, 57), (65, 70), (97, 102)),
    "L1": ((0, 255),), "all": ((0, LAST),),
}  # fmt: skip
_ASSIGNED_PLANES = ((0, 0x40000), (0xE0000, 0xF0000))
_PRIVATE_PLANES = ((0xF0000, 0xFFFFD), (0x100000, 0x10FFFD))
_NO_CHARACTERS = ((0x40000, 0xDFFFF), (0xFFFFE, 0xFFFFF), (0x10FFFE, 0x10FFFF))
_CASED = ("Lu", "Ll", "Lt")
_GROUPS = {"LC": _CASED, "LD": ("L", "Nd")}


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
    if start <= LAST:
        result.append((start, LAST))
    return tuple(result)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """The code points of both."""
    return complement(union(complement(left), complement(right)))


def class_pattern(ranges: Ranges) -> str:
    """A pattern for Python's ``re`` that matches one character of these ranges."""
    return f"[{class_content(ranges)}]" if ranges else "(?!)"


def class_content(ranges: Ranges) -> str:
    """The inside of a class of Python's ``re``."""
    return "".join(_code(a) if a == b else f"{_code(a)}-{_code(b)}" for a, b in ranges)


def both_cases(ranges: Ranges) -> Ranges:
    """The ranges with each ASCII letter in both cases, as Java's ``(?i)`` has it.

    >>> both_cases(((97, 97),))
    ((65, 65), (97, 97))
    """
    lower = tuple((a - 32, b - 32) for a, b in intersection(ranges, ((97, 122),)))
    upper = tuple((a + 32, b + 32) for a, b in intersection(ranges, ((65, 90),)))
    return union(ranges, lower, upper)


@lru_cache(maxsize=1)
def categories() -> dict[str, Ranges]:
    """The code points of each general category: ``Lu``, ``Nd``, and so on.

    Only the planes in which Unicode assigns characters are looked at, a third of all.
    """
    found: dict[str, list[tuple[int, int]]] = {"Co": list(_PRIVATE_PLANES), "Cn": list(_NO_CHARACTERS)}
    for start, end in _ASSIGNED_PLANES:
        for name, run in groupby(map(unicodedata.category, map(chr, range(start, end)))):
            n = sum(1 for _ in run)
            found.setdefault(name, []).append((start, start + n - 1))
            start += n
    return {name: union(tuple(ranges)) for name, ranges in found.items()}


@lru_cache(maxsize=64)
def property_ranges(name: str, ignore_case: bool = False) -> Ranges | None:
    r"""The code points of a property as it stands in ``\p{...}``; None where it is not supported.

    Supported are general categories (``L``, ``Lu``, ``IsLu``, ``gc=Lu``, ``LC``, ``LD``), Java's POSIX
    classes, ``L1`` and ``all``. With ``ignore_case`` a cased category holds letters of any case, as in
    Java 15 and later.

    >>> property_ranges("Upper")
    ((65, 90),)
    >>> property_ranges("IsHan") is None
    True
    """
    key, equals, value = name.partition("=")
    if equals:
        return _category(value, ignore_case) if key.lower() in ("gc", "general_category") else None
    if name in _POSIX:
        return _POSIX["Alpha" if ignore_case and name in ("Lower", "Upper") else name]
    return _category(name.removeprefix("Is"), ignore_case)


def _category(name: str, ignore_case: bool) -> Ranges | None:
    if ignore_case and name in _CASED:
        name = "LC"
    names = _GROUPS.get(name, (name,))
    known = categories()
    chosen = [of for each in names for of in known if of == each or (len(each) == 1 and of[0] == each)]
    return union(*(known[of] for of in chosen)) if chosen else None


def _code(point: int) -> str:
    # the character itself where it can stand there: long classes compile in half the time
    return chr(point) if point > 0xA0 or chr(point).isalnum() else f"\\x{point:02x}"
