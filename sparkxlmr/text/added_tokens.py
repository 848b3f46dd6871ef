"""Tokens that are matched in a text before SentencePiece reads it, with Hugging Face's flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sparkxlmr.errors import SettingError

_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class AddedToken:
    """One token; flags and defaults are those of ``tokenizers.AddedToken``.

    Attributes:
        content: the text that is matched.
        id: its id.
        lstrip, rstrip: also consume the white space before, after it.
        single_word: match only where neither neighbour is a letter, digit or underscore.
        normalized: match in the normalized text, not in the text as it is.
        special: leave it out of decoded text.
    """

    content: str
    id: int
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    special: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the attributes without flags that are False.

        >>> AddedToken("<user>", 7, special=True).to_json()
        {'content': '<user>', 'id': 7, 'special': True}
        """
        return {name: value for name, value in asdict(self).items() if value is not False}

    @classmethod
    def from_json(cls, document: object) -> AddedToken:
        """Return the token of :meth:`to_json`.

        Raises:
            SettingError: a missing, unknown or mistyped attribute.
        """
        kinds = {field.name: {"content": str, "id": int}.get(field.name, bool) for field in fields(cls)}
        if (
            not isinstance(document, Mapping)
            or not {"content", "id"} <= document.keys() <= kinds.keys()
            or not all(type(value) is kinds[name] for name, value in document.items())
            or not document["content"]
            or document["id"] < 0
        ):
            raise SettingError(
                f"An added token is described by {document!r:.200}",
                f"content (text), id (a whole number) and flags of {sorted(kinds)[3:]}",
                "save the model again",
            )
        return cls(**document)


class TokenSplitter:
    """Splits texts at tokens: the leftmost one, and of those the longest.

    Args:
        tokens: the tokens.
        spelled: returns a token's content as it appears in the texts to be split; None leaves it as it is.

    >>> split = TokenSplitter([AddedToken("<user>", 7, lstrip=True), AddedToken("id", 8, single_word=True)])
    >>> split("hi <user> idle id")
    ['hi', 7, ' idle ', 8]
    """

    def __init__(self, tokens: Iterable[AddedToken], spelled: Callable[[str], str] | None = None) -> None:
        by_content = {(spelled(token.content) if spelled else token.content): token for token in tokens}
        self.tokens = {content: token for content, token in by_content.items() if content}
        # By first character: at most places of a text all tokens are then ruled out at once.
        rests: dict[str, list[str]] = {}
        for content in sorted(self.tokens, key=len, reverse=True):
            rests.setdefault(content[0], []).append(re.escape(content[1:]))
        groups = [f"{re.escape(first)}(?:{'|'.join(some)})" for first, some in rests.items()]
        # Without any token a pattern that matches nowhere, not even the empty text.
        alternatives = "|".join(groups) or r"(?!)"
        #: with one capturing group, so that ``split`` retains the tokens at odd indices
        self.pattern = re.compile(f"({alternatives})")

    def __call__(self, text: str) -> list[str | int]:
        """Return the non-empty texts between the tokens, and the tokens' ids."""
        parts: list[str | int] = []
        start = 0
        for match in self.pattern.finditer(text):
            token = self.tokens[match[0]]
            if token.single_word and _touches_a_word(text, match.start(), match.end()):
                continue
            before = text[start : match.start()]
            if token.lstrip:
                before = before.rstrip()
            if before:
                parts.append(before)
            parts.append(token.id)
            start = match.end()
            while token.rstrip and start < len(text) and text[start].isspace():
                start += 1
        if start < len(text):
            parts.append(text[start:])
        return parts


def _touches_a_word(text: str, start: int, stop: int) -> bool:
    return bool(_WORD.match(text[start - 1 : start]) or _WORD.match(text[stop : stop + 1]))
