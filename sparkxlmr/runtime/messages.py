"""Python objects between processes of this package: a length (8 bytes, big-endian) and a pickle of that
length. Both ends are this package's own, and nobody else can write to what lies between them."""

from __future__ import annotations

import pickle
from typing import IO, Any

_LENGTH = 8


def send(sink: IO[bytes], thing: Any) -> None:
    """Write the message and flush it."""
    content = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    sink.write(len(content).to_bytes(_LENGTH, "big") + content)
    sink.flush()


def receive(source: IO[bytes]) -> Any:
    """The next message. EOFError where the other end is gone."""
    length = source.read(_LENGTH)
    if len(length) < _LENGTH:
        raise EOFError
    return pickle.loads(source.read(int.from_bytes(length, "big")))
