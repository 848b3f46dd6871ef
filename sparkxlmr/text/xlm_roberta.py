"""XLM-R's tokenizer, with ids equal to Hugging Face's slow ``XLMRobertaTokenizer``.

The vocabulary is a SentencePiece model; the ids around it are fairseq's (Conneau et al. 2020, and
``tokenization_xlm_roberta.py`` in Hugging Face transformers): ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2,
``<unk>`` 3, every other piece its SentencePiece id plus one, ``<mask>`` last.
"""

from __future__ import annotations

import numpy as np

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.text.ragged import Ragged
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"


class XlmRobertaTokenizer(SentencePieceTokenizer):
    """Text to XLM-R ids over a SentencePiece model, whose first three pieces must be ``<unk>``, ``<s>``,
    ``</s>``, as in every published XLM-R. Arguments, attributes and errors are the base's.

    >>> import io
    >>> import sentencepiece
    >>> model = io.BytesIO()
    >>> sentencepiece.SentencePieceTrainer.train(
    ...     sentence_iterator=iter(["the quick brown fox", "the earth is round"]), model_writer=model,
    ...     vocab_size=10, model_type="word", unk_id=0, bos_id=1, eos_id=2, minloglevel=2)
    >>> tokenizer = XlmRobertaTokenizer(model.getvalue())
    >>> tokenizer.vocabulary_size, tokenizer.mask_id
    (12, 11)
    >>> encoded = tokenizer.encode(["the a <mask>", "the the the"], max_length=5)
    >>> encoded.ids, encoded.truncated
    ([[0, 4, 3, 11, 2], [0, 4, 4, 4, 2]], [False, False])
    >>> tokenizer.decode(encoded.ids[1])
    'the the the'
    """

    mask_token = MASK
    bos_id, pad_id, eos_id, unk_id = 0, 1, 2, 3
    _ends_between = 2
    _shift = 1
    _hints = ("<",)

    def _lay_out(self, n_pieces: int) -> dict[str, int]:
        first = [self._processor.id_to_piece(i) for i in range(min(3, n_pieces))]
        if first != [UNK, BOS, EOS]:
            raise NotAPresetError(
                f"The SentencePiece model begins with the pieces {first}",
                f"{[UNK, BOS, EOS]}, the layout of XLM-R",
                "train it with unk_id=0, bos_id=1, eos_id=2",
            )
        self.vocabulary_size = n_pieces + 2  # fairseq adds <pad> in front and <mask> behind
        self.mask_id = self.vocabulary_size - 1
        return {BOS: 0, PAD: 1, EOS: 2, UNK: 3, MASK: self.mask_id}

    def _encode_raw(self, segments: list[str]) -> Ragged:
        pieces = super()._encode_raw(segments)
        return Ragged(np.where(pieces.values, pieces.values + 1, np.int32(self.unk_id)), pieces.offsets)
