"""What a classifier says about rows of texts: pure, the same behind a Spark worker and without Spark.

A row is the list of its texts (one document, or its sentences). What comes back are plain lists and flat
arrays, one item a row, from which annotations are built elsewhere: by SQL in Spark, by Python without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.runtime.classification import sigmoid, softmax, top

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Texts = Sequence[str | None]


class Answer(Protocol):
    """What a predictor gives for n texts: logits float32 (n, classes), truncated bool (n,)."""

    @property
    def logits(self) -> Floats: ...

    @property
    def truncated(self) -> NDArray[np.bool_]: ...


#: texts, most tokens of a text, most rows of a batch (None: the planner's choice), whether to lower-case
#: (None: as the preset says) -> answer
Predict = Callable[[list[str], int, int | None, bool | None], Answer]


@dataclass(frozen=True)
class RowOptions:
    """How rows are scored; plain values only, so that it travels to a worker as a small dict.

    - `max_length`: tokens of a text at most, the special ones at its ends included.
    - `batch_size`: texts of one engine call at most; None leaves it to the planner's token budget.
    - `activation`: "softmax" gives one annotation a text, "sigmoid" one for each label above `threshold`.
    - `coalesce`: one answer a row, from the mean of its texts' scores.
    - `top`: only the best so many scores of a text are kept; None keeps all, in the order of the label ids.
    - `lower_case`: whether texts are lower-cased first; None as the preset says.
    - `row_scores`: also the scores of the row as a whole (the mean over its texts), for numeric columns.
    - `row_logits`: likewise its logits.
    - `pairs`: each text of a row is read together with the row's second text.
    - `stride`: a longer text is read in windows, of which neighbours share so many pieces; None cuts it off.
    """

    max_length: int
    batch_size: int | None = None
    activation: str = "softmax"
    threshold: float = 0.5
    coalesce: bool = False
    top: int | None = None
    lower_case: bool | None = None
    row_scores: bool = False
    row_logits: bool = False
    pairs: bool = False
    stride: int | None = None


@dataclass
class RowAnswers:
    """Answers for n rows, every list n long. A row without a text to score has empty lists everywhere.

    For each annotation of a row: `source` (which text of the row it stands on), `label` (class id),
    `block` (which run of `scores` belongs to it), `truncated` (the text was longer than the model reads).
    `scores` is flat: the blocks of the row one after another, each as wide as the classes, or as
    `RowOptions.top`, whose class ids then stand in `ids`. `row_scores`: the mean scores of the row
    (classes,), where asked for.
    """

    source: list[list[int]] = field(default_factory=list)
    label: list[list[int]] = field(default_factory=list)
    block: list[list[int]] = field(default_factory=list)
    truncated: list[list[bool]] = field(default_factory=list)
    ids: list[Ints] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)
    row_scores: list[Floats] = field(default_factory=list)


def is_blank(text: str | None) -> bool:
    """True where there is nothing to classify: None, no characters, or white space only (Unicode's).

    Spark NLP gives such a document no annotation.

    >>> [is_blank(text) for text in (None, "", " \\n\\u3000", "a")]
    [True, True, True, False]
    """
    return text is None or not text or text.isspace()


def classify_rows(rows: Sequence[Texts | None], predict: Predict, options: RowOptions) -> RowAnswers:
    """Scores every text of every row in one call of `predict` and hands the answers back by row.

    None, empty and blank texts are never scored and give no annotation; they shift nothing: `source`
    counts all texts of the row.

    >>> class Fixed:
    ...     logits, truncated = np.array([[0, 1], [3, 0]], np.float32), np.array([False, True])
    >>> answers = classify_rows([["a"], None, ["", "b"]], lambda *_: Fixed(), RowOptions(8))
    >>> answers.source, answers.label, answers.truncated
    ([[0], [], [1]], [[1], [], [0]], [[False], [], [True]])
    """
    texts: list[str] = []
    sources: list[int] = []
    starts = [0]
    for row in rows:
        for source, text in enumerate(row if row is not None else ()):
            if text is not None and not is_blank(text):
                texts.append(text)
                sources.append(source)
        starts.append(len(texts))
    answers = RowAnswers()
    if not texts:
        _append_empty(answers, len(rows))
        return answers
    answer = predict(texts, options.max_length, options.batch_size, options.lower_case)
    activate = sigmoid if options.activation == "sigmoid" else softmax
    scores = activate(np.asarray(answer.logits, np.float32))
    for start, stop in itertools.pairwise(starts):
        if start == stop:
            _append_empty(answers, 1)
        else:
            _append_row(
                answers, sources[start:stop], scores[start:stop], answer.truncated[start:stop], options
            )
    return answers


def _append_empty(answers: RowAnswers, n_rows: int) -> None:
    no_ids, no_scores = np.zeros(0, np.int32), np.zeros(0, np.float32)
    for values in (answers.source, answers.label, answers.block):
        values.extend([] for _ in range(n_rows))
    answers.truncated.extend([] for _ in range(n_rows))
    answers.ids.extend([no_ids] * n_rows)
    answers.scores.extend([no_scores] * n_rows)
    answers.row_scores.extend([no_scores] * n_rows)


def _append_row(
    answers: RowAnswers, sources: list[int], scores: Floats, truncated: NDArray[np.bool_], options: RowOptions
) -> None:
    """One row that has something to say: `scores` (texts, classes), in the order of `sources`."""
    mean = (
        scores.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32) if len(scores) > 1 else scores
    )
    if options.coalesce:
        sources, scores, truncated = sources[:1], mean, np.array([bool(truncated.any())])
    if options.activation == "sigmoid":
        blocks, labels = (found.tolist() for found in np.nonzero(scores > options.threshold))
    else:
        # Of equal scores the first label, as Spark NLP takes it.
        blocks, labels = list(range(len(scores))), scores.argmax(axis=1).tolist()
    if options.top is not None:
        ids, scores = top(scores, options.top)
        answers.ids.append(ids.ravel())
    else:
        answers.ids.append(np.zeros(0, np.int32))
    answers.source.append([sources[block] for block in blocks])
    answers.label.append(labels)
    answers.block.append(blocks)
    answers.truncated.append([bool(truncated[block]) for block in blocks])
    answers.scores.append(scores.ravel())
    answers.row_scores.append(mean[0])
