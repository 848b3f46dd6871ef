"""What models say about rows of documents, as annotations: what the stages build in SQL, without Spark."""

from __future__ import annotations

from collections.abc import Sequence

from sparkxlmr.runtime.row_classifier import RowAnswers, RowOptions
from sparkxlmr.runtime.row_embedder import EmbeddedRows
from sparkxlmr.runtime.row_mask_filler import FilledRows, sequence_of
from sparkxlmr.text.annotate import SENTENCE, sentence_of
from sparkxlmr.text.annotation import CATEGORY, SENTENCE_EMBEDDINGS, TOKEN, Annotation
from sparkxlmr.text.float_text import float_text

Row = Sequence[Annotation]
TRUNCATED, WINDOWS, SEQUENCE = "truncated", "windows", "sequence"
#: What Spark NLP says of every sentence embedding, beside `sentence` and `token`, the text.
VECTOR_METADATA = {"pieceId": "-1", "isWordStart": "true"}


def categories(
    rows: Sequence[Row], answers: RowAnswers, labels: Sequence[str], options: RowOptions
) -> list[list[Annotation]]:
    """The `category` annotations of each row, on the documents or sentences that were scored.

    begin and end are those of the input annotation, result is the label, metadata hold `sentence` (the
    input's), the scores as :func:`float_text`, `windows` (their number, where texts are read in windows), and
    `truncated` = "true" where text was cut off, or had more windows than were read. A label that is itself
    called so keeps its score; the entry that it hides is left out.
    """
    width = len(labels) if options.top is None else min(options.top, len(labels))
    told = {SENTENCE, WINDOWS, TRUNCATED} - set(labels)
    if options.stride is None:
        told.discard(WINDOWS)

    def category(row: int, place: int, document: Annotation, source: int) -> Annotation:
        block = answers.block[row][place]
        chosen = slice(block * width, (block + 1) * width)
        names = labels if options.top is None else [labels[label] for label in answers.ids[row][chosen]]
        metadata = {SENTENCE: sentence_of(document, source)} if SENTENCE in told else {}
        metadata |= dict(zip(names, map(float_text, answers.scores[row][chosen]), strict=True))
        if WINDOWS in told:
            metadata[WINDOWS] = str(answers.windows[row][place])
        if TRUNCATED in told and answers.truncated[row][place]:
            metadata[TRUNCATED] = "true"
        return Annotation(CATEGORY, document.begin, document.end, labels[answers.label[row][place]], metadata)

    return [
        [category(row, place, documents[source], source) for place, source in enumerate(sources)]
        for row, (documents, sources) in enumerate(zip(rows, answers.source.lists(), strict=True))
    ]


def filled_masks(rows: Sequence[Row], answers: FilledRows) -> list[list[Annotation]]:
    """The `token` annotations of each row: for every mask and every rank one, where the mask stands.

    Metadata hold `sentence` (the input's), `mask`, `rank`, `score`, `token_id` and `sequence`, the document's
    text with this mask filled.
    """

    def token(row: int, place: int, document: Annotation, source: int) -> Annotation:
        begin, end = answers.begin[row][place], answers.end[row][place]
        metadata = {
            SENTENCE: sentence_of(document, source),
            "mask": str(answers.mask[row][place]),
            "rank": str(answers.rank[row][place]),
            "score": float_text(answers.score[row][place]),
            "token_id": str(answers.token_id[row][place]),
            SEQUENCE: sequence_of(document.result, answers.kept[row][place], answers.put_in[row][place], end),
        }
        return Annotation(
            TOKEN, document.begin + begin, document.begin + end, answers.token[row][place], metadata
        )

    return [
        [token(row, place, documents[source], source) for place, source in enumerate(answers.source[row])]
        for row, documents in enumerate(rows)
    ]


def sentence_embeddings(rows: Sequence[Row], answers: EmbeddedRows) -> list[list[Annotation]]:
    """The `sentence_embeddings` annotations of each row: begin, end and result of the document or sentence,
    its vector, and metadata as in Spark NLP, with `truncated` = "true" where text was cut off."""

    def vector(row: int, place: int, document: Annotation, source: int) -> Annotation:
        metadata = {SENTENCE: sentence_of(document, source), "token": document.result, **VECTOR_METADATA}
        if answers.truncated[row][place]:
            metadata[TRUNCATED] = "true"
        numbers = answers.vectors[answers.source.offsets[row] + place].tolist()
        return Annotation(
            SENTENCE_EMBEDDINGS, document.begin, document.end, document.result, metadata, numbers
        )

    return [
        [vector(row, place, documents[source], source) for place, source in enumerate(sources)]
        for row, (documents, sources) in enumerate(zip(rows, answers.source.lists(), strict=True))
    ]
