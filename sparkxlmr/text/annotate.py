"""Annotations of texts without Spark: what the stages build in SQL, as pure functions over lists.

A row is a list of annotations, as one cell of an annotation column holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparkxlmr.text.annotation import DOCUMENT, TOKEN, Annotation
from sparkxlmr.text.cleanup import clean

SENTENCE = "sentence"
#: from a text to parallel lists: begins, results, and of some rules ends (inclusive)
Finder = Callable[[str], tuple[list[Any], ...]]


def documents(
    text: str | None, mode: str = "disabled", metadata: Mapping[str, str | None] | None = None
) -> list[Annotation]:
    """The one document of a text, as `DocumentAssembler` makes it of a string column.

    Args:
        text: None counts as empty. Lone surrogates, which no UTF-8 has, become U+FFFD.
        mode: the clean-up mode (:func:`sparkxlmr.text.cleanup.clean`).
        metadata: further entries; `sentence` is "0" whatever they say.

    >>> documents(" two  words ", "shrink", {"source": "mail"})
    [Annotation(document, 0, 8, two words, {'sentence': '0', 'source': 'mail'})]
    """
    kept = clean(valid_text(text or ""), mode)
    entries = {SENTENCE: "0"} | {key: value for key, value in (metadata or {}).items() if key != SENTENCE}
    return [Annotation(DOCUMENT, 0, len(kept) - 1, kept, entries)]  # type: ignore[arg-type]  # null is allowed


def valid_text(text: str) -> str:
    r"""The text without what UTF-8 cannot hold: each lone surrogate becomes U+FFFD.

    >>> valid_text("a\ud83d!")
    'a�!'
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def tokens(row: Sequence[Annotation], find: Finder) -> list[Annotation]:
    """The tokens of a row's documents or sentences; offsets count from the document's own begin.

    >>> from sparkxlmr.text.words import WordRules, word_finder
    >>> tokens([Annotation("document", 5, 7, "a b", {"sentence": "2"})], word_finder(WordRules()))
    [Annotation(token, 5, 5, a, {'sentence': '2'}), Annotation(token, 7, 7, b, {'sentence': '2'})]
    """
    found: list[Annotation] = []
    for index, document in enumerate(row):
        begins, results, *ends = find(document.result)
        sentence = sentence_of(document, index)
        last = ends[0] if ends else [at + len(text) - 1 for at, text in zip(begins, results, strict=True)]
        found += [
            Annotation(TOKEN, document.begin + begin, document.begin + end, result, {SENTENCE: sentence})
            for begin, end, result in zip(begins, last, results, strict=True)
        ]
    return found


def sentences(row: Sequence[Annotation], find: Finder) -> list[Annotation]:
    """The sentences of a row's documents, numbered through the row; metadata are the document's else.

    >>> from sparkxlmr.text.sentences import SentenceRules, sentence_finder
    >>> sentences(documents("One. Two."), sentence_finder(SentenceRules()))
    [Annotation(document, 0, 3, One., {'sentence': '0'}), Annotation(document, 5, 8, Two., {'sentence': '1'})]
    """
    found: list[Annotation] = []
    for document in row:
        begins, results = find(document.result)
        for at, result in zip(begins, results, strict=True):
            begin = document.begin + at
            metadata = {**document.metadata, SENTENCE: str(len(found))}
            found.append(Annotation(DOCUMENT, begin, begin + len(result) - 1, result, metadata))
    return found


def sentence_of(document: Annotation, index: int) -> str:
    """The number of a document or sentence in its row: what its metadata say, else its place."""
    stated = document.metadata.get(SENTENCE)
    return str(index) if stated is None else stated
