"""Annotations as people read them: marked in their text, with labels and scores.

``show(df, "class")`` is for DataFrames, :func:`annotations_html` for annotations at hand. In a notebook an
:class:`~sparkxlmr.annotation.Annotation` and a stage show themselves when they stand last in a cell.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from sparkxlmr.text.annotation import DOCUMENT, Annotation
from sparkxlmr.text.annotation_html import AnnotatedText, AnnotatedTexts, annotation_html, annotations_html
from sparkxlmr.text.score_text import own_score

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["annotation_html", "annotations_html", "as_text", "read", "show"]


def show(df: DataFrame, column: str, n: int = 5, text: str | None = None) -> None:
    """Show the annotations of the first rows in their texts: as HTML in a notebook, else as plain lines.

    Runs one job that reads `n` rows. To have the HTML itself, take ``read(df, column)._repr_html_()``.

    Args:
        df: with the columns.
        column: name of an annotation column.
        n: how many rows.
        text: name of the annotation column (of type ``document``) whose text is marked; unset: the first of
            that type. Where there is none, annotations are listed without text.

    Raises:
        InputError: a column is missing, or holds no annotations.
    """
    texts = read(df, column, n, text)
    notebook = sys.modules.get("IPython")  # whoever runs a notebook has imported it
    if notebook is not None and notebook.get_ipython() is not None:
        importlib.import_module("IPython.display").display(texts)
    else:
        print(as_text(texts))


def read(df: DataFrame, column: str, n: int = 5, text: str | None = None) -> AnnotatedTexts:
    """The annotations of the first rows, as Python values that notebooks show.

    Args:
        df, column, n, text: as in :func:`show`.

    Returns:
        A list with a dict for each row: the text's column and `column`, each a list of
        :class:`~sparkxlmr.annotation.Annotation` (empty for null).

    Raises:
        InputError: a column is missing, or holds no annotations.
    """
    from sparkxlmr.spark.annotation import annotator_type, quoted
    from sparkxlmr.spark.annotator import find_annotations

    named = [name for name in (text, column) if name is not None]
    fields = [find_annotations(df, name, "show()", "name an annotation column") for name in named]
    if text is None:
        fields = [f for f in df.schema if annotator_type(f) == DOCUMENT][:1] + fields
    names = list(dict.fromkeys(field.name for field in fields))
    rows = df.select(*[quoted(name) for name in names]).head(n)
    return AnnotatedTexts(
        AnnotatedText((name, [Annotation.fromRow(item) for item in row[name] or []]) for name in names)
        for row in rows
    )


def as_text(texts: AnnotatedTexts) -> str:
    """What :func:`show` prints where there is no notebook: each text, below it what was found in it."""
    lines: list[str] = []
    for columns in texts:
        *documents, found = columns.values()
        for document in documents:
            lines += [_line(piece.result) for piece in document]
        lines += [f"  [{a.begin}:{a.end}] {_line(a.result)}{_score(a)}" for a in found]
    return "\n".join(lines)


def _line(text: str, most: int = 100) -> str:
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= most else text[:most] + "…"


def _score(annotation: Annotation) -> str:
    own = own_score(annotation.result, annotation.metadata)
    return "" if own is None else f" {own:.3f}"
