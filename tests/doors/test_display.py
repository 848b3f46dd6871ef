"""What notebooks and terminals show of annotations and stages."""

from __future__ import annotations

import IPython
import IPython.display
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F

from sparkxlmr import display
from sparkxlmr.annotation import Annotation
from sparkxlmr.annotator import (
    AlbertForMaskedLM,
    RegexTokenizer,
    TokenizerModel,
    XlmRoBertaForSequenceClassification,
)
from sparkxlmr.base import DocumentAssembler, LightPipeline
from sparkxlmr.display import annotations_html, as_text, read, show
from sparkxlmr.errors import InputError
from sparkxlmr.text.annotation_html import AnnotatedText, AnnotatedTexts

EVIL = "Look: <script>alert(1)</script> 😀"


@pytest.fixture(scope="module")
def tokens(spark):
    df = spark.createDataFrame([(EVIL,), (None,), ("third",)], ["text"])
    assembled = DocumentAssembler().setInputCol("text").transform(df)
    tokenizer = TokenizerModel().setInputCols(["document"]).setOutputCol("to.ken")
    return tokenizer.transform(assembled)


def test_show_prints_lines_where_there_is_no_notebook(tokens, capsys):
    show(tokens, "to.ken", 2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == [EVIL, "  [0:3] Look", "  [4:4] :"]
    assert printed[-2:] == ["  [32:32] 😀", ""]


def test_show_displays_html_in_a_notebook(monkeypatch, capsys):
    shown: list[str] = []
    monkeypatch.setattr(IPython, "get_ipython", object)
    monkeypatch.setattr(IPython.display, "display", lambda value: shown.append(value._repr_html_()))
    document = Annotation("document", 0, len(EVIL) - 1, EVIL)
    texts = AnnotatedTexts([AnnotatedText(document=[document], token=[])])
    monkeypatch.setattr(display, "read", lambda *_: texts)
    show(None, "token", 1)
    assert capsys.readouterr().out == ""
    assert "&lt;script&gt;" in shown[0]
    assert "<script" not in shown[0]


def test_texts_are_taken_from_the_column_that_is_named(tokens):
    without = tokens.withColumn("document", F.col("document").alias("document", metadata={}))
    (listed,) = read(without, "to.ken", 1)
    assert list(listed) == ["to.ken"]
    (named,) = read(without, "to.ken", 1, text="document")
    assert list(named) == ["document", "to.ken"]
    assert named["to.ken"][0] == Annotation("token", 0, 3, "Look", {"sentence": "0"})
    assert as_text(read(tokens, "document", 1)).endswith(f"  [0:32] {EVIL}")


@pytest.mark.parametrize(("column", "said"), [("text", "has type string"), ("nowhere", "there is no column")])
def test_other_columns_are_refused(tokens, column, said):
    with pytest.raises(InputError, match=said):
        show(tokens, column)


def test_a_score_stands_behind_its_label():
    annotation = Annotation("category", 0, 1, "yes", {"sentence": "0", "yes": "0.75", "no": "0.25"})
    assert "yes 0.750" in annotations_html("ab", [annotation])


def test_stages_show_their_settings_escaped():
    stage = RegexTokenizer().setPattern("<script>").setInputCols(["a&b"])
    html = stage._repr_html_()
    assert "<b>RegexTokenizer</b>" in html
    assert "&lt;script&gt;" in html
    assert "a&amp;b" in html
    assert "<script" not in html
    assert all(param.name in html for param in stage.params)


def test_stages_with_a_model_tell_which():
    assert "(no model)" in AlbertForMaskedLM()._repr_html_()
    stage = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_ag_news").setThreshold(0.25)
    html = stage._repr_html_()
    assert ": xlm_roberta_tiny_ag_news (World, Sports, Business, Sci/Tech)" in html
    assert "0.25" in html


def test_answers_without_spark_show_themselves():
    stages = [
        DocumentAssembler().setInputCol("text"),
        TokenizerModel().setInputCols(["document"]).setOutputCol("token"),
    ]
    answers = LightPipeline(PipelineModel(stages=stages)).fullAnnotate([EVIL, "b"])
    assert answers[1] == {
        "document": [Annotation("document", 0, 0, "b", {"sentence": "0"})],
        "token": [Annotation("token", 0, 0, "b", {"sentence": "0"})],
    }
    html = answers._repr_html_()
    assert "😀" in html
    assert "<script" not in html
    assert html == "<hr>".join(answer._repr_html_() for answer in answers)
