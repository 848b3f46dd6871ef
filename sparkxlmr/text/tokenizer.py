"""Text to ids and back over a SentencePiece model: what all families share.

A family (:mod:`sparkxlmr.text.xlm_roberta`, :mod:`sparkxlmr.text.albert`) says which ids its special tokens
have, how ids and pieces belong together, and what happens to a text before SentencePiece reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import ClassVar

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from sparkxlmr.errors import DamagedModelError, PresetNotFoundError, SettingError
from sparkxlmr.text.ragged import Ragged
from sparkxlmr.text.windows import check_stride, sliding_windows

SPACE_MARK = "▁"  # how SentencePiece writes a space inside a piece
_SURROGATE = re.compile("[\ud800-\udfff]")
# A piece covers few characters: so much of a long text is read first, more only where that did not suffice.
_CHARS_PER_PIECE, _CHARS_AT_LEAST = 8, 256


@dataclass(frozen=True)
class Encoded:
    """What :meth:`SentencePieceTokenizer.encode` returns, one entry a text, in the order of the texts.

    ``ids``: the ids with the family's start and end token, not padded. ``truncated``: whether pieces were cut
    off. ``segment_ids``: for each id the number of its segment, where the family has segments; else None.
    """

    ids: list[list[int]]
    truncated: list[bool]
    segment_ids: list[list[int]] | None = None


@dataclass(frozen=True)
class FlatEncoded:
    """As :class:`Encoded`, in flat arrays: `ids` and, where the family has segments, `segment_ids` int32,
    `truncated` bool (n,)."""

    ids: Ragged
    truncated: NDArray[np.bool_]
    segment_ids: Ragged | None = None

    @classmethod
    def of(cls, encoded: Encoded) -> FlatEncoded:
        """The same of lists."""
        segments = None if encoded.segment_ids is None else Ragged.of(encoded.segment_ids)
        return cls(Ragged.of(encoded.ids), np.array(encoded.truncated, bool), segments)

    def lists(self) -> Encoded:
        """The same in lists."""
        segments = None if self.segment_ids is None else self.segment_ids.lists()
        return Encoded(self.ids.lists(), self.truncated.tolist(), segments)


class SentencePieceTokenizer:
    """Base of the families. Picklable; equal texts give equal ids in every process.

    (Of two ways to cut a word whose pieces score the same, SentencePiece takes another one since 0.2.2 than
    before. Such ties are rare.)

    Args:
        proto: the SentencePiece model, as bytes or as the path of its file.

    Attributes:
        proto: the bytes of the SentencePiece model.
        vocabulary_size: the number of ids; they go from 0 up.
        bos_id, eos_id: what stands before and after a text (`<s>` and `</s>`, `[CLS]` and `[SEP]`).
        pad_id, unk_id, mask_id: padding, an unknown piece, a place to fill.
        mask_token: how the mask is spelled in a text.
        special_ids: the ids of all special tokens.

    Raises:
        PresetNotFoundError: there is no file at that path.
        DamagedModelError: the bytes are no SentencePiece model.
        NotAPresetError: a SentencePiece model of another family.
    """

    mask_token: ClassVar[str]
    bos_id: int
    pad_id: int
    eos_id: int
    unk_id: int
    mask_id: int
    vocabulary_size: int

    _ends_between: ClassVar[int] = 1  # how many end tokens stand between the two texts of a pair
    _has_segments: ClassVar[bool] = False
    _shift: ClassVar[int] = 0  # an id is the SentencePiece id plus this

    def __init__(self, proto: bytes | str | PathLike[str]) -> None:
        self.proto: bytes = _read_proto(proto)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.proto)
            # All of them, since one that is no UTF-8 would only be met in the middle of a run.
            pieces = self._processor.id_to_piece(list(range(self._processor.get_piece_size())))
        except (RuntimeError, ValueError, OSError) as error:
            raise self._damaged(error) from error
        # Whether no piece reaches over a space: then the ids before a space do not depend on the rest.
        self._words_apart = not any(SPACE_MARK in piece[1:] for piece in pieces)
        self._special: Mapping[str, int] = self._lay_out(len(pieces))
        self._special_pattern = pattern_of(self._special)
        self.special_ids: frozenset[int] = frozenset(self._special.values())

    def _lay_out(self, n_pieces: int) -> dict[str, int]:
        """Sets the ids and `vocabulary_size`; returns the special tokens, spelled, with their ids."""
        raise NotImplementedError

    def _split(self, text: str) -> list[str]:
        """The text cut at the special tokens it spells, which stand alone; nothing empty."""
        return self._split_at(self._special_pattern, text)

    def _encode_raw(self, segments: list[str]) -> Ragged:
        """Ids of pieces of text that spell no special token."""
        # One call for all; a single thread, since Spark runs a worker process for each core already.
        found = self._processor.encode(segments, out_type=int, num_threads=1) if segments else []
        return Ragged.of(found)

    def _damaged(self, error: Exception) -> DamagedModelError:
        return DamagedModelError(
            f"The vocabulary ({len(self.proto)} bytes) cannot be read: {error}",
            "a SentencePiece model file",
            "fetch or copy the preset again",
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.proto,)

    # --- text to ids ---

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the texts without a start and an end token around them, whole."""
        return self._pieces(texts, None).lists()

    def encode(self, texts: Sequence[str], max_length: int | None = None) -> Encoded:
        """Ids of each text between start and end token, at most ``max_length`` of them (None: all).

        Special tokens spelled in a text become their ids, as in Hugging Face. Lone surrogates, which UTF-8
        cannot say, count as U+FFFD. A text that is too long loses its end; the end token always stays.

        Raises:
            SettingError: ``max_length`` is below 2.
        """
        return self.encode_flat(texts, max_length).lists()

    def encode_flat(self, texts: Sequence[str], max_length: int | None = None) -> FlatEncoded:
        """As :meth:`encode`, for many texts: arrays in place of lists."""
        room = None if max_length is None else _room(max_length, 2)
        pieces = self._pieces(texts, room)
        truncated = np.zeros(len(texts), bool) if room is None else pieces.lengths > room
        ids = (pieces if room is None else pieces.first(room)).between(self.bos_id, self.eos_id)
        segments = Ragged(np.zeros_like(ids.values), ids.offsets) if self._has_segments else None
        return FlatEncoded(ids, truncated, segments)

    def encode_pairs(
        self, pairs: Sequence[tuple[str, str]], max_length: int | None = None, truncate: str = "round_robin"
    ) -> Encoded:
        """Ids of each pair, at most ``max_length`` of them: ``<s> first </s></s> second </s>`` for XLM-R,
        ``[CLS] first [SEP] second [SEP]`` for ALBERT, whose segments are 0 up to the first ``[SEP]``, then 1.

        Args:
            truncate: ``"round_robin"`` shortens the longer text first (keras-hub's name; Hugging Face calls
                this ``longest_first``); ``"waterfall"`` keeps what it can of the first text.

        Raises:
            SettingError: ``max_length`` has no room for the special tokens (4 in XLM-R, 3 in ALBERT), or
                ``truncate`` is neither of the two.
        """
        if truncate not in ("round_robin", "waterfall"):
            raise SettingError(
                f"truncate is {truncate!r}", "'round_robin' or 'waterfall'", "pass one of the two"
            )
        room = None if max_length is None else _room(max_length, 2 + self._ends_between)
        firsts = self._pieces([pair[0] for pair in pairs], room).lists()
        seconds = self._pieces([pair[1] for pair in pairs], room).lists()
        kept, truncated = [], []
        for first, second in zip(firsts, seconds, strict=True):
            n_first, n_second = _share(len(first), len(second), room, truncate)
            truncated.append(n_first < len(first) or n_second < len(second))
            kept.append((first[:n_first], second[:n_second]))
        return self._joined(kept, truncated)

    def encode_windows(
        self,
        texts: Sequence[str],
        max_length: int,
        stride: int,
        seconds: Sequence[str] | None = None,
        max_windows: int | None = None,
    ) -> tuple[Encoded, list[int]]:
        """Ids of each text in windows that together hold all of it, each of at most ``max_length`` ids.

        Neighbouring windows share ``stride`` ids of the text. With ``seconds``, one for each text, every
        window is the first half of a pair (:meth:`encode_pairs`); a second text that fills more than half of
        the room, where the first would have to be cut, loses its end in all of them. Of a text with more than
        ``max_windows`` the first ones are made, and the rest is not tokenized where that can be avoided.

        Returns:
            The windows of the first text, then those of the second and so on, and how many each text has.
            ``truncated`` says of a window whether its second text was cut, or its text has windows that were
            left out.

        Raises:
            SettingError: ``max_length`` has no room for the special tokens, or a window none for more than
                ``stride`` ids of the text.
        """
        room = _room(max_length, 2 if seconds is None else 2 + self._ends_between)
        check_stride(stride, room if seconds is None else room - room // 2)
        limit = None if max_windows is None else room + (max_windows - 1) * (room - stride)
        firsts = self._pieces(texts, limit).lists()
        others = None if seconds is None else self._pieces(seconds, room).lists()
        pairs, cut, counts = [], [], []
        for row, first in enumerate(firsts):
            second = [] if others is None else others[row]
            n_second = _share(len(first), len(second), room, "round_robin")[1] if second else 0
            stretches = sliding_windows(len(first), room - n_second, stride)
            kept = stretches[:max_windows]
            pairs += [(first[start:stop], second[:n_second]) for start, stop in kept]
            cut += [n_second < len(second) or len(kept) < len(stretches)] * len(kept)
            counts.append(len(kept))
        if others is not None:
            return self._joined(pairs, cut), counts
        ids = [[self.bos_id, *first, self.eos_id] for first, _ in pairs]
        return Encoded(ids, cut, [[0] * len(row) for row in ids] if self._has_segments else None), counts

    def _joined(self, pairs: Iterable[tuple[list[int], list[int]]], truncated: list[bool]) -> Encoded:
        """Pairs of ids with the special ones around them."""
        between = [self.eos_id] * self._ends_between
        ids, segment_ids = [], []
        for first, second in pairs:
            ids.append([self.bos_id, *first, *between, *second, self.eos_id])
            segment_ids.append([0] * (1 + len(first) + len(between)) + [1] * (len(second) + 1))
        return Encoded(ids, truncated, segment_ids if self._has_segments else None)

    def _pieces(self, texts: Sequence[str], limit: int | None) -> Ragged:
        """Ids without the outer special ones; of a text with more than ``limit``, at least ``limit + 1``."""
        segments: list[str] = []
        plans: dict[int, list[int | None]] = {}  # of a text that is not one segment: special ids and segments
        for row, text in enumerate(texts):
            parts = self._split(_valid(text))
            plan = [self._special.get(part) for part in parts]
            segments += [part for part, special in zip(parts, plan, strict=True) if special is None]
            if plan != [None]:
                plans[row] = plan
        encoded = self._encode_segments(segments, limit)
        if not plans:
            return encoded
        result: list[NDArray[np.int32]] = []
        found = iter(range(len(segments)))
        for row in range(len(texts)):
            plan = plans.get(row, [None])
            ids = [encoded[next(found)] if special is None else [special] for special in plan]
            result.append(np.concatenate([np.zeros(0, np.int32), *ids], dtype=np.int32))
        return Ragged.sized(np.concatenate(result), np.fromiter(map(len, result), np.int64, len(result)))

    def _split_at(self, pattern: re.Pattern[str], text: str) -> list[str]:
        """The text cut at what the pattern finds. The mask eats the white space before it (Hugging Face
        declares it with ``lstrip=True``)."""
        parts = pattern.split(text)
        for i in range(1, len(parts), 2):
            if parts[i] == self.mask_token:
                parts[i - 1] = parts[i - 1].rstrip()
        return [part for part in parts if part]

    def _encode_segments(self, segments: list[str], limit: int | None) -> Ragged:
        if limit is None or not any(len(s) > 2 * _chars(limit) for s in segments) or not self._words_apart:
            return self._encode_raw(segments)
        chars = _chars(limit)
        heads = [_head(segment, chars) for segment in segments]
        encoded = self._encode_raw(heads)
        longer: dict[int, NDArray[np.int32]] = {}
        for i, (segment, head) in enumerate(zip(segments, heads, strict=True)):
            n_chars, ids = chars, encoded[i]
            while len(ids) <= limit and len(head) < len(segment):
                n_chars *= 8
                head = _head(segment, n_chars)
                ids = longer[i] = self._encode_raw([head])[0]
        return encoded.with_rows(longer)

    # --- ids to text ---

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, without special tokens; unknown pieces read ``⁇``.

        Raises:
            SettingError: an id is outside the vocabulary.
            DamagedModelError: the vocabulary's rules make no UTF-8 of the ids.
        """
        pieces = []
        for i in map(int, ids):
            self._check_id(i)
            if i == self.unk_id:
                pieces.append(int(self._processor.unk_id()))
            elif i not in self.special_ids:
                pieces.append(i - self._shift)
        try:
            return str(self._processor.decode(pieces)) if pieces else ""
        except UnicodeDecodeError as error:
            raise self._damaged(error) from error

    def id_to_token(self, token_id: int) -> str:
        """The piece of an id, spaces written as ``▁``.

        Raises:
            SettingError: the id is outside the vocabulary.
        """
        self._check_id(token_id)
        for token, special_id in self._special.items():
            if special_id == token_id:
                return token
        return str(self._processor.id_to_piece(token_id - self._shift))

    def token_to_id(self, token: str) -> int:
        """The id of a piece; ``unk_id`` for one that the vocabulary lacks."""
        if token in self._special:
            return self._special[token]
        piece = int(self._processor.piece_to_id(token))
        return self.unk_id if piece == self._processor.unk_id() else piece + self._shift

    def _check_id(self, token_id: int) -> None:
        if not 0 <= token_id < self.vocabulary_size:
            raise SettingError(
                f"The id {token_id} is outside the vocabulary",
                f"an id from 0 to {self.vocabulary_size - 1}",
                "check that ids and vocabulary belong to the same model",
            )


def _read_proto(proto: bytes | str | PathLike[str]) -> bytes:
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


def pattern_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """Finds the tokens as they are spelled; splitting by it keeps them."""
    return re.compile("(" + "|".join(map(re.escape, tokens)) + ")")


def _valid(text: str) -> str:
    """The text with its surrogates joined where they pair and replaced by U+FFFD where they stand alone."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _room(max_length: int, n_special: int) -> int:
    if max_length < n_special:
        raise SettingError(
            f"max_length is {max_length}", f"at least {n_special}, the special tokens alone", "raise it"
        )
    return max_length - n_special


def _share(n_first: int, n_second: int, room: int | None, truncate: str) -> tuple[int, int]:
    """How many ids of a pair stay; an odd place goes to the first text, as in both peers."""
    if room is None or n_first + n_second <= room:
        return n_first, n_second
    if truncate == "waterfall":
        kept = min(n_first, room)
        return kept, min(n_second, room - kept)
    n_first = min(n_first, max(room - n_second, room - room // 2))
    return n_first, min(n_second, room - n_first)


def _chars(limit: int) -> int:
    return _CHARS_PER_PIECE * limit + _CHARS_AT_LEAST


def _head(segment: str, n_chars: int) -> str:
    """The segment up to the last space among its first ``n_chars``; the whole where none is there."""
    if len(segment) <= 2 * n_chars:
        return segment
    cut = segment.rfind(" ", 1, n_chars)
    return segment[:cut] if cut > 0 else segment
