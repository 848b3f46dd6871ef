"""Annotations as HTML for notebooks, everything escaped; nothing is fetched, no script runs.

Colours are given as thin layers over what the notebook shows already, so light and dark pages both work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

from sparkxlmr.text.score_text import own_score, scores_of

if TYPE_CHECKING:
    from sparkxlmr.text.annotation import Annotation

#: Most code points of one text that are shown: a page of a million would freeze the notebook.
MOST_TEXT = 5000
#: Most annotations of one text, most of one text's scores, and most texts of a list.
MOST_ANNOTATIONS, MOST_SCORES, MOST_TEXTS = 200, 5, 20

_BOX = "border-radius:.25em;padding:.05em .3em;unicode-bidi:isolate"
_FAINT = "opacity:.65;font-size:85%"
#: first and last code point of each span, and what stands on it
Layer: TypeAlias = "list[tuple[int, int, list[Annotation]]]"


class AnnotatedText(dict[str, list[Any]]):
    """The annotations of one text by column: a dict that notebooks show as the text with what was found."""

    def _repr_html_(self) -> str:
        return columns_html(self)


class AnnotatedTexts(list[AnnotatedText]):
    """The annotations of several texts: a list that notebooks show text by text, the first of them."""

    def _repr_html_(self) -> str:
        shown = "<hr>".join(columns_html(columns) for columns in self[:MOST_TEXTS])
        return shown + _more(len(self) - MOST_TEXTS, "texts")


def annotation_html(annotation: Annotation) -> str:
    """One annotation alone: what was found, where, and its metadata."""
    scores = scores_of(annotation.metadata)
    others = [(key, value) for key, value in annotation.metadata.items() if key not in scores]
    facts = "".join(f" · {escape(key)}: {escape(_short(value))}" for key, value in others)
    numbers = f" · {len(annotation.embeddings)} numbers" if annotation.embeddings else ""
    place = f"{annotation.annotatorType} [{annotation.begin}:{annotation.end}]"
    return (
        f"<div>{_chip(annotation, '')} <span style='{_FAINT}'>{escape(place)}{facts}{numbers}</span>"
        f"{_bars(annotation)}</div>"
    )


def annotations_html(text: str, annotations: Iterable[Annotation], begin: int = 0) -> str:
    """A text with its annotations marked in it, as HTML.

    Annotations that overlap stand below each other, in a copy of the text each. One whose result is the text
    it covers (a token, a sentence) gets a box, any other its result and score behind it. What lies outside
    the text is listed below it; texts beyond 5000 code points are cut off.

    Args:
        text: what `begin` and `end` of the annotations count in.
        annotations: any, in any order.
        begin: where the text itself begins, for one that was cut out of a longer one (a sentence).

    >>> from sparkxlmr.text.annotation import Annotation
    >>> html = annotations_html("a <b>", [Annotation("token", 2, 4, "<b>")])
    >>> "&lt;b&gt;" in html and "<b>" not in html
    True
    """
    listed = list(annotations)
    shown = listed[:MOST_ANNOTATIONS]
    end = min(len(text), MOST_TEXT)
    spans: dict[tuple[int, int], list[Annotation]] = {}
    outside: list[Annotation] = []
    for annotation in shown:
        first, last = annotation.begin - begin, annotation.end - begin
        if 0 <= first <= last < end:
            spans.setdefault((first, last), []).append(annotation)
        else:
            outside.append(annotation)
    rest = "…" if len(text) > end else ""
    layers = [_marked(text[:end], layer) + rest for layer in _layers(spans)] or [escape(text[:end]) + rest]
    style = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.9"
    blocks = "".join(f"<div dir='auto' style='{style}'>{layer}</div>" for layer in layers)
    beside = "".join(annotation_html(annotation) for annotation in outside)
    bars = "".join(_bars(annotation) for annotation in shown if annotation not in outside)
    return f"<div>{blocks}{bars}{beside}{_more(len(listed) - len(shown), 'annotations')}</div>"


def columns_html(columns: Mapping[str, Sequence[Any]]) -> str:
    """The annotations of one text by column, each column below its name.

    The first column of type `document` gives the text; what it does not, or there is none, is listed.
    """
    pieces = next((values for values in columns.values() if _are_documents(values)), [])
    parts = []
    for name, values in columns.items():
        if values is pieces and len(columns) > 1:
            continue
        heading = f"<div style='{_FAINT}'><b>{escape(name)}</b></div>"
        parts.append(f"<div style='margin:.3em 0'>{heading}{_column(values, pieces)}</div>")
    return "".join(parts)


def table_html(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A titled table of texts, as HTML."""
    cell = "text-align:left;vertical-align:top;white-space:pre-wrap"
    head = "".join(f"<th style='{cell}'>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td style='{cell}'>{escape(value)}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return f"<div><b>{escape(title)}</b><table><tr>{head}</tr>{body}</table></div>"


def _column(values: Sequence[Any], pieces: Sequence[Annotation]) -> str:
    if not all(hasattr(value, "annotatorType") for value in values):  # what a Finisher left: plain texts
        return " ".join(f"<span style='{_BOX}'>{escape(_short(str(value)))}</span>" for value in values)
    if not pieces:
        listed = "".join(annotation_html(value) for value in values[:MOST_ANNOTATIONS])
        return listed + _more(len(values) - MOST_ANNOTATIONS, "annotations")
    if len(pieces) == 1:
        return annotations_html(pieces[0].result, values, pieces[0].begin)
    belonging: list[list[Annotation]] = [[] for _ in pieces]
    numbers = {piece.metadata.get("sentence", str(i)): i for i, piece in enumerate(pieces)}
    for value in values:
        belonging[numbers.get(value.metadata.get("sentence", "0"), 0)].append(value)
    return "".join(
        annotations_html(piece.result, found, piece.begin)
        for piece, found in zip(pieces[:MOST_TEXTS], belonging, strict=False)
    ) + _more(len(pieces) - MOST_TEXTS, "texts")


def _are_documents(values: Sequence[Any]) -> bool:
    return bool(values) and all(getattr(value, "annotatorType", None) == "document" for value in values)


def _layers(spans: Mapping[tuple[int, int], list[Annotation]]) -> list[Layer]:
    """Spans so dealt out that those of one layer do not overlap, each layer in the order of the text."""
    layers: list[Layer] = []
    for (first, last), found in sorted(spans.items(), key=lambda item: (item[0][0], -item[0][1])):
        layer = next((layer for layer in layers if layer[-1][1] < first), None)
        if layer is None:
            layers.append([(first, last, found)])
        else:
            layer.append((first, last, found))
    return layers


def _marked(text: str, layer: Layer) -> str:
    parts, at = [], 0
    for first, last, found in layer:
        covered = text[first : last + 1]
        labels = "".join(_label(annotation) for annotation in found if annotation.result != covered)
        parts += [
            escape(text[at:first]),
            f"<mark style='background:{_colour(found[0], covered)};color:inherit;{_BOX}'>"
            f"{escape(covered)}{labels}</mark>",
        ]
        at = last + 1
    return "".join([*parts, escape(text[at:])])


def _label(annotation: Annotation) -> str:
    return f" <b style='font-size:80%'>{escape(_short(annotation.result))}{_own_score(annotation)}</b>"


def _chip(annotation: Annotation, covered: str) -> str:
    box = f"background:{_colour(annotation, covered)};{_BOX}"
    return f"<span style='{box}'>{escape(_short(annotation.result))}{_own_score(annotation)}</span>"


def _own_score(annotation: Annotation) -> str:
    """The score of the annotation's own result, to three digits, or nothing."""
    own = own_score(annotation.result, annotation.metadata)
    return "" if own is None else f" {own:.3f}"


def _bars(annotation: Annotation) -> str:
    """The best scores of a category as bars; of other annotations, which have one score at most, nothing."""
    scores = scores_of(annotation.metadata)
    if annotation.annotatorType != "category" or len(scores) < 2:
        return ""
    rows = "".join(
        f"<tr><td style='text-align:left'>{escape(_short(label))}</td><td style='text-align:left'>"
        f"<span style='display:inline-block;height:.6em;width:{8 * score if 0 <= score <= 1 else 0:.2f}em;"
        f"background:{_colour(annotation, '', label)}'></span> {score:.3f}</td></tr>"
        for label, score in list(scores.items())[:MOST_SCORES]
    )
    return f"<table>{rows}</table>{_more(len(scores) - MOST_SCORES, 'scores')}"


def _colour(annotation: Annotation, covered: str, label: str | None = None) -> str:
    """One colour for a label wherever it stands; grey for what is only a piece of the text."""
    label = annotation.result if label is None else label
    if label == covered:
        return "rgba(128,128,128,.22)"
    return f"hsla({crc32(label.encode('utf-8', 'replace')) % 360},70%,50%,.28)"


def _short(text: str | None, most: int = 200) -> str:
    text = text or ""
    return text if len(text) <= most else text[:most] + "…"


def _more(count: int, what: str) -> str:
    return f"<div style='{_FAINT}'>… and {count} more {what}</div>" if count > 0 else ""
