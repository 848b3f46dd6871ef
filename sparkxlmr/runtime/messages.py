"""Python objects between processes of this package: a length (8 bytes, big-endian) and a pickle of that
length. Both ends are this package's own, and nobody else can write to what lies between them."""

from __future__ import annotations

import pickle
from typing import IO, Any

from sparkxlmr.errors import EngineError

_LENGTH = 8


def send(sink: IO[bytes], thing: Any) -> None:
    """Write the message and flush it."""
    content = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    sink.write(len(content).to_bytes(_LENGTH, "big") + content)
    sink.flush()


def receive(source: IO[bytes]) -> Any:
    """The next message. EOFError where the other end is gone, also in the middle of a message."""
    length = int.from_bytes(_exactly(source, _LENGTH), "big")
    return pickle.loads(_exactly(source, length))


def portable(error: Exception) -> Exception:
    """The error, or an EngineError of its text where it does not survive pickling.

    Frameworks have exceptions of their own, whose constructors take what pickle does not store. Sent as they
    are, they would end the process that sends or fail the one that receives.
    """
    try:
        pickle.loads(pickle.dumps(error, pickle.HIGHEST_PROTOCOL))
    except Exception:  # whatever its own methods raise
        return EngineError(
            f"The engine's process raised {type(error).__name__}: {error!s:.300}",
            "an engine that runs this model here",
            "look at the executor's stderr for the whole message",
        )
    return error


def _exactly(source: IO[bytes], size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise EOFError
    return content
