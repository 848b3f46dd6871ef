r"""The eight clean-up modes of Spark NLP's DocumentAssembler, as pure functions.

White space here is Java's ``\s``: space, ``\t``, ``\n``, ``\x0b``, ``\f``, ``\r``, and nothing of Unicode. To
trim drops every character up to U+0020 at both ends, as Java's ``String.trim``. A *literal* ``\n`` is two
characters, a backslash and an ``n``, as badly unescaped exports hold them.

The patterns are written in the part of the syntax that Python's ``re`` and Java's regex share, so that the
stage hands these very patterns to Spark SQL. Each needs time linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sparkxlmr.errors import SettingError

#: what ``trim`` drops at both ends: U+0000 to U+0020
TRIMMED = "".join(map(chr, range(0x21)))

_SPACE = r"[ \t\n\x0B\f\r]"
_LITERAL = r"(?:\\r)?\\n|\\t"
# Spark NLP writes (?:\\r)*(?:\\n)+. Started only at the head of a run of literal \r, and without giving back,
# it finds the same and stays linear on a long run that no literal \n follows.
_LITERAL_RUNS = r"(?:(?<!\\r)(?:\\r)++)?+(?:\\n)++|(?:\\t)++"


@dataclass(frozen=True)
class CleanupRule:
    """How one mode cleans: trim or not, then replace each match of `pattern` by `replacement`."""

    trim: bool = False
    pattern: str = ""
    replacement: str = " "
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern))

    def __call__(self, text: str) -> str:
        if self.trim:
            text = text.strip(TRIMMED)
        return self.compiled.sub(self.replacement, text) if self.pattern else text


RULES: dict[str, CleanupRule] = {
    "disabled": CleanupRule(),
    "inplace": CleanupRule(pattern=_SPACE),
    "inplace_full": CleanupRule(pattern=f"{_SPACE}|{_LITERAL}"),
    "shrink": CleanupRule(trim=True, pattern=f"{_SPACE}++"),
    "shrink_full": CleanupRule(trim=True, pattern=f"{_SPACE}++|{_LITERAL_RUNS}"),
    "each": CleanupRule(pattern=rf"{_SPACE}[\n\t]"),
    "each_full": CleanupRule(pattern=rf"{_SPACE}(?:[\n\t]|{_LITERAL})"),
    "delete_full": CleanupRule(trim=True, pattern=_LITERAL, replacement=""),
}

#: names of the modes
MODES: tuple[str, ...] = tuple(RULES)


def clean(text: str, mode: str = "disabled") -> str:
    r"""The text as a DocumentAssembler with this ``cleanupMode`` keeps it.

    ================  ===================================================================================
    ``disabled``      unchanged
    ``inplace``       each white space character becomes a space
    ``inplace_full``  also each literal ``\n``, ``\r\n``, ``\t``
    ``shrink``        trimmed, each run of white space becomes one space
    ``shrink_full``   also each run of literal ``\r*\n``, and of literal ``\t`` (mixed runs leave several)
    ``each``          white space followed by a newline or tab (two characters) becomes one space
    ``each_full``     also white space followed by a literal newline or tab
    ``delete_full``   trimmed, literal ``\n``, ``\r\n``, ``\t`` deleted; real newlines stay
    ================  ===================================================================================

    Raises:
        SettingError: no mode of that name.

    >>> clean("  two\n\n lines ", "shrink")
    'two lines'
    >>> clean(r"a\nb", "inplace_full")
    'a b'
    """
    rule = RULES.get(mode)
    if rule is None:
        raise SettingError(f"the clean-up mode is {mode!r}", f"one of {', '.join(MODES)}", "choose one")
    return rule(text)
