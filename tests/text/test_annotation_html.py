"""Annotations as HTML: marked where they stand, everything escaped, bounded."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.text.annotation import Annotation
from sparkxlmr.text.annotation_html import (
    MOST_ANNOTATIONS,
    MOST_TEXT,
    AnnotatedText,
    AnnotatedTexts,
    annotation_html,
    annotations_html,
    columns_html,
    table_html,
)
from sparkxlmr.text.score_text import own_score, scores_of

EVIL = "<script>alert('x')</script>\"&"
ALLOWED = {"div", "span", "b", "mark", "table", "tr", "td", "th", "hr"}


class Parsed(HTMLParser):
    """The tags of some HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "hr":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def marks(html: str) -> list[str]:
    return [
        unescape(re.sub(r"<b .*?</b>", "", found)) for found in re.findall(r"<mark.*?>(.*?)</mark>", html)
    ]


def test_tokens_are_marked_where_they_stand():
    text = "One 😀 <two>"
    html = annotations_html(text, [Annotation("token", 4, 4, "😀"), Annotation("token", 6, 10, "<two>")])
    assert marks(html) == ["😀", "<two>"]
    assert Parsed(html).text == text


def test_a_category_shows_label_and_scores_best_first():
    metadata = {"sentence": "0", "World": "3.2E-4", "Sports": "0.98", "truncated": "true", "windows": "3"}
    html = annotations_html("A goal.", [Annotation("category", 0, 6, "Sports", metadata)])
    text = Parsed(html).text
    assert text.startswith("A goal. Sports 0.980")
    assert text.endswith("Sports 0.980World 0.000")
    assert scores_of(metadata) == {"Sports": 0.98, "World": 0.00032}
    assert own_score("Sports", metadata) == 0.98
    assert "truncated: true" in Parsed(annotation_html(Annotation("category", 0, 6, "Sports", metadata))).text


def test_annotations_that_overlap_stand_in_copies_and_those_outside_below():
    found = [
        Annotation("document", 0, 2, "a b"),
        Annotation("token", 0, 0, "a"),
        Annotation("token", 9, 9, "x"),
    ]
    html = annotations_html("a b", found)
    assert marks(html) == ["a b", "a"]
    assert "token [9:9]" in Parsed(html).text
    # of a sentence that begins at 4
    assert marks(annotations_html("a b", [Annotation("token", 6, 6, "b")], begin=4)) == ["b"]


def test_ranks_of_one_mask_stand_behind_it():
    ranks = [Annotation("token", 2, 7, f"w{i}", {"score": f"0.{9 - i}"}) for i in range(3)]
    html = annotations_html("a <mask>!", ranks)
    assert marks(html)[0].startswith("<mask>")
    assert Parsed(html).text == "a <mask> w0 0.900 w1 0.800 w2 0.700!"


def test_columns_take_the_text_of_the_first_document_column():
    documents = [
        Annotation("document", 0, 1, "ab", {"sentence": "0"}),
        Annotation("document", 0, 1, "cd", {"sentence": "1"}),
    ]
    tokens = [
        Annotation("token", 0, 0, "a", {"sentence": "0"}),
        Annotation("token", 1, 1, "d", {"sentence": "1"}),
    ]
    columns = AnnotatedText(document=documents, token=tokens, finished=["a", "<d>"])
    html = columns._repr_html_()
    assert marks(html) == ["a", "d"]
    assert "<d>" in Parsed(html).text
    assert columns == {"document": documents, "token": tokens, "finished": ["a", "<d>"]}
    many = AnnotatedTexts([columns] * 21)._repr_html_()
    assert many.count("<hr>") == 19
    assert Parsed(many).text.endswith("… and 1 more texts")


def test_long_texts_and_many_annotations_are_bounded():
    text = "a " * MOST_TEXT
    html = annotations_html(text, [Annotation("token", 2 * i, 2 * i, "a") for i in range(MOST_TEXT)])
    assert len(marks(html)) == MOST_ANNOTATIONS
    assert (
        Parsed(html).text
        == "a " * (MOST_TEXT // 2) + f"…… and {MOST_TEXT - MOST_ANNOTATIONS} more annotations"
    )


texts = st.one_of(st.just(EVIL), st.text(max_size=12))
scores = st.one_of(texts, st.sampled_from(["0.5", "NaN", "1.0E-9", "-3.5", "7"]))
annotations = st.builds(
    Annotation,
    st.one_of(st.sampled_from(["document", "token", "category"]), texts),
    st.integers(-2, 30),
    st.integers(-2, 30),
    texts,
    st.dictionaries(texts, scores, max_size=4),
    st.lists(st.floats(width=32), max_size=2),
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(texts, st.lists(annotations, max_size=6), texts)
def test_nothing_that_comes_in_becomes_a_tag(text, found, name):
    htmls = [
        annotations_html(text, found),
        columns_html({name: found, "documents": [Annotation("document", 0, len(text) - 1, text)]}),
        columns_html({name: found}),
        table_html(name, [name, text], [[text, name]]),
        *[annotation._repr_html_() for annotation in found],
    ]
    for html in htmls:
        parsed = Parsed(html)
        assert set(parsed.tags) <= ALLOWED
        assert parsed.attributes <= {"style", "dir"}
        assert parsed.open == []
        assert "<script" not in html
    without_labels = re.sub(r" <b style.*?</b>", "", htmls[0], flags=re.S)
    assert Parsed(without_labels).text.startswith(text)
