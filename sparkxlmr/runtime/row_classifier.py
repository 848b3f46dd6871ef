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
_NO_IDS, _NO_FLOATS = np.zeros(0, np.int32), np.zeros(0, np.float32)


class Answer(Protocol):
    """What a predictor gives for n texts: :class:`sparkxlmr.runtime.predictor.Prediction`."""

    @property
    def logits(self) -> Floats: ...

    @property
    def truncated(self) -> NDArray[np.bool_]: ...

    @property
    def windows(self) -> NDArray[np.int64] | None: ...


#: texts, most tokens of a text, most rows of a batch (None: the planner's choice), whether to lower-case
#: (None: as the preset says), the second texts of pairs (None: no pairs), stride of windows (None: the rest
#: of a long text is cut off) -> answer
Predict = Callable[[list[str], int, int | None, bool | None, list[str] | None, int | None], Answer]


@dataclass(frozen=True)
class RowOptions:
    """How rows are scored; plain values only, so that it travels to a worker as a small dict.

    - `max_length`: tokens of a text at most, the special ones at its ends included.
    - `batch_size`: texts of one engine call at most; None leaves it to the planner's token budget.
    - `activation`: "softmax" gives one annotation a text, "sigmoid" one for each label above `threshold`.
    - `coalesce`: one answer a row, from the mean of its texts' scores.
    - `top`: only so many scores of an annotation are kept: its own label's, then the best of the others; None
      keeps all, in the order of the label ids.
    - `lower_case`: whether texts are lower-cased first; None as the preset says.
    - `row_scores`: also the scores of the row as a whole (the mean over its texts), for numeric columns.
    - `row_logits`: likewise its logits.
    - `pairs`: each text of a row is read together with the row's second text.
    - `stride`: a longer text is read in windows, of which neighbours share so many pieces, and its scores are
      the mean of theirs; None cuts it off.
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
    `block` (which run of `scores` belongs to it), `truncated` (the text, or the second one of its pair, was
    longer than the model reads), `windows` (in how many windows it was read, where `RowOptions.stride` asks
    for them; else empty). `scores` is flat: the blocks of the row one after another, each as wide as the
    classes, or as `RowOptions.top`, whose class ids then stand in `ids`. `row_scores`, `row_logits`: the mean
    scores and logits of the row (classes,), where asked for; else empty.
    """

    source: list[list[int]] = field(default_factory=list)
    label: list[list[int]] = field(default_factory=list)
    block: list[list[int]] = field(default_factory=list)
    truncated: list[list[bool]] = field(default_factory=list)
    windows: list[list[int]] = field(default_factory=list)
    ids: list[Ints] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)
    row_scores: list[Floats] = field(default_factory=list)
    row_logits: list[Floats] = field(default_factory=list)


def is_blank(text: str | None) -> bool:
    """True where there is nothing to classify: None, no characters, or white space only (Unicode's).

    Spark NLP gives such a document no annotation.

    >>> [is_blank(text) for text in (None, "", " \\n\\u3000", "a")]
    [True, True, True, False]
    """
    return text is None or not text or text.isspace()


def classify_rows(
    rows: Sequence[Texts | None],
    predict: Predict,
    options: RowOptions,
    seconds: Texts | None = None,
) -> RowAnswers:
    """Scores every text of every row in one call of `predict` and hands the answers back by row.

    None, empty and blank texts are never scored and give no annotation; they shift nothing: `source`
    counts all texts of the row. With `RowOptions.pairs`, `seconds` holds for each row the second text of its
    pairs; where that is None, empty or blank, there is no pair, and no annotation.

    >>> class Fixed:
    ...     logits, truncated = np.array([[0, 1], [3, 0]], np.float32), np.array([False, True])
    ...     windows = None
    >>> answers = classify_rows([["a"], None, ["", "b"]], lambda *_: Fixed(), RowOptions(8))
    >>> answers.source, answers.label, answers.truncated
    ([[0], [], [1]], [[1], [], [0]], [[False], [], [True]])
    """
    texts: list[str] = []
    second_texts: list[str] = []
    sources: list[int] = []
    starts = [0]
    for number, row in enumerate(rows):
        second = seconds[number] if options.pairs and seconds is not None else None
        if row is not None and not (options.pairs and is_blank(second)):
            found = [(source, text) for source, text in enumerate(row) if text and not is_blank(text)]
            sources += [source for source, _ in found]
            texts += [text for _, text in found]
            second_texts += [second or ""] * len(found)
        starts.append(len(texts))
    answers = RowAnswers()
    if not texts:
        _append_empty(answers, len(rows))
        return answers
    answer = predict(
        texts,
        options.max_length,
        options.batch_size,
        options.lower_case,
        second_texts if options.pairs else None,
        options.stride,
    )
    scored = _Scored.of(answer, options)
    for start, stop in itertools.pairwise(starts):
        if start == stop:
            _append_empty(answers, 1)
        else:
            _append_row(answers, sources[start:stop], scored[start:stop], options)
    return answers


