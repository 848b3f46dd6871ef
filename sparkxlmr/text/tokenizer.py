"""XLM-R's tokenizer: text to ids and back, with ids equal to Hugging Face's slow ``XLMRobertaTokenizer``.

The vocabulary is a SentencePiece model; the ids around it are fairseq's (Conneau et al. 2020, and
``tokenization_xlm_roberta.py`` in Hugging Face transformers): ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2,
``<unk>`` 3, every other piece its SentencePiece id plus one, ``<mask>`` last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import sentencepiece

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, SettingError

BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
_SPACE_MARK = "▁"  # how SentencePiece writes a space inside a piece
_SPECIAL = re.compile("(<s>|<pad>|</s>|<unk>|<mask>)")
_SURROGATE = re.compile("[\ud800-\udfff]")
# A piece covers few characters: so much of a long text is read first, more only where that did not suffice.
_CHARS_PER_PIECE, _CHARS_AT_LEAST = 8, 256


@dataclass(frozen=True)
class Encoded:
    """What :meth:`XlmRobertaTokenizer.encode` returns, one entry a text, in the order of the texts.

    ``ids``: the ids with ``<s>`` and ``</s>``, not padded. ``truncated``: whether pieces were cut off.
    """

    ids: list[list[int]]
    truncated: list[bool]


class XlmRobertaTokenizer:
    """Text to XLM-R ids over a SentencePiece model.

    Args:
        proto: the SentencePiece model, as bytes or as the path of its file. Its first three pieces must be
            ``<unk>``, ``<s>``, ``</s>``, as in every published XLM-R.

    Raises:
        PresetNotFoundError: there is no file at that path.
        DamagedModelError: the bytes are no SentencePiece model.
        NotAPresetError: a SentencePiece model of another layout.

    >>> import io
    >>> model = io.BytesIO()
    >>> sentencepiece.SentencePieceTrainer.train(
    ...     sentence_iterator=iter(["the quick brown fox", "the earth is round"]), model_writer=model,
    ...     vocab_size=10, model_type="word", unk_id=0, bos_id=1, eos_id=2, minloglevel=2)
    >>> tokenizer = XlmRobertaTokenizer(model.getvalue())
    >>> tokenizer.vocabulary_size, tokenizer.mask_id
    (12, 11)
    >>> encoded = tokenizer.encode(["the a <mask>", "the the the"], max_length=5)
    >>> encoded
    Encoded(ids=[[0, 4, 3, 11, 2], [0, 4, 4, 4, 2]], truncated=[False, False])
    >>> tokenizer.decode(encoded.ids[1])
    'the the the'
    """

    bos_id, pad_id, eos_id, unk_id = 0, 1, 2, 3

    def __init__(self, proto: bytes | str | PathLike[str]) -> None:
        self.proto: bytes = _read_proto(proto)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.proto)
            n_pieces = self._processor.get_piece_size()
        except (RuntimeError, ValueError, OSError) as error:
            raise DamagedModelError(
                f"The vocabulary ({len(self.proto)} bytes) cannot be read: {error}",
                "a SentencePiece model file",
                "fetch or copy the preset again",
            ) from error
        first = [self._processor.id_to_piece(i) for i in range(min(3, n_pieces))]
        if first != [UNK, BOS, EOS]:
            raise NotAPresetError(
                f"The SentencePiece model begins with the pieces {first}",
                f"{[UNK, BOS, EOS]}, the layout of XLM-R",
                "train it with unk_id=0, bos_id=1, eos_id=2",
            )
        self.vocabulary_size: int = n_pieces + 2  # fairseq adds <pad> in front and <mask> behind
        self.mask_id: int = self.vocabulary_size - 1
        self._special = {BOS: 0, PAD: 1, EOS: 2, UNK: 3, MASK: self.mask_id}

    def __reduce__(self) -> tuple[type, tuple[bytes]]:
        return type(self), (self.proto,)

    # --- text to ids ---

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of the texts without ``<s>`` and ``</s>`` around them, whole."""
        return self._pieces(texts, None)

    def encode(self, texts: Sequence[str], max_length: int | None = None) -> Encoded:
        """Ids of each text as ``<s> text </s>``, at most ``max_length`` of them (None: as many as there are).

        Special tokens spelled in a text become their ids, as in Hugging Face. Lone surrogates, which UTF-8
        cannot say, count as U+FFFD. A text that is too long loses its end; ``</s>`` always stays.

        Raises:
            SettingError: ``max_length`` is below 2.
        """
        room = None if max_length is None else _room(max_length, 2)
        pieces = self._pieces(texts, room)
        truncated = [room is not None and len(ids) > room for ids in pieces]
        return Encoded([[self.bos_id, *ids[:room], self.eos_id] for ids in pieces], truncated)

    def encode_pairs(
        self, pairs: Sequence[tuple[str, str]], max_length: int | None = None, truncate: str = "round_robin"
    ) -> Encoded:
        """Ids of each pair as ``<s> first </s></s> second </s>``, at most ``max_length`` of them.

        Args:
            truncate: ``"round_robin"`` shortens the longer text first (keras-hub's name; Hugging Face calls
                this ``longest_first``); ``"waterfall"`` keeps what it can of the first text.

        Raises:
            SettingError: ``max_length`` is below 4, or ``truncate`` is neither of the two.
        """
        if truncate not in ("round_robin", "waterfall"):
            raise SettingError(
                f"truncate is {truncate!r}", "'round_robin' or 'waterfall'", "pass one of the two"
            )
        room = None if max_length is None else _room(max_length, 4)
        firsts = self._pieces([pair[0] for pair in pairs], room)
        seconds = self._pieces([pair[1] for pair in pairs], room)
        ids, truncated = [], []
        for first, second in zip(firsts, seconds, strict=True):
            n_first, n_second = _share(len(first), len(second), room, truncate)
            truncated.append(n_first < len(first) or n_second < len(second))
            ids.append(
                [self.bos_id, *first[:n_first], self.eos_id, self.eos_id, *second[:n_second], self.eos_id]
            )
        return Encoded(ids, truncated)

    def _pieces(self, texts: Sequence[str], limit: int | None) -> list[list[int]]:
        """Ids without the outer special ones; of a text with more than ``limit``, at least ``limit + 1``."""
        segments: list[str] = []
        plans: list[list[int | None]] = []  # a text is special ids and, as None, segments in their order
        for text in texts:
            plan: list[int | None] = []
            for part in _split(_valid(text)):
                special = self._special.get(part)
                plan.append(special)
                if special is None:
                    segments.append(part)
            plans.append(plan)
        encoded = iter(self._encode_segments(segments, limit))
        result = []
        for plan in plans:
            ids: list[int] = []
            for special in plan:
                if special is None:
                    ids += next(encoded)
                else:
                    ids.append(special)
            result.append(ids)
        return result

    def _encode_segments(self, segments: list[str], limit: int | None) -> list[list[int]]:
        # One call for all segments; a single thread, since Spark runs a worker process for each core already.
        if limit is None or not any(len(s) > 2 * _chars(limit) for s in segments) or not self._words_apart:
            return self._encode_raw(segments)
        chars = _chars(limit)
        heads = [_head(segment, chars) for segment in segments]
        encoded = self._encode_raw(heads)
        for i, (segment, head) in enumerate(zip(segments, heads, strict=True)):
            n_chars = chars
            while len(encoded[i]) <= limit and len(head) < len(segment):
                n_chars *= 8
                head = _head(segment, n_chars)
                encoded[i] = self._encode_raw([head])[0]
        return encoded

    def _encode_raw(self, segments: list[str]) -> list[list[int]]:
        if not segments:
            return []
        unk = self.unk_id
        found = self._processor.encode(segments, out_type=int, num_threads=1)
        return [[piece + 1 if piece else unk for piece in pieces] for pieces in found]

    @cached_property
    def _words_apart(self) -> bool:
        """Whether no piece reaches over a space: then the ids before a space do not depend on the rest."""
        pieces = (self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size()))
        return not any(_SPACE_MARK in piece[1:] for piece in pieces)

    # --- ids to text ---

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, without ``<s> <pad> </s> <mask>``; unknown pieces read ``⁇``.

        Raises:
            SettingError: an id is outside the vocabulary.
        """
        pieces = []
        for i in map(int, ids):
            self._check_id(i)
            if i > self.unk_id and i != self.mask_id:
                pieces.append(i - 1)
            elif i == self.unk_id:
                pieces.append(0)
        return str(self._processor.decode(pieces)) if pieces else ""

    def id_to_token(self, token_id: int) -> str:
        """The piece of an id, spaces written as ``▁``.

        Raises:
            SettingError: the id is outside the vocabulary.
        """
        self._check_id(token_id)
        for token, special_id in self._special.items():
            if special_id == token_id:
                return token
        return str(self._processor.id_to_piece(token_id - 1))

    def token_to_id(self, token: str) -> int:
        """The id of a piece; 3 (``<unk>``) for one that the vocabulary lacks."""
        if token in self._special:
            return self._special[token]
        piece = self._processor.piece_to_id(token)
        return piece + 1 if piece else self.unk_id

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


def _valid(text: str) -> str:
    """The text with its surrogates joined where they pair and replaced by U+FFFD where they stand alone."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _split(text: str) -> list[str]:
    """The text cut at the special tokens it spells, which stand alone; nothing empty.

    ``<mask>`` eats the white space before it (Hugging Face declares it with ``lstrip=True``).
    """
    if "<" not in text:
        return [text] if text else []
    parts = _SPECIAL.split(text)
    for i in range(1, len(parts), 2):
        if parts[i] == MASK:
            parts[i - 1] = parts[i - 1].rstrip()
    return [part for part in parts if part]


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
