"""What a classifier says about rows of texts: pure, the same behind a Spark worker and without Spark.

A row is the list of its texts (one document, or its sentences). What comes back are flat arrays, from which
annotations are built elsewhere: by SQL in Spark, by Python without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.presets import output_function
from sparkxlmr.presets.output_function import SIGMOID
from sparkxlmr.runtime.classification import top
from sparkxlmr.text.finite import positions_of_rows
from sparkxlmr.text.ragged import Ragged, offsets_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Texts = Sequence[str | None]


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
#: of a long text is cut off), most windows of a text (None: all) -> answer
Predict = Callable[
    [list[str], int, int | None, bool | None, list[str] | None, int | None, int | None], Answer
]


@dataclass(frozen=True)
class RowOptions:
    """How rows are scored; plain values only, so that it travels to a worker as a small dict.

    - `max_length`: tokens of a text at most, the special ones at its ends included.
    - `batch_size`: texts of one engine call at most; None leaves it to the planner's token budget.
    - `activation`: the output function, "softmax", "sigmoid" or "identity" (the logits themselves).
    - `threshold`: with "sigmoid" each label with a score above it is given; None gives one annotation a text,
      as the other functions do.
    - `coalesce`: one answer a row, from the mean of its texts' scores.
    - `top`: only so many scores of an annotation are kept: its own label's, then the best of the others; None
      keeps all, in the order of the label ids.
    - `lower_case`: whether texts are lower-cased first; None as the preset says.
    - `row_scores`: also the scores of the row as a whole (the mean over its texts), for numeric columns.
    - `row_logits`: likewise its logits.
    - `pairs`: each text of a row is read together with the row's second text.
    - `stride`: a longer text is read in windows, of which neighbours share so many pieces, and its scores are
      the mean of theirs; None cuts it off.
    - `max_windows`: windows of a text at most, the first ones; None: all.
    """

    max_length: int
    batch_size: int | None = None
    activation: str = "softmax"
    threshold: float | None = 0.5
    coalesce: bool = False
    top: int | None = None
    lower_case: bool | None = None
    row_scores: bool = False
    row_logits: bool = False
    pairs: bool = False
    stride: int | None = None
    max_windows: int | None = None

    @property
    def by_threshold(self) -> bool:
        """Whether a text gets an annotation for each label above the threshold, and not exactly one."""
        return self.activation == SIGMOID and self.threshold is not None


@dataclass(frozen=True)
class RowTexts:
    """n rows of texts, flat: `texts` of all rows, those of the first one first, and how many each row has,
    `counts` int64 (n,)."""

    texts: Sequence[str | None]
    counts: Ints

    @classmethod
    def of(cls, rows: Sequence[Texts | None]) -> RowTexts:
        """The same of lists; None has no text.

        >>> rows = RowTexts.of([["a"], None, ["", "b"]])
        >>> rows.texts, rows.counts.tolist()
        (['a', '', 'b'], [1, 0, 2])
        """
        texts = [text for row in rows for text in row or ()]
        return cls(texts, np.fromiter((len(row or ()) for row in rows), np.int64, len(rows)))

    def lists(self) -> list[Texts]:
        """The rows as lists; one of no text is empty."""
        stops = np.cumsum(self.counts).tolist()
        return [self.texts[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]

    def parted(self) -> tuple[list[str | None], RowTexts]:
        """Each row's first text, None where it has none, and the rows without it.

        >>> seconds, rows = RowTexts.of([["a", "b"], None, ["c"]]).parted()
        >>> seconds, rows.texts, rows.counts.tolist()
        (['a', None, 'c'], ['b'], [1, 0, 0])
        """
        rows = self.lists()
        return [row[0] if row else None for row in rows], RowTexts.of([row[1:] for row in rows])


@dataclass(frozen=True)
class RowAnswers:
    """Answers for n rows, each field one :class:`Ragged` of n. A row without a text to score is empty in all.

    For each annotation of a row: `source` (which text of the row it stands on), `label` (class id), int32,
    `block` (which run of `scores` belongs to it), `truncated` (bool: the text, or the second one of its pair,
    was longer than the model reads), `windows` (in how many windows it was read, where `RowOptions.stride`
    asks for them; else empty). `scores`, float32: the blocks of the row one after another, each as wide as
    the classes, or as `RowOptions.top`, whose class ids then stand in `ids`. `row_scores`, `row_logits`: the
    mean scores and logits of the row (classes,), where asked for; else empty.
    """

    source: Ragged
    label: Ragged
    block: Ragged
    truncated: Ragged
    windows: Ragged
    ids: Ragged
    scores: Ragged
    row_scores: Ragged
    row_logits: Ragged


def is_blank(text: str | None) -> bool:
    """True where there is nothing to classify: None, no characters, or white space only (Unicode's).

    Spark NLP gives such a document no annotation.

    >>> [is_blank(text) for text in (None, "", " \\n\\u3000", "a")]
    [True, True, True, False]
    """
    return text is None or not text or text.isspace()


def classify_rows(
    rows: RowTexts | Sequence[Texts | None],
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
    >>> answers.source.lists(), answers.label.lists(), answers.truncated.lists()
    ([[0], [], [1]], [[1], [], [0]], [[False], [], [True]])
    """
    flat = rows if isinstance(rows, RowTexts) else RowTexts.of(rows)
    n_rows = len(flat.counts)
    # Of each text its row, and its place there.
    owner = np.repeat(np.arange(n_rows), flat.counts)
    source = np.arange(len(owner)) - np.repeat(offsets_of(flat.counts)[:-1], flat.counts)
    kept = np.fromiter((not is_blank(text) for text in flat.texts), bool, len(flat.texts))
    if options.pairs:
        second = seconds or [None] * n_rows
        kept &= np.fromiter((not is_blank(text) for text in second), bool, n_rows)[owner]
    texts: list[Any] = [text for text, keep in zip(flat.texts, kept.tolist(), strict=True) if keep]
    owner, source = owner[kept], source[kept]
    if not texts:
        return _no_answers(n_rows)
    with positions_of_rows(owner):
        answer = predict(
            texts,
            options.max_length,
            options.batch_size,
            options.lower_case,
            [second[row] or "" for row in owner.tolist()] if options.pairs else None,
            options.stride,
            options.max_windows,
        )
    return _answers(_Scored.of(answer, options), owner, source, n_rows, options)


@dataclass(frozen=True)
class _Scored:
    """What a predictor said about n texts, one row a text: logits and scores float32 (n, classes), how many
    windows int64 (n,), truncated bool (n,)."""

    logits: Floats
    scores: Floats
    windows: Ints
    truncated: NDArray[np.bool_]

    @classmethod
    def of(cls, answer: Answer, options: RowOptions) -> _Scored:
        """Of a text in windows the mean of what was said about each."""
        logits = np.asarray(answer.logits, np.float32)
        scores = output_function.scores(logits, options.activation)
        windows = answer.windows
        if windows is None:
            windows = np.ones(len(logits), np.int64)
        elif len(windows) < len(logits):
            logits, scores = (_means(values, windows) for values in (logits, scores))
        return cls(logits, scores, windows, np.asarray(answer.truncated, bool))

    def of_rows(self, counts: Ints) -> _Scored:
        """Of each run of texts, at least one each, what is said of them together."""
        starts = offsets_of(counts)[:-1]
        return _Scored(
            _means(self.logits, counts),
            _means(self.scores, counts),
            np.add.reduceat(self.windows, starts),
            np.logical_or.reduceat(self.truncated, starts),
        )


def _means(values: Floats, counts: Ints) -> Floats:
    """The mean of each run of rows, float32 (runs, classes); `counts`, at least 1 each, are their lengths.
    What is alone stays as it is."""
    if len(counts) == len(values):
        return values
    sums = np.add.reduceat(values, offsets_of(counts)[:-1], axis=0, dtype=np.float64)
    means: Floats = (sums / counts[:, None]).astype(np.float32)
    return means


def _answers(scored: _Scored, owner: Ints, source: Ints, n_rows: int, options: RowOptions) -> RowAnswers:
    """What was said of texts (by `owner` the row of each, ascending, by `source` its place there), by row."""
    counts = np.bincount(owner, minlength=n_rows)
    of_rows = scored.of_rows(counts[counts > 0]) if options.row_scores or options.row_logits else scored
    if options.coalesce:
        scored = scored.of_rows(counts[counts > 0])
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        owner, source = owner[first], source[first]
    if options.threshold is not None and options.by_threshold:
        text, label = np.nonzero(scored.scores > options.threshold)
    else:
        # Of equal scores the first label, as Spark NLP takes it.
        text, label = np.arange(len(scored.scores)), scored.scores.argmax(axis=1)
    n_found = np.bincount(owner[text], minlength=n_rows)
    if options.top is None:
        # The texts of a row are its blocks.
        n_blocks = np.bincount(owner, minlength=n_rows)
        ids, scores = np.zeros((0, 1), np.int32), scored.scores
        block = text - offsets_of(n_blocks)[owner[text]]
    else:
        ids, scores = top(scored.scores[text], options.top, label)
        n_blocks = n_found
        block = np.arange(len(text)) - offsets_of(n_found)[owner[text]]
    width = scores.shape[1]

    def found(values: NDArray[Any], dtype: Any = np.int32) -> Ragged:
        return Ragged.sized(values.astype(dtype), n_found)

    def of_row(values: Floats, wanted: bool) -> Ragged:
        if not wanted:
            return _nothing(n_rows, np.float32)
        return Ragged.sized(values.ravel(), (counts > 0) * values.shape[1])

    return RowAnswers(
        source=found(source[text]),
        label=found(label),
        block=found(block),
        truncated=found(scored.truncated[text], bool),
        windows=found(scored.windows[text]) if options.stride is not None else _nothing(n_rows),
        ids=Ragged.sized(ids.ravel(), n_blocks * width) if options.top is not None else _nothing(n_rows),
        scores=Ragged.sized(scores.ravel(), n_blocks * width),
        row_scores=of_row(of_rows.scores, options.row_scores),
        row_logits=of_row(of_rows.logits, options.row_logits),
    )


def _nothing(n_rows: int, dtype: Any = np.int32) -> Ragged:
    return Ragged(np.zeros(0, dtype), np.zeros(n_rows + 1, np.int64))


def _no_answers(n_rows: int) -> RowAnswers:
    ints, floats = _nothing(n_rows), _nothing(n_rows, np.float32)
    truncated = _nothing(n_rows, bool)
    return RowAnswers(ints, ints, ints, truncated, ints, ints, floats, floats, floats)
