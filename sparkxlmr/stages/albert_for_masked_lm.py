"""AlbertForMaskedLM: the likeliest tokens for the masks of a text."""

from __future__ import annotations

from typing import ClassVar

from sparkxlmr.spark.masked_lm import MaskedLanguageModel


class AlbertForMaskedLM(MaskedLanguageModel):
    """Fill the masks that documents (or sentences) spell, with an ALBERT masked language model.

    The mask is `[MASK]`. What it reads and adds is told at :class:`XlmRoBertaForMaskedLM`; only the model is
    another. Texts are lower-cased, and lose their accents, as the model's own tokenizer says;
    `setCaseSensitive` overrides the lower-casing alone.

    Example::

        filler = (
            AlbertForMaskedLM.pretrained("path/of/a/preset")
            .setInputCols("document")
            .setOutputCol("filled")
        )
    """

    family: ClassVar[str] = "albert"

    caseSensitive = MaskedLanguageModel.caseSensitive.but(default=False)
