"""Generated Java patterns, valid and not, and texts to try them on; the same for the same seed."""

from __future__ import annotations

from random import Random

#: what a pattern is tried on; within Unicode 6.2, that of Java 8
TEXTS = (
    "ab AB aab aabb ccc abcabc",
    "d\u00e9j\u00e0 vu, \u00c9tape 2 x\u00b2y \u00bd",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440_1 \u4f60\u597d\u3002\u0967",
    "e\u0301a \u0301b _\u0301c 1\u0301\u0302\u0303 \u00e9\u0301",
    "a\r\nb\nc\rd\u0085e\u2028f\r\n",
    "a\n",
    "",
    "{a} [b-c] &&^ ]x{2 $5.00 \\d (k)",
    "A\ta\u00a0\u3000b\x0b\x0c \x1b",
    "K\u017f\u212a kK\u00e5\u0130i",
)
ATOMS = (
    "a", "b", "c", "A", "k", "\u00e9", "\u043f", "1", "_", " ", "-", "&", "]", "}", ",", ".", "^", "$",
    r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\H", r"\v", r"\V", r"\R", r"\b", r"\B", r"\A", r"\z",
    r"\Z", r"\.", r"\{", r"\[", r"\-", r"\t", r"\n", r"\r", r"\f", r"\e", r"\x61", r"\x{e9}", r"\u00e9",
    r"\cJ",
    r"\0101", r"\07", r"\p{L}", r"\P{L}", r"\pN", r"\p{Lu}", r"\p{IsLl}", r"\p{gc=Mn}", r"\p{Punct}",
    r"\p{Upper}", r"\p{Lower}", r"\p{Alpha}", r"\P{Space}", r"\p{LC}", r"\p{L1}", r"\Qa.\E", r"\Q[\E",
    r"\Q\E",
    "\\\u00e9", r"\_",
)  # fmt: skip
CLASS_ITEMS = (
    "a", "b", "c", "z", "A", "K", "\u00e9", "\u043f", "^", "-", "&", "&&", "&&", "]", "[", ".", "$", "1",
    "{", "|",
    "a-c", "a-z", "b-y", "A-Z", "0-9", "\u00e0-\u00ff", "k-", "-k", r"\w", r"\W", r"\d", r"\s", r"\S",
    r"\h", r"\v",
    r"\]", r"\-", r"\\", r"\x61", r"\n", r"\v-\r", r"a-\d", r"\p{L}", r"\p{Lu}", r"\P{Lu}", r"\p{Punct}",
    r"\Qa-\E", "^a", "&&[^b]", "&&[a-z]",
)  # fmt: skip
QUANTIFIERS = ("*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "{0}")
BROKEN = ("{", "{,3}", "{2", "{2,1}", "x{a}", "*", "+", "?", "**", "(", ")", "[", "[]", "[a", "(?#c)",
          "(?P<n>a)",
          "(?<1>a)", "(?", "\\", r"\E", r"\q", r"\x", r"\x{", r"\x{110000}", r"\u12", r"\08", r"\p{^L}",
          r"\p{Ca}",
          r"\p", r"\k<q>", r"\c", "[a&&", "[b-a]", "(?<=", "(?~a)", "(?i", "a{2}{3}", "a{2}*", "]{2}",
          r"\1", r"\9",
          "(?)", "(?-)", "(?i-)", "{2}")  # fmt: skip
_OPENINGS = ("(", "(", "(?:", "(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?s:", "(?m:", "(?-i:")
_FLAGS = ("(?i)", "(?s)", "(?m)", "(?-i)", "(?im)", "(?i-s)")


def generate(seed: int, n: int) -> list[str]:
    """That many patterns, about two thirds of which Java accepts."""
    random = Random(seed)
    patterns = []
    for _ in range(n):
        pattern = _expression(random, random.choice((1, 2, 2, 3)))
        if random.random() < 0.15:
            at = random.randrange(len(pattern) + 1)
            pattern = pattern[:at] + random.choice(BROKEN) + pattern[at:]
        if random.random() < 0.08 and pattern:
            at = random.randrange(len(pattern))
            pattern = pattern[:at] + pattern[at + 1 :]
        patterns.append(pattern)
    return patterns


def _expression(random: Random, depth: int) -> str:
    n = random.choice((1, 1, 1, 2))
    return "|".join(
        "".join(_element(random, depth) for _ in range(random.choice((0, 1, 2, 2, 3)))) for _ in range(n)
    )


def _element(random: Random, depth: int) -> str:
    chosen = random.random()
    if depth and chosen < 0.25:
        opening = random.choice(_OPENINGS)
        element = f"{opening}{_expression(random, depth - 1)})"
    elif chosen < 0.45:
        element = _class(random)
    elif chosen < 0.49:
        return random.choice(_FLAGS)
    elif chosen < 0.53:
        element = random.choice((r"\1", r"\2", r"\11"))
    else:
        element = random.choice(ATOMS)
    if random.random() < 0.35:
        element += random.choice(QUANTIFIERS) + random.choice(("", "", "", "?", "+"))
    return element


def _class(random: Random) -> str:
    items = "".join(
        _class(random) if random.random() < 0.12 else random.choice(CLASS_ITEMS)
        for _ in range(random.choice((1, 2, 3, 4)))
    )
    return f"[{random.choice(('', '', '^'))}{items}]"


def has_stale_groups(pattern: str) -> bool:
    """Whether the pattern has constructs in which Java may leave a group as a failed attempt set it.

    Matches are the same; of the groups within, Python's are those that the match itself set.
    """
    plain = pattern.replace("\\\\", "")
    return any(mark in plain for mark in ("(?!", "(?<!", "()", "(|", "|)", "++", "*+", "?+", "}+"))
