r"""Java regular expressions, as the settings of Spark NLP hold them, for Python's ``re``.

A pattern is parsed by Java 17's grammar and written again for Python, so that both find the same spans, or it
is refused. Python's own reading of a construct is never relied on: what Java refuses (``a{,3}``, ``x{2``,
``a(?#c)b``) is refused, sets (``[&&a]``, ``[a-z&&[^q]]``, ``\p{L}``, ``\h``) become flat lists of ranges, and
``(?i)`` is resolved while parsing. As in Java ``\w``, ``\d``, ``\s`` and ``(?i)`` are ASCII.

``\b`` and ``\B`` follow Java 8 to 18, which are the JVMs that Spark NLP is run on most: a word character is a
letter or decimal digit of Unicode or ``_``, and a non-spacing mark counts as one behind such a letter or
digit. From Java 19 on the boundary is ASCII (JDK-8264160).

Refused by name: scripts, blocks and Java's own properties in ``\p``, flags other than ``i``, ``m`` and ``s``,
``\G``, ``\X``, ``\N``, ``\b{g}``, references to groups that are open or come later, and look-behinds whose
alternatives have no fixed width. A surrogate that stands alone matches nothing: Python's texts have none.
Groups within empty or possessive repeats can hold what a failed attempt set in Java, and never do here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from sparkxlmr.errors import SettingError
from sparkxlmr.text.code_points import Ranges, categories, class_content, class_pattern, union
from sparkxlmr.text.java_class import PatternReader

_LINE_ENDS = "\n\r\x85\u2028\u2029"
# Neither in Java is between \r and \n.
_BEFORE_END = r"(?=(?:\r\n|(?<!\r)\n|[\r\x85\u2028\u2029])?\Z)"
_LINE_END = r"(?:(?=[\r\x85\u2028\u2029]|\Z)|(?<!\r)(?=\n))"
_LINE_BEGIN = r"(?:(?:\A|(?<=[\n\x85\u2028\u2029])|(?<=\r)(?!\n))(?!\Z))"
_ANCHORS = {"A": r"(?:\A)", "z": r"(?:\Z)", "Z": _BEFORE_END, "R": r"(?:\r\n|[\n-\r\x85\u2028\u2029])"}
_GROUP = re.compile(
    r"\?(?:<(?P<name>[A-Za-z][A-Za-z0-9]*)>|(?P<look><?[=!])|(?P<atomic>>)"
    r"|(?P<on>[A-Za-z]*)(?P<off>-[A-Za-z]*)?(?P<end>[:)]))"
)
_COUNTED = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_NAME = re.compile("k<([A-Za-z][A-Za-z0-9]*)>")
_MOST_REPEATS = 2**31 - 1
_FLAGS = frozenset("ims")
#: non-spacing marks in a row that are looked through for their letter; of a longer run it is not looked for
_MOST_MARKS = 4


def compile_java(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    r"""A compiled Python pattern that matches what Java's ``Pattern.compile(pattern)`` matches.

    Its groups have Java's numbers and names. To go through the matches in a text use :func:`find_all`.

    Raises:
        SettingError: the pattern is malformed, or uses something that is not supported.

    >>> compile_java(r"\A([\p{L}&&[^x]]+)\z").match("é").group(1)
    'é'
    """
    try:
        return re.compile(_Translator(pattern, ignore_case).translate(), re.ASCII)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(
            f"the pattern {pattern!r} cannot be read: {error}",
            "a Java regular expression",
            "check its brackets, braces and escapes",
        ) from None


def find_all(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """The matches in the text that Java's ``Matcher.find`` goes through.

    Behind an empty match Java searches one character further on, where Python's ``finditer`` tries the same
    position again. (Java counts UTF-16 units, and so also finds an empty match within an emoji; that one is
    left out.)

    >>> [match[0] for match in find_all(compile_java("|a"), "a")]
    ['', '']
    """
    start = len(text) + 1
    for match in pattern.finditer(text):
        yield match
        if match.end() == match.start():
            start = match.end() + 1
            break
    while start <= len(text) and (found := pattern.search(text, start)):
        yield found
        start = found.end() + (found.end() == found.start())


def replace_all(pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str], text: str) -> str:
    """The text with each match of :func:`find_all` replaced."""
    pieces: list[str] = []
    done = 0
    for match in find_all(pattern, text):
        pieces += text[done : match.start()], replacement(match)
        done = match.end()
    return "".join(pieces) + text[done:]


def character_class(content: str) -> Ranges:
    r"""The code points of the Java class ``[content]`` as sorted ranges, ends included.

    >>> character_class("^\\x00-a") == ((98, 0x10FFFF),)
    True
    """
    reader = PatternReader(content + "]")
    try:
        ranges = reader.read_class()
    except ValueError as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(
            f"the character class [{content}] cannot be read: {error}", "a Java class", "check its brackets"
        ) from None
    if reader.at != len(reader.pattern):
        raise SettingError(f"the character class [{content}] ends early", "balanced brackets", "escape the ]")
    return ranges


@lru_cache(maxsize=1)
def word_boundary() -> str:
    r"""Java's ``\b`` (8 to 18) as a pattern of Python's ``re``.

    Of the characters around the boundary one is part of a word and the other is not. A mark on the right
    side is one where the character before it is, but for ``_`` and, as Java has it, what lies beyond U+FFFF.
    """
    of = categories()
    # Python's own \w is faster than a list of all letters; it takes these for letters too.
    numeric = class_content(union(of["Nl"], of["No"]))
    word = rf"(?u:[^\W{numeric}])"
    beyond = r"\U00010000-\U0010ffff"
    base = rf"(?u:[^\W_{numeric}{beyond}])"
    marks = class_pattern(tuple((low, high) for low, high in of["Mn"] if high <= 0xFFFF))
    marked = "".join(rf"|(?<={base}{marks}{{{n}}})" for n in range(1, _MOST_MARKS + 1))
    before = rf"(?:(?<={word})|(?<={marks})(?:(?<={marks}{{{_MOST_MARKS + 1}}}){marked}))"
    any_mark = class_pattern(of["Mn"])
    plain = rf"(?!{any_mark})(?:{before}(?!{word})|(?!{before})(?={word}))"
    return rf"(?:{plain}|(?={any_mark})(?:(?<=_)|(?<={word})(?<=[{beyond}])))"


class _Translator(PatternReader):
    """Parses one Java pattern and writes it for Python, where every atom can be repeated."""

    def __init__(self, pattern: str, ignore_case: bool) -> None:
        super().__init__(pattern)
        self.ignore_case = ignore_case
        self.multiline = self.dotall = False
        self.n_groups = 0
        self.names: dict[str, int] = {}
        self.open: set[int] = set()
        #: groups within negative look-arounds, which Java may leave set and Python does not
        self.negated: set[int] = set()
        self.negations = 0
        #: the largest number of a group that was referred to before it came
        self.later = 0
        self.in_look_behind = False

    def translate(self) -> str:
        """The pattern for Python. Raises ValueError where Java or this class refuses it."""
        alternatives = self._alternatives()
        if self.peek():
            raise ValueError("a ) too many")
        if 0 < self.later <= self.n_groups:
            raise ValueError(f"\\{self.later} stands before its group")
        return "|".join(alternatives)

    def _alternatives(self) -> list[str]:
        """What stands up to the end or the next ``)``, cut at ``|``."""
        found = [self._sequence()]
        while self.skip("|"):
            found.append(self._sequence())
        return found

    def _sequence(self) -> str:
        out = []
        while (char := self.peek()) and char not in "|)":
            if char in "?*+":
                raise ValueError(f"a dangling {char}")
            # as Java has it, what is counted by a { behind another quantifier is nothing
            atom = "(?:)" if char == "{" else self._atom()
            if atom is None:
                continue
            quantifier = self._quantifier()
            if quantifier and atom == _ANCHORS["R"]:
                atom = f"(?>{atom})"  # one that is repeated takes \r\n whole or not at all
            out.append(atom + quantifier)
        return "".join(out)

    def _atom(self) -> str | None:
        """The next element as something that can be repeated; None of flags, which cannot."""
        char = self.take()
        if char == "(":
            return self._group()
        if char == "[":
            return class_pattern(self.read_class())
        if char == "\\":
            return self._escape()
        if char == ".":
            return "(?s:.)" if self.dotall else f"[^{_LINE_ENDS}]"
        if char == "^":
            return _LINE_BEGIN if self.multiline else _ANCHORS["A"]
        if char == "$":
            return _LINE_END if self.multiline else _BEFORE_END
        return self._literal(char)

    def _literal(self, char: str) -> str:
        if self.ignore_case and char.isascii() and char.isalpha():
            return f"[{char.lower()}{char.upper()}]"
        return re.escape(char)

    def _quantifier(self) -> str:
        char = self.peek()
        if char == "{":
            counted = self.match(_COUNTED)
            if counted is None:
                raise ValueError("a { that begins no count such as {2}, {2,} or {2,3}")
            least, comma, most = int(counted[1]), counted[2], counted[3]
            if max(least, int(most or 0)) > _MOST_REPEATS or (most and int(most) < least):
                raise ValueError(f"the count {counted[0]} has no range")
            if self.in_look_behind and (most or counted[1]).strip("0") == "" and not (comma and not most):
                raise ValueError("a count of 0 in a look-behind has no obvious length in Java")
            found = f"{{{least}{comma or ''}{most or ''}}}"
        elif char and char in "?*+":
            found = self.take()
        else:
            return ""
        return found + (self.take() if self.peek() in ("?", "+") else "")

    def _group(self) -> str | None:
        kind = self.match(_GROUP)
        if kind is None and self.peek() == "?":
            raise ValueError(f"the group ({self.pattern[self.at : self.at + 3]}... is none of Java's")
        outer = self.ignore_case, self.multiline, self.dotall
        negative = kind is not None and (kind["look"] or "").endswith("!")
        self.negations += negative
        if kind is not None and kind["end"]:
            self._set_flags(kind["on"], (kind["off"] or "")[1:])
            if kind["end"] == ")":
                return None
        if kind is not None and kind["look"] and kind["look"].startswith("<"):
            found = self._look_behind(kind["look"])
        elif kind is None or kind["name"]:
            found = self._capturing(kind["name"] if kind else None)
        else:
            opening = "(?>" if kind["atomic"] else f"(?{kind['look'] or ':'}"
            found = opening + "|".join(self._alternatives()) + ")"
        if not self.skip(")"):
            raise ValueError("a ( that is not closed")
        self.negations -= negative
        self.ignore_case, self.multiline, self.dotall = outer
        return found if kind is None or not kind["look"] else f"(?:{found})"

    def _set_flags(self, on: str, off: str) -> None:
        if unknown := set(on + off) - _FLAGS:
            raise ValueError(f"flags other than i, m and s ({', '.join(sorted(unknown))}) are not supported")
        for flag, name in (("i", "ignore_case"), ("m", "multiline"), ("s", "dotall")):
            if flag in on + off:
                setattr(self, name, flag not in off)

    def _capturing(self, name: str | None) -> str:
        self.n_groups += 1
        number = self.n_groups
        if name is not None:
            if name in self.names:
                raise ValueError(f"two groups are named {name}")
            self.names[name] = number
        self.open.add(number)
        if self.negations:
            self.negated.add(number)
        content = "|".join(self._alternatives())
        self.open.remove(number)
        return (f"(?P<{name}>" if name else "(") + content + ")"

    def _look_behind(self, kind: str) -> str:
        """One look-behind for each alternative: Python wants them of one width."""
        outer, self.in_look_behind = self.in_look_behind, True
        before = self.n_groups
        alternatives = self._alternatives()
        self.in_look_behind = outer
        if self.n_groups > before:  # groups cannot be told apart between copies
            return f"(?{kind}{'|'.join(alternatives)})"
        return ("|" if kind == "<=" else "").join(f"(?{kind}{each})" for each in alternatives)

    def _escape(self) -> str:
        char = self.peek()
        if char in _ANCHORS:
            self.at += 1
            return _ANCHORS[char]
        if char in ("b", "B"):
            self.at += 1
            if self.pattern.startswith("{g}", self.at):
                raise ValueError("\\b{g} is not supported")
            return word_boundary() if char == "b" else f"(?!{word_boundary()})"
        if char == "k":
            name = self.match(_NAME)
            if name is None or name[1] not in self.names:
                raise ValueError("\\k without the <name> of a group before it")
            return self._reference(self.names[name[1]])
        if char and char in "123456789":
            number = int(self.take())
            # more digits belong to it as long as there are so many groups
            while (digit := self.peek()) and digit in "0123456789":
                if number * 10 + int(digit) > self.n_groups:
                    break
                number = number * 10 + int(self.take())
            return self._reference(number)
        found = self.read_escape()
        return self._literal(chr(found)) if isinstance(found, int) else class_pattern(found)

    def _reference(self, number: int) -> str:
        if number in self.open:
            raise ValueError(f"a reference to the group {number} within it is not supported")
        if number in self.negated:
            raise ValueError(f"a reference to the group {number} in a negative look-around is not supported")
        if self.in_look_behind:
            raise ValueError("a reference in a look-behind has no maximal length")
        if number > self.n_groups:
            self.later = max(self.later, number)
            return "(?!)"  # as in Java, a group that is nowhere matches nothing
        return f"(?{'i' if self.ignore_case else ''}:\\{number})"