@dataclass(frozen=True)
class _Scored:
    """What a predictor said about n texts, one row a text: logits and scores float32 (n, classes), how many
    windows int64 (n,), truncated bool (n,)."""

    logits: Floats
    scores: Floats
    windows: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    @classmethod
    def of(cls, answer: Answer, options: RowOptions) -> _Scored:
        """Of a text in windows the mean of what was said about each."""
        logits = np.asarray(answer.logits, np.float32)
        scores = (sigmoid if options.activation == "sigmoid" else softmax)(logits)
        windows = answer.windows
        if windows is None:
            windows = np.ones(len(logits), np.int64)
        elif len(windows) < len(logits):
            logits, scores = (_means(values, windows) for values in (logits, scores))
        return cls(logits, scores, windows, answer.truncated)

    def __getitem__(self, texts: slice) -> _Scored:
        return _Scored(self.logits[texts], self.scores[texts], self.windows[texts], self.truncated[texts])


def _means(values: Floats, counts: NDArray[np.int64]) -> Floats:
    """The mean of each run of rows, float32 (runs, classes); `counts`, at least 1 each, are their lengths."""
    sums = np.add.reduceat(values, np.cumsum(counts) - counts, axis=0, dtype=np.float64)
    means: Floats = (sums / counts[:, None]).astype(np.float32)
    return means


def _mean(values: Floats) -> Floats:
    """float32 (1, classes); what is alone stays as it is."""
    if len(values) == 1:
        return values
    mean: Floats = values.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return mean


def _append_empty(answers: RowAnswers, n_rows: int) -> None:
    for values in (answers.source, answers.label, answers.block, answers.windows):
        values.extend([] for _ in range(n_rows))
    answers.truncated.extend([] for _ in range(n_rows))
    answers.ids.extend([_NO_IDS] * n_rows)
    for numbers in (answers.scores, answers.row_scores, answers.row_logits):
        numbers.extend([_NO_FLOATS] * n_rows)


def _append_row(answers: RowAnswers, sources: list[int], texts: _Scored, options: RowOptions) -> None:
    """One row that has something to say: `texts` in the order of `sources`."""
    answers.row_scores.append(_mean(texts.scores)[0] if options.row_scores else _NO_FLOATS)
    answers.row_logits.append(_mean(texts.logits)[0] if options.row_logits else _NO_FLOATS)
    scores, windows, truncated = texts.scores, texts.windows.tolist(), texts.truncated.tolist()
    if options.coalesce:
        sources, scores, windows, truncated = sources[:1], _mean(scores), [sum(windows)], [any(truncated)]
    if options.activation == "sigmoid":
        texts_of, labels = (found.tolist() for found in np.nonzero(scores > options.threshold))
    else:
        # Of equal scores the first label, as Spark NLP takes it.
        texts_of, labels = list(range(len(scores))), scores.argmax(axis=1).tolist()
    blocks = texts_of
    if options.top is not None:
        ids, scores = top(scores[texts_of], options.top, labels)
        blocks = list(range(len(labels)))
        answers.ids.append(ids.ravel())
    else:
        answers.ids.append(_NO_IDS)
    answers.source.append([sources[text] for text in texts_of])
    answers.label.append(labels)
    answers.block.append(blocks)
    answers.truncated.append([truncated[text] for text in texts_of])
    answers.windows.append([windows[text] for text in texts_of] if options.stride is not None else [])
    answers.scores.append(scores.ravel())
