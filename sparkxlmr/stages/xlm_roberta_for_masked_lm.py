"""XlmRoBertaForMaskedLM: the likeliest tokens for the masks of a text."""

from __future__ import annotations

from typing import ClassVar

from sparkxlmr.spark.masked_lm import MaskedLanguageModel


class XlmRoBertaForMaskedLM(MaskedLanguageModel):
    """Fill the masks that documents (or sentences) spell, with an XLM-RoBERTa masked language model.

    Reads a `document` column, and a `token` column if one is given, which never changes a result. Adds
    `token` annotations: for every `<mask>` and every rank up to `topK` one, masks in the order of the text,
    the best token first. begin and end are those of the mask in the document, result is the token, and the
    metadata hold

    - `sentence`: that of the input annotation;
    - `mask`: which mask of it, from 0;
    - `rank`: from 1;
    - `score`: the token's probability among the whole vocabulary, as text of a float32;
    - `token_id`;
    - `sequence`: the text with this mask filled; everything else in it, other masks too, is as it was.

    A text without a mask, and null, get an empty array. Of a text longer than `maxSentenceLength` pieces what
    stands around each mask is read: none is dropped. `setTargets("yes", "no")` restricts what is chosen from;
    scores stay those among the whole vocabulary, as in Hugging Face's pipeline.

    A row is filled once for each time a job reads the column, as told at
    :class:`XlmRoBertaForSequenceClassification`.

    Example::

        filler = (
            XlmRoBertaForMaskedLM.pretrained("xlm_roberta_tiny_masked_lm")
            .setInputCols("document")
            .setOutputCol("filled")
            .setTopK(3)
        )
    """

    family: ClassVar[str] = "xlm_roberta"
    default_model: ClassVar[str] = "xlm_roberta_tiny_masked_lm"
