"""Text to ids and back over a SentencePiece model: what all families share.

A family (:mod:`sparkxlmr.text.xlm_roberta`, :mod:`sparkxlmr.text.albert`) says which ids its special tokens
have, how ids and pieces belong together, and what happens to a text before SentencePiece reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import ClassVar

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from sparkxlmr.errors import DamagedModelError, SettingError
from sparkxlmr.text.added_tokens import AddedToken, TokenSplitter
from sparkxlmr.text.encoded import Encoded, FlatEncoded
from sparkxlmr.text.ragged import Ragged
from sparkxlmr.text.sources import read_proto, valid_text
from sparkxlmr.text.truncation import chars_for, head_of, room_for, share
from sparkxlmr.text.windows import check_stride, sliding_windows

__all__ = ["SPACE_MARK", "Encoded", "FlatEncoded", "SentencePieceTokenizer"]

SPACE_MARK = "▁"  # how SentencePiece writes a space inside a piece


class SentencePieceTokenizer:
    """Base of the families. Picklable; equal texts give equal ids in every process.

    (Of two ways to cut a word whose pieces score the same, SentencePiece takes another one since 0.2.2 than
    before. Such ties are rare.)

    Args:
        proto: the SentencePiece model, as bytes or as the path of its file.
        added_tokens: further tokens that are matched before SentencePiece reads a text, or other flags for
            special tokens of the family. An id is that of the piece with this text, or one behind the
            vocabulary, without gaps.
        truncation_side: ``"right"`` removes the end of a text that is too long, ``"left"`` its beginning.

    Attributes:
        proto: the bytes of the SentencePiece model.
        added_tokens, truncation_side: as passed.
        vocabulary_size: the number of ids; they go from 0 up.
        bos_id, eos_id: what stands before and after a text (`<s>` and `</s>`, `[CLS]` and `[SEP]`).
        pad_id, unk_id, mask_id: padding, an unknown piece, a place to fill.
        mask_token: how the mask is spelled in a text.
        special_ids: the ids of all special tokens.

    Raises:
        PresetNotFoundError: there is no file at that path.
        DamagedModelError: the bytes are no SentencePiece model.
        NotAPresetError: a SentencePiece model of another family.
        SettingError: an added token with the id of another token, or behind a gap; another truncation side.
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
    _hints: ClassVar[tuple[str, ...]]  # a text without any of these spells none of the family's tokens

    def __init__(
        self,
        proto: bytes | str | PathLike[str],
        added_tokens: Iterable[AddedToken] = (),
        truncation_side: str = "right",
    ) -> None:
        if truncation_side not in ("right", "left"):
            raise SettingError(
                f"truncation_side is {truncation_side!r}", "'right' or 'left'", "pass one of the two"
            )
        self.truncation_side = truncation_side
        self.proto: bytes = read_proto(proto)
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
        self.special_ids: frozenset[int] = frozenset(self._special.values())
        self._names = {token_id: text for text, token_id in self._special.items()}
        self.added_tokens = self._checked(added_tokens)
        self._add_tokens()

    def _lay_out(self, n_pieces: int) -> dict[str, int]:
        """Sets the ids and `vocabulary_size`; returns the special tokens, spelled, with their ids."""
        raise NotImplementedError

    def _checked(self, tokens: Iterable[AddedToken]) -> tuple[AddedToken, ...]:
        """The tokens in the order of their ids, each of which is free, or that of the same text."""
        found = tuple(sorted(tokens, key=lambda token: token.id))
        size = self.vocabulary_size
        for token in found:
            same = token.id < size and self.id_to_token(token.id) == token.content
            if not same and (token.id != self.vocabulary_size or self.has_token(token.content)):
                raise SettingError(
                    f"The added token {token.content!r:.100} has the id {token.id}",
                    f"the id of the piece with this text, or the next free one ({self.vocabulary_size})",
                    "check that vocabulary and added tokens belong together",
                )
            self.vocabulary_size = max(self.vocabulary_size, token.id + 1)
        return found

    def _add_tokens(self) -> None:
        family = {
            text: AddedToken(text, token_id, lstrip=text == self.mask_token, special=True)
            for text, token_id in self._special.items()
        }
        tokens = {**family, **{token.content: token for token in self.added_tokens}}
        self._special = {text: token.id for text, token in tokens.items()}
        self.special_ids |= {token.id for token in self.added_tokens if token.special}
        self._names = {token_id: text for text, token_id in self._special.items()}
        # Hugging Face's slow tokenizers match the family's own tokens in the text as it is in any case.
        late = [token for token in self.added_tokens if token.normalized and token.content not in family]
        self._splitter = TokenSplitter(token for token in tokens.values() if token not in late)
        self._late_splitter = TokenSplitter(late, self._normalized) if late else None
        others = [token.content[0] for token in self.added_tokens if not self._has_hint(token.content)]
        self._all_hints = (*self._hints, *others)

    def _has_hint(self, text: str) -> bool:
        return any(hint in text for hint in self._hints)

    def _normalized(self, text: str) -> str:
        """The text as SentencePiece makes it before it looks for pieces."""
        return str(self._processor.normalize(text)).removeprefix(SPACE_MARK).replace(SPACE_MARK, " ")

    def _split(self, text: str) -> list[str | int]:
        """The non-empty stretches of a text between the tokens it spells, and the ids of these."""
        if not any(hint in text for hint in self._all_hints):
            parts: list[str | int] = [text] if text else []
        else:
            parts = self._splitter(text)
        if self._late_splitter is None:
            return parts
        found: list[str | int] = []
        for part in parts:
            normalized = self._late_splitter(self._normalized(part)) if isinstance(part, str) else []
            found += normalized if any(isinstance(one, int) for one in normalized) else [part]
        return found

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
        return type(self), (self.proto, self.added_tokens, self.truncation_side)

    # --- text to ids ---

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the texts without a start and an end token around them, whole."""
        return self._pieces(texts, None).lists()

    def encode(self, texts: Sequence[str], max_length: int | None = None) -> Encoded:
        """Ids of each text between start and end token, at most ``max_length`` of them (None: all).

        Special tokens spelled in a text become their ids, as in Hugging Face. Lone surrogates, which UTF-8
        cannot say, count as U+FFFD. A text that is too long loses its end (its beginning where
        ``truncation_side`` is "left"); start and end token always stay.

        Raises:
            SettingError: ``max_length`` is below 2.
        """
        return self.encode_flat(texts, max_length).lists()

    def encode_flat(self, texts: Sequence[str], max_length: int | None = None) -> FlatEncoded:
        """As :meth:`encode`, for many texts: arrays in place of lists."""
        room = None if max_length is None else room_for(max_length, 2)
        pieces = self._pieces(texts, room)
        truncated = np.zeros(len(texts), bool) if room is None else pieces.lengths > room
        if room is not None:
            pieces = pieces.first(room) if self.truncation_side == "right" else pieces.last(room)
        ids = pieces.between(self.bos_id, self.eos_id)
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
        room = None if max_length is None else room_for(max_length, 2 + self._ends_between)
        firsts = self._pieces([pair[0] for pair in pairs], room).lists()
        seconds = self._pieces([pair[1] for pair in pairs], room).lists()
        kept, truncated = [], []
        for first, second in zip(firsts, seconds, strict=True):
            n_first, n_second = share(len(first), len(second), room, truncate)
            truncated.append(n_first < len(first) or n_second < len(second))
            kept.append((self.shortened(first, n_first), self.shortened(second, n_second)))
        return self._joined(kept, truncated)

    def encode_windows(
        self, texts: Sequence[str], max_length: int, stride: int, seconds: Sequence[str] | None = None
    ) -> tuple[Encoded, list[int]]:
        """Ids of each text in windows that together hold all of it, each of at most ``max_length`` ids.

        Neighbouring windows share ``stride`` ids of the text. Where ``truncation_side`` is "left", they are
        laid out from its end, and the first one is the shorter. With ``seconds``, one for each text, every
        window is the first half of a pair (:meth:`encode_pairs`); a second text that fills more than half of
        the room, where the first would have to be cut, is truncated in all of them.

        Returns:
            The windows of the first text, then those of the second and so on, and how many each text has.
            ``truncated`` says of a window whether its second text was cut.

        Raises:
            SettingError: ``max_length`` has no room for the special tokens, or a window none for more than
                ``stride`` ids of the text.
        """
        firsts = self._pieces(texts, None).lists()
        if seconds is None:
            width = room_for(max_length, 2)
            check_stride(stride, width)
            found = [self._windows(len(first), width, stride) for first in firsts]
            ids = [
                [self.bos_id, *first[start:stop], self.eos_id]
                for first, stretches in zip(firsts, found, strict=True)
                for start, stop in stretches
            ]
            segments = [[0] * len(row) for row in ids] if self._has_segments else None
            return Encoded(ids, [False] * len(ids), segments), [len(stretches) for stretches in found]
        room = room_for(max_length, 2 + self._ends_between)
        check_stride(stride, room - room // 2)
        pairs, cut, counts = [], [], []
        for first, second in zip(firsts, self._pieces(seconds, room).lists(), strict=True):
            _, n_second = share(len(first), len(second), room, "round_robin")
            stretches = self._windows(len(first), room - n_second, stride)
            shortened = self.shortened(second, n_second)
            pairs += [(first[start:stop], shortened) for start, stop in stretches]
            cut += [n_second < len(second)] * len(stretches)
            counts.append(len(stretches))
        return self._joined(pairs, cut), counts

    def _windows(self, n_ids: int, width: int, stride: int) -> list[tuple[int, int]]:
        windows = sliding_windows(n_ids, width, stride)
        if self.truncation_side == "right":
            return windows
        return [(n_ids - stop, n_ids - start) for start, stop in reversed(windows)]

    def shortened(self, ids: list[int], length: int) -> list[int]:
        """``length`` of the ids at most, the others removed at ``truncation_side``."""
        return ids[:length] if self.truncation_side == "right" else ids[max(len(ids) - length, 0) :]

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
            parts = self._split(valid_text(text))
            segments += [part for part in parts if isinstance(part, str)]
            if len(parts) != 1 or isinstance(parts[0], int):
                plans[row] = [part if isinstance(part, int) else None for part in parts]
        # The head of a text suffices only where its end is removed.
        encoded = self._encode_segments(segments, limit if self.truncation_side == "right" else None)
        if not plans:
            return encoded
        result: list[NDArray[np.int32]] = []
        found = iter(range(len(segments)))
        for row in range(len(texts)):
            plan = plans.get(row, [None])
            ids = [encoded[next(found)] if special is None else [special] for special in plan]
            result.append(np.concatenate([np.zeros(0, np.int32), *ids], dtype=np.int32))
        return Ragged.sized(np.concatenate(result), np.fromiter(map(len, result), np.int64, len(result)))

    def _encode_segments(self, segments: list[str], limit: int | None) -> Ragged:
        if limit is None or not any(len(s) > 2 * chars_for(limit) for s in segments) or not self._words_apart:
            return self._encode_raw(segments)
        chars = chars_for(limit)
        heads = [head_of(segment, chars) for segment in segments]
        encoded = self._encode_raw(heads)
        longer: dict[int, NDArray[np.int32]] = {}
        for i, (segment, head) in enumerate(zip(segments, heads, strict=True)):
            n_chars, ids = chars, encoded[i]
            while len(ids) <= limit and len(head) < len(segment):
                n_chars *= 8
                head = head_of(segment, n_chars)
                ids = longer[i] = self._encode_raw([head])[0]
        return encoded.with_rows(longer)

    # --- ids to text ---

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, without special tokens; unknown pieces read ``⁇``.

        Raises:
            SettingError: an id is outside the vocabulary.
            DamagedModelError: the vocabulary's rules make no UTF-8 of the ids.
        """
        text = ""
        pieces: list[int] = []
        for i in map(int, ids):
            self._check_id(i)
            if i in self._names and i not in self.special_ids:
                text, pieces = self._with_pieces(text, pieces) + self._names[i], []
            elif i == self.unk_id:
                pieces.append(int(self._processor.unk_id()))
            elif i not in self.special_ids:
                pieces.append(i - self._shift)
        return self._with_pieces(text, pieces)

    def _with_pieces(self, text: str, pieces: list[int]) -> str:
        """A text, and what pieces behind it read."""
        if not pieces:
            return text
        blank = " " if text and self._processor.id_to_piece(pieces[0]).startswith(SPACE_MARK) else ""
        try:
            return f"{text}{blank}{self._processor.decode(pieces)}"
        except UnicodeDecodeError as error:
            raise self._damaged(error) from error

    def id_to_token(self, token_id: int) -> str:
        """The piece of an id, spaces written as ``▁``.

        Raises:
            SettingError: the id is outside the vocabulary.
        """
        self._check_id(token_id)
        if token_id in self._names:
            return self._names[token_id]
        return str(self._processor.id_to_piece(token_id - self._shift))

    def token_to_id(self, token: str) -> int:
        """The id of a piece; ``unk_id`` for one that the vocabulary lacks."""
        if token in self._special:
            return self._special[token]
        piece = int(self._processor.piece_to_id(token))
        return self.unk_id if piece == self._processor.unk_id() else piece + self._shift

    def has_token(self, token: str) -> bool:
        """Whether a piece or special token has this text."""
        return token in self._special or self._processor.piece_to_id(token) != self._processor.unk_id()

    def lower_cased(self, text: str) -> str:
        """The text in lower case, but for the mask and the added tokens that it spells."""
        kept = {self.mask_token, *(token.content for token in self.added_tokens)}
        parts = self._splitter.pattern.split(text)
        return "".join(part if part in kept else part.lower() for part in parts)

    def _check_id(self, token_id: int) -> None:
        if not 0 <= token_id < self.vocabulary_size:
            raise SettingError(
                f"The id {token_id} is outside the vocabulary",
                f"an id from 0 to {self.vocabulary_size - 1}",
                "check that ids and vocabulary belong to the same model",
            )
