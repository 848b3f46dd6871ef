"""Writing a SentencePiece model file: the pieces, and how a text is normalised before them.

The numbers of the fields are those of ``sentencepiece_model.proto``; the encoding is that of protocol
buffers: a field is its number and wire type, then the value. Written here rather than with the class that the
sentencepiece package ships for it, since that one imports only beside one release of protobuf or a later one
(7.36.1 for sentencepiece 0.2.3), which a cluster often has not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
_UNIGRAM = 1


@dataclass(frozen=True)
class Piece:
    """An entry of a vocabulary; its place in the list is its id. ``kind``: NORMAL, UNKNOWN, ..."""

    text: str
    score: float = 0.0
    kind: int = NORMAL


def unigram_model(
    pieces: Sequence[Piece], charsmap: bytes, prefix: bool, bos: str, eos: str, pad: str
) -> bytes:
    """A Unigram model as SentencePiece loads it.

    Args:
        pieces: one of them of kind UNKNOWN.
        charsmap: SentencePiece's compiled normalisation rules; empty for none.
        prefix: whether a space is put before a text.
        bos, eos, pad: the names of these control pieces; those that the model lacks get no id.

    Raises:
        ValueError: a piece's text is no Unicode (a lone surrogate).
        OverflowError: a score does not fit float32.
    """
    ids = {piece.text: i for i, piece in enumerate(pieces)}
    unknown = next(i for i, piece in enumerate(pieces) if piece.kind == UNKNOWN)
    trainer = [_number(3, _UNIGRAM), _number(4, len(pieces)), _number(40, unknown)]
    trainer += [_number(41 + i, ids.get(name, -1)) for i, name in enumerate((bos, eos, pad))]
    names = (pieces[unknown].text, bos, eos, pad)
    trainer += [_bytes(45 + i, name.encode()) for i, name in enumerate(names)]
    # Spaces are always escaped as U+2581, and runs of them always one: a tokenizer.json knows nothing else.
    normalizer = [_bytes(2, charsmap), _number(3, int(prefix)), _number(4, 1), _number(5, 1)]
    specs = [_bytes(2, b"".join(trainer)), _bytes(3, b"".join(normalizer))]
    return b"".join([*map(piece_bytes, pieces), *specs])


def piece_bytes(piece: Piece) -> bytes:
    """A piece as it stands in a model file; put behind a whole model, it is one more piece of that."""
    return _bytes(1, _bytes(1, piece.text.encode()) + _float(2, piece.score) + _number(3, piece.kind))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number is written as its two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)
