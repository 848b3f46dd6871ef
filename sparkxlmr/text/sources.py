"""What a tokenizer reads: the bytes of its vocabulary, and texts that UTF-8 can encode."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from sparkxlmr.errors import PresetNotFoundError

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_proto(proto: bytes | str | PathLike[str]) -> bytes:
    """The bytes of a SentencePiece model, read from its file where a path is passed.

    Raises:
        PresetNotFoundError: the file cannot be read.
    """
    if isinstance(proto, bytes):
        return proto
    path = Path(proto)
    try:
        return path.read_bytes()
    except OSError as error:
        raise PresetNotFoundError(
            f"The vocabulary {path} cannot be read: {error.strerror}",
            "a SentencePiece model file",
            "check the path and its permissions",
        ) from error


def valid_text(text: str) -> str:
    """The text with its surrogates joined where they pair and replaced by U+FFFD where they stand alone."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
