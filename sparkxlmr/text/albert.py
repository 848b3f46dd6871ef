"""ALBERT's tokenizer: ids equal to Hugging Face's slow ``AlbertTokenizer``, or to keras-hub's.

Ids are those of the SentencePiece model, special tokens found in it by name. The two peers differ in what
happens to a text before: keras-hub hands it to SentencePiece as it is; Hugging Face (``preprocess_text`` and
``_tokenize`` of ``tokenization_albert.py``, which follow the paper's code, Lan et al. 2020) lower-cases it,
strips accents, and cuts a comma off the digits before it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.text.added_tokens import AddedToken, TokenSplitter
from sparkxlmr.text.ragged import Ragged
from sparkxlmr.text.tokenizer import SPACE_MARK, SentencePieceTokenizer

CLS, SEP, UNK, PAD, MASK = "[CLS]", "[SEP]", "<unk>", "<pad>", "[MASK]"


@dataclass(frozen=True)
class AlbertNormalization:
    """What Hugging Face's ``AlbertTokenizer`` does to a text; the names are those of its settings.

    Attributes:
        do_lower_case: lower-case it.
        keep_accents: keep combining marks; else the text is decomposed (NFKD) and they are dropped.
        remove_space: each run of white space becomes one space, none at the ends.
    """

    do_lower_case: bool = True
    keep_accents: bool = False
    remove_space: bool = True

    def __call__(self, text: str) -> str:
        """The text as SentencePiece is to read it.

        >>> AlbertNormalization()("``Él ''  said")
        '"el " said'
        """
        if self.do_lower_case:
            text = _lower(text)
        if self.remove_space:
            text = " ".join(text.split())
        text = text.replace("``", '"').replace("''", '"')
        if text.isascii():
            return text
        if not self.keep_accents:
            decomposed = unicodedata.normalize("NFKD", text)
            text = "".join([char for char in decomposed if not unicodedata.combining(char)])
        # again, since decomposing makes capitals: U+2122 is TM
        return text.lower() if self.do_lower_case else text


class AlbertTokenizer(SentencePieceTokenizer):
    """Text to ALBERT ids over a SentencePiece model that has the pieces ``<pad>``, ``<unk>``, ``[CLS]``,
    ``[SEP]`` and ``[MASK]``. Other arguments, attributes and errors are the base's.

    Args:
        normalization: what is done to a text first, as in Hugging Face; None leaves it as it is and gives
            keras-hub's ids. (Special tokens spelled in a text become their ids with either, which keras-hub
            only does for those that SentencePiece was trained with as user-defined symbols.)

    >>> import io
    >>> import sentencepiece
    >>> model = io.BytesIO()
    >>> sentencepiece.SentencePieceTrainer.train(
    ...     sentence_iterator=iter(["the quick brown fox", "the earth is round"]), model_writer=model,
    ...     vocab_size=10, model_type="word", pad_id=0, unk_id=1, bos_id=2, eos_id=3, pad_piece="<pad>",
    ...     unk_piece="<unk>", bos_piece="[CLS]", eos_piece="[SEP]", user_defined_symbols="[MASK]",
    ...     minloglevel=2)
    >>> tokenizer = AlbertTokenizer(model.getvalue(), AlbertNormalization())
    >>> tokenizer.vocabulary_size, tokenizer.mask_id
    (10, 4)
    >>> pair = tokenizer.encode_pairs([("The [MASK]", "thé")])
    >>> pair.ids, pair.segment_ids
    ([[2, 6, 4, 3, 6, 3]], [[0, 0, 0, 0, 1, 1]])
    """

    mask_token = MASK
    _has_segments = True
    _hints = ("<", "[")

    def __init__(
        self,
        proto: bytes | str | PathLike[str],
        normalization: AlbertNormalization | None = None,
        added_tokens: Iterable[AddedToken] = (),
        truncation_side: str = "right",
    ) -> None:
        self.normalization = normalization
        super().__init__(proto, added_tokens, truncation_side)
        if normalization is None:
            # What SentencePiece finds by itself is left to it: so the space before it stays, as in keras-hub.
            added = {token.content for token in self.added_tokens}
            self._splitter = TokenSplitter(
                token
                for text, token in self._splitter.tokens.items()
                if text in added or token.id not in self._processor.encode(text)
            )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.proto, self.normalization, self.added_tokens, self.truncation_side)

    def _lay_out(self, n_pieces: int) -> dict[str, int]:
        ids = {token: int(self._processor.piece_to_id(token)) for token in (CLS, SEP, UNK, PAD, MASK)}
        unknown = int(self._processor.unk_id())
        missing = [token for token, i in ids.items() if (i == unknown) != (token == UNK)]
        if missing:
            raise NotAPresetError(
                f"The SentencePiece model has no pieces {missing}",
                f"{list(ids)}, as every ALBERT has",
                'train it with pad_piece="<pad>", bos_piece="[CLS]", eos_piece="[SEP]" and '
                'user_defined_symbols="[MASK]"',
            )
        self.vocabulary_size = n_pieces
        self.bos_id, self.eos_id, self.unk_id, self.pad_id, self.mask_id = ids.values()
        return ids

    def _split(self, text: str) -> list[str | int]:
        lowers = self.normalization is not None and self.normalization.do_lower_case
        if lowers and (self.added_tokens or self._has_hint(text)):
            # Hugging Face lower-cases all but special tokens before it looks for them: "<PAD>" is one, too.
            parts = self._splitter.pattern.split(text)
            parts[::2] = map(_lower, parts[::2])
            text = "".join(parts)
        return super()._split(text)

    def _normalized(self, text: str) -> str:
        return super()._normalized(text if self.normalization is None else self.normalization(text))

    def _encode_raw(self, segments: list[str]) -> Ragged:
        if self.normalization is None:
            return super()._encode_raw(segments)
        segments = [self.normalization(segment) for segment in segments]
        encoded = super()._encode_raw(segments)
        commas = np.flatnonzero(self._with_commas[encoded.values])
        # Of each comma the row it stands in.
        rows = np.unique(np.searchsorted(encoded.offsets, commas, side="right") - 1).tolist()
        try:
            return encoded.with_rows({row: self._cut_commas(segments[row]) for row in rows})
        except UnicodeDecodeError as error:
            raise self._damaged(error) from error

    @cached_property
    def _with_commas(self) -> NDArray[np.bool_]:
        """For each piece's id whether a comma may have to be cut from it: those that end in one, and where a
        comma is unknown the unknown one."""
        n_pieces = self._processor.get_piece_size()
        pieces = map(self._processor.id_to_piece, range(n_pieces))
        found = np.fromiter(map(ends_in_digit_and_comma, pieces), bool, n_pieces)
        if self._processor.piece_to_id(",") == self.unk_id:
            found[self.unk_id] = True
        return found

    def _cut_commas(self, text: str) -> list[int]:
        """Ids of a normalised text where ``9,`` is ``9`` and ``,`` even if the vocabulary has it whole."""
        pieces: list[str] = []
        for piece in self._processor.encode(text, out_type=str):
            if not ends_in_digit_and_comma(piece):
                pieces.append(piece)
                continue
            number = self._processor.encode(piece[:-1].replace(SPACE_MARK, ""), out_type=str)
            if not piece.startswith(SPACE_MARK) and number[0].startswith(SPACE_MARK):
                number[0] = number[0][1:]
            pieces += [part for part in number if part]
            pieces.append(",")
        return [int(self._processor.piece_to_id(piece)) for piece in pieces]


def ends_in_digit_and_comma(piece: str) -> bool:
    """Whether Hugging Face cuts the comma off this piece."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def _lower(text: str) -> str:
    """Each character lower-cased for itself, as Hugging Face does it: no final sigma."""
    return text.replace("Σ", "σ").lower()
