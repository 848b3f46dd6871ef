"""Output columns that exist already: refused on the driver by every stage, replaced where the user asks."""

from __future__ import annotations

import pytest
from pyspark.ml import Pipeline
from pyspark.sql import functions as F

from sparkxlmr.annotator import (
    RegexTokenizer,
    SentenceDetector,
    Tokenizer,
    TokenizerModel,
    XlmRoBertaForMaskedLM,
    XlmRoBertaForSequenceClassification,
    XlmRoBertaSentenceEmbeddings,
)
from sparkxlmr.base import DocumentAssembler, EmbeddingsFinisher, Finisher
from sparkxlmr.errors import InputError

EXISTING = r": {} is '{}', and there is a column of that name.*setOverwriteColumns\(True\)"


@pytest.fixture(scope="module")
def df(spark):
    rows = [("Ein Satz. Noch einer.", "deu_Latn", 7)]
    plain = spark.createDataFrame(rows, "text string, Language string, number int").coalesce(1)
    return DocumentAssembler().setInputCol("text").setOutputCol("document").transform(plain)


@pytest.fixture(scope="module")
def stages(fixtures, tiny_preset):
    read, masked_lm = "document", fixtures / "hugging_face" / "xlmr_masked_lm"
    return {
        "assembler": DocumentAssembler().setInputCol("text"),
        "sentences": SentenceDetector().setInputCols(read),
        "exploded": SentenceDetector().setInputCols(read).setExplodeSentences(True),
        "tokenizer": Tokenizer().setInputCols(read),
        "tokens": TokenizerModel().setInputCols(read),
        "regex": RegexTokenizer().setInputCols(read),
        "classifier": XlmRoBertaForSequenceClassification.pretrained(tiny_preset).setInputCols(read),
        "masked": XlmRoBertaForMaskedLM.pretrained(masked_lm).setInputCols(read),
        "embeddings": XlmRoBertaSentenceEmbeddings.pretrained(tiny_preset).setInputCols(read),
        "finisher": Finisher().setInputCols(read),
        "embeddings_finisher": EmbeddingsFinisher().setInputCols("vectors"),
    }


def with_output(stage, name):
    is_finisher = stage.hasParam("outputCols")
    return stage.copy().setOutputCols(name) if is_finisher else stage.copy().setOutputCol(name)


def run(stage, df):
    if stage.hasParam("outputAsVector"):
        vectors = F.lit(None).cast(df.schema["document"].dataType)
        df = df.withColumn("vectors", vectors)
    return stage.fit(df).transform(df) if hasattr(stage, "fit") else stage.transform(df)


@pytest.mark.parametrize(
    "name",
    [
        "assembler", "sentences", "exploded", "tokenizer", "tokens", "regex", "classifier", "masked",
        "embeddings", "finisher", "embeddings_finisher",
    ],
)  # fmt: skip
def test_existing_output_column_is_refused(df, stages, name):
    """Also where its name differs in case only, as Spark resolves names."""
    stage = stages[name]
    setting = "outputCols" if stage.hasParam("outputCols") else "outputCol"
    for existing in ("Language", "LANGUAGE", "text"):
        with pytest.raises(InputError, match=type(stage).__name__ + EXISTING.format(setting, existing)):
            run(with_output(stage, existing), df)
    replaced = run(with_output(stage, "LANGUAGE").setOverwriteColumns(True), df)
    assert [column for column in replaced.columns if column.lower() == "language"] == ["LANGUAGE"]
    assert replaced.schema["LANGUAGE"].dataType.typeName() == "array"
    assert run(with_output(stage, "new"), df).columns[-1] == "new"


def test_existing_numeric_column_is_refused_or_replaced(df, stages):
    stage = with_output(stages["classifier"], "out").setPredictionCol("Number")
    with pytest.raises(InputError, match=EXISTING.format("predictionCol", "Number")):
        stage.transform(df)
    replaced = stage.copy().setOverwriteColumns(True).transform(df)
    assert replaced.schema["Number"].dataType.typeName() == "double"
    twice = stage.copy().setOverwriteColumns(True).setProbabilityCol("OUT")
    with pytest.raises(InputError, match="probabilityCol is 'OUT'") as caught:
        twice.transform(df)
    assert "setOverwriteColumns" not in str(caught.value)


def test_columns_are_compared_as_the_session_compares_them(spark, df, stages):
    spark.conf.set("spark.sql.caseSensitive", "true")
    try:
        made = run(with_output(stages["regex"], "language"), df)
        assert {"Language", "language"} <= set(made.columns)
    finally:
        spark.conf.unset("spark.sql.caseSensitive")


def test_finisher_may_take_the_name_of_what_it_drops(df, stages):
    finished = with_output(stages["finisher"], "document").transform(df)
    assert finished.schema["document"].dataType.simpleString() == "array<string>"
    with pytest.raises(InputError, match=EXISTING.format("outputCols", "document")):
        with_output(stages["finisher"], "document").setCleanAnnotations(False).transform(df)


def test_pipeline_on_its_own_result(df, tmp_path):
    """A cell of a notebook that is run again, on the frame that it made; the setting is saved."""
    tokens = RegexTokenizer().setInputCols("document").setOutputCol("token")
    model = Pipeline(stages=[tokens]).fit(df)
    with pytest.raises(InputError, match=EXISTING.format("outputCol", "token")):
        model.transform(model.transform(df))
    tokens.setOverwriteColumns(True).write().save(str(tmp_path / "stage"))
    again = RegexTokenizer.load(str(tmp_path / "stage"))
    assert again.getOverwriteColumns()
    assert again.transform(again.transform(df)).columns == [*df.columns, "token"]
