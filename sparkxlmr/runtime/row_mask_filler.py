"""What a masked language model says about rows of texts: pure, the same behind a Spark worker and without.

A row is the list of its texts (one document, or its sentences). What comes back are plain lists, one a row,
from which annotations are built elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields

from sparkxlmr.runtime.mask_filler import MaskAnswer
from sparkxlmr.text.finite import positions_of_rows

Texts = Sequence[str | None]
#: texts, tokens read at once, tokens a mask, tokens to choose from (None: all), most rows of a batch (None:
#: the planner's choice), whether to lower-case (None: as the preset says) -> for each text its masks
Fill = Callable[[list[str], int, int, Sequence[str] | None, int | None, bool | None], list[list[MaskAnswer]]]


@dataclass(frozen=True)
class FillOptions:
    """How masks are filled; plain values only, so that it travels to a worker as a small dict.

    - `max_length`: tokens that are read at once, the special ones at the ends included.
    - `top_k`: how many tokens for each mask.
    - `targets`: tokens to choose from; None: the whole vocabulary.
    - `batch_size`: texts of one engine call at most; None leaves it to the planner's token budget.
    - `lower_case`: whether texts are lower-cased first; None as the preset says.
    """

    max_length: int
    top_k: int = 5
    targets: tuple[str, ...] | None = None
    batch_size: int | None = None
    lower_case: bool | None = None


@dataclass
class FilledRows:
    """Answers for n rows, every list n long; of a row one item for each rank of each mask of each text.

    `source`: which text of the row; `begin`, `end`: where the mask stands in that text, in code points, both
    inclusive; `mask`: which mask of that text, from 0; `rank`: from 1, the best; `token`, `token_id`,
    `score`: the token, and its probability; `kept` and `put_in`: how the text reads with it
    (:func:`sequence_of`, which is left to the reader: a text of many masks would cross as many times).
    """

    source: list[list[int]] = field(default_factory=list)
    begin: list[list[int]] = field(default_factory=list)
    end: list[list[int]] = field(default_factory=list)
    mask: list[list[int]] = field(default_factory=list)
    rank: list[list[int]] = field(default_factory=list)
    token: list[list[str]] = field(default_factory=list)
    token_id: list[list[int]] = field(default_factory=list)
    score: list[list[float]] = field(default_factory=list)
    kept: list[list[int]] = field(default_factory=list)
    put_in: list[list[str]] = field(default_factory=list)


def sequence_of(text: str, kept: int, put_in: str, end: int) -> str:
    """The text with a mask filled: its first `kept` code points, what is put in, what follows the mask.

    >>> sequence_of("a <mask>!", 2, "dog", 7)
    'a dog!'
    """
    return f"{text[:kept]}{put_in}{text[end + 1 :]}"


def fill_rows(rows: Sequence[Texts | None], fill: Fill, options: FillOptions) -> FilledRows:
    """Fills the masks of every text of every row in one call of `fill` and hands the answers back by row.

    None, and texts without a mask, give nothing; they shift nothing: `source` counts all texts of the row.

    >>> from sparkxlmr.text.filled_masks import FilledMask, Gap
    >>> one = FilledMask("a", 4, 0.5, Gap("<mask> b", 0, 6, 0), 0, "a")
    >>> fill = lambda texts, *_: [[MaskAnswer(0, 5, [one])] for _ in texts]
    >>> filled = fill_rows([None, ["", "<mask> b"]], fill, FillOptions(8))
    >>> filled.source, filled.token, filled.put_in
    ([[], [1]], [[], ['a']], [[], ['a']])
    """
    texts = [text for row in rows for text in row or () if text]
    answers: Iterator[list[MaskAnswer]] = iter(())
    if texts:
        with positions_of_rows([number for number, row in enumerate(rows) for text in row or () if text]):
            answers = iter(
                fill(
                    texts,
                    options.max_length,
                    options.top_k,
                    options.targets,
                    options.batch_size,
                    options.lower_case,
                )
            )
    filled = FilledRows()
    for row in rows:
        found = [
            (
                *(source, answer.begin, answer.end, mask, rank),
                *(one.token, one.token_id, one.score, one.kept, one.put_in),
            )
            for source, text in enumerate(row or ())
            if text
            for mask, answer in enumerate(next(answers))
            for rank, one in enumerate(answer.filled, 1)
        ]
        columns = zip(*found, strict=True) if found else ([] for _ in fields(filled))
        for part, column in zip(fields(filled), columns, strict=True):
            getattr(filled, part.name).append(list(column))
    return filled
