"""`sparkxlmr classify`: what it reads, what it writes, what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sparkxlmr.cli import main
from sparkxlmr.errors import InputError
from sparkxlmr.jobs import classify as job
from sparkxlmr.jobs import storage, stores, table_job
from sparkxlmr.jobs.checked_input import CheckedInput, CsvTable
from sparkxlmr.jobs.tables import read_table
from sparkxlmr.runtime.classification import softmax

pytestmark = pytest.mark.usefixtures("spark")

CSV = (
    "id,text,note\n"
    '007,"Hello, ""world""\nsecond line", keep \n'
    "2,,x\n"
    '3,"Guten Tag",\n'
    "4,   ,y\n"
)  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_preset) -> Path:
    """A folder of one's own with a small CSV file and a model in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(tiny_preset)
    (tmp_path / "in.csv").write_text(CSV, encoding="utf-8")
    return tmp_path


def classify(source: str, option: str, output: str, *more: str) -> int:
    # Absolute paths, which the messages that are compared have.
    assert option == "--output"
    source, output = (path if ":/" in path else str(Path(path).absolute()) for path in (source, output))
    return main(["classify", source, option, output, "--model", "model", *more])


def parts(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"part-*.{suffix}"))


def names(folder: Path) -> set[str]:
    """Everything in a folder, hidden things too; Hadoop's checksum files left out."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(".crc")}


def traced_rows() -> int:
    """Rows that all workers have scored so far."""
    lines = [line for file in Path(os.environ["SPARKXLMR_TRACE"]).glob("*.jsonl") for line in file.open()]
    return sum(event["rows"] for event in map(json.loads, lines) if event["event"] == "score")


def test_csv_keeps_its_columns_and_rows_as_they_are(here, capsys):
    before = traced_rows()
    assert classify("in.csv", "--output", "out.csv") == 0
    written = pd.concat(
        pd.read_csv(part, dtype=str, keep_default_na=False) for part in parts(here / "out.csv", "csv")
    )
    given = pd.read_csv(here / "in.csv", dtype=str, keep_default_na=False)
    assert list(written.columns) == ["id", "text", "note", "label", "score"]
    assert written[["id", "text", "note"]].reset_index(drop=True).equals(given)
    assert [bool(label) for label in written["label"]] == [True, False, True, False]
    assert all(0 < float(score) <= 1 for score in written["score"] if score)
    said = capsys.readouterr().out
    assert "4 documents in" in said
    assert "(no text)" in said
    assert "(no label)" not in said
    assert f"Written to {here / 'out.csv'} (csv)." in said
    assert names(here) == {"in.csv", "model", "out.csv"}
    # Each row was scored once, the summary included.
    assert traced_rows() - before == 4


def test_json_lines_keep_the_order_of_their_keys_and_their_nulls(here):
    rows = [{"zeta": 1, "text": "Bonjour", "alpha": [1, 2]}, {"zeta": 2, "text": None, "alpha": []}]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert classify("in.jsonl", "--output", "out.jsonl", "--label-column", "lang", "--score-column", "p") == 0
    written = [json.loads(line) for part in parts(here / "out.jsonl", "json") for line in part.open()]
    assert [list(row) for row in written] == [["zeta", "text", "alpha", "lang", "p"]] * 2
    assert [{name: row[name] for name in rows[0]} for row in written] == rows
    assert written[0]["lang"]
    assert written[1]["lang"] is None
    assert written[1]["p"] is None


def test_plain_text_to_parquet_by_default(here):
    Path("in.txt").write_bytes("\ufeffone\n\nשלום\n \x00\n".encode())
    assert classify("in.txt", "--output", "out") == 0
    written = pd.read_parquet(here / "out")
    assert list(written.columns) == ["text", "label", "score"]
    assert written["text"].tolist() == ["one", "", "שלום", " \x00"]
    assert written["label"].notna().tolist()[:3] == [True, False, True]
    assert written["score"].dtype == "float64"


def test_parquet_with_names_that_spark_must_quote(here):
    frame = pd.DataFrame(
        {"a.b": ["eins", "zwei"], "document": [1, 2], "language": ["x", "y"], "back`tick": [0, 1]}
    )
    frame.to_parquet("in.parquet")
    assert classify("in.parquet", "--output", "out.jsonl", "--text", "a.b", "--format", "parquet") == 0
    written = pd.read_parquet(here / "out.jsonl")
    assert list(written.columns) == [*frame.columns, "label", "score"]
    assert written[list(frame.columns)].equals(frame)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.csv", "--output", "out"], "no file or folder at"),
        (["in.csv", "--output", "out", "--text", "txt"], "say --text text"),
        (["in.csv", "--output", "out", "--label-column", "note"], "--label-column and --score-column"),
        (["in.csv", "--output", "out", "--label-column", "x", "--score-column", "X"], "two names"),
        (["in.csv", "--output", "out.txt"], "--format"),
        (["in.csv", "--output", "taken.csv"], "--overwrite"),
        (["in.csv", "--output", "full", "--overwrite"], "other things in it"),
        (["in.csv", "--output", "taken.csv/inside"], "Nothing can be written beside"),
        (["empty", "--output", "out"], "no data file"),
        (["void.csv", "--output", "out"], "no readable schema"),
        (["void.jsonl", "--output", "out"], "no readable schema"),
        (["broken.parquet", "--output", "out"], "cannot be read as parquet"),
        (["broken.jsonl", "--output", "out"], "line 2: 'not json' where"),
        (["hdfs://no-such-host.invalid:9000/in.csv", "--output", "out"], "cannot be opened"),
        (["in.csv", "--output", "hdfs://no-such-host.invalid:9000/out"], "cannot be looked at"),
        (["a:b.csv", "--output", "out"], "no file or folder at"),
        (["broken.csv", "--output", "out"], "line 4: 3 fields where 2 are expected"),
        (["data.unknown", "--output", "out"], "--input-format"),
        (["numbers.jsonl", "--output", "out"], "is of type bigint"),
        (["nested.jsonl", "--output", "out.csv"], "--format parquet"),
    ],
)
def test_wrong_use_is_one_line_and_nothing_is_written(here, capfd, arguments, said):
    Path("taken.csv").write_text("mine")
    Path("full").mkdir()
    Path("full", "thesis.tex").write_text("mine")
    Path("empty").mkdir()
    Path("empty", "_hidden").write_text("x")
    for name in ("void.csv", "void.jsonl"):
        Path(name).touch()
    Path("broken.parquet").write_text("PAR0 this is no parquet file")
    Path("broken.jsonl").write_text('{"text": "a"}\nnot json\n')
    Path("broken.csv").write_text("id,text\n1,fine\n2,also fine\n3,one,too many\n")
    Path("data.unknown").write_text("x")
    Path("numbers.jsonl").write_text('{"text": 1}\n')
    Path("nested.jsonl").write_text('{"text": "a", "tags": ["x"]}\n')
    before = names(here)
    assert classify(*arguments) == 2
    captured = capfd.readouterr().err.strip().splitlines()
    ours = [line for line in captured if line.startswith("sparkxlmr: ")]
    assert len(ours) == 1
    assert said in ours[0]
    assert names(here) == before
    assert Path("taken.csv").read_text() == "mine"


def test_an_input_that_may_not_be_read(here, capsys, monkeypatch):
    monkeypatch.setattr("sparkxlmr.jobs.tables.is_local_file_system", lambda *_: False)
    # Opening a folder is refused by Java just as a file without permission is; this user may be root.
    real = storage.Storage.check_readable
    folder = type("Status", (), {"getPath": lambda self: storage_path})()
    from pyspark.sql import SparkSession

    storage_path = storage.Storage(SparkSession.active(), str(here)).path
    monkeypatch.setattr(storage.Storage, "check_readable", lambda self, status: real(self, folder))
    assert classify("in.csv", "--output", "out") == 2
    assert "in.csv cannot be opened (" in capsys.readouterr().err


def test_the_model_is_looked_at_before_the_input_is_scored(here, capsys):
    assert classify("in.csv", "--output", "out", "--model", "no_such_model") == 2
    assert "no_such_model" in capsys.readouterr().err
    assert names(here) == {"in.csv", "model"}


def test_overwrite_replaces_a_result_once_the_new_one_is_complete(here, monkeypatch, capsys):
    assert classify("in.csv", "--output", "out.csv") == 0
    first = {path.name for path in parts(here / "out.csv", "csv")}
    write = table_job.write_table

    errors = iter([OSError("the disk is full"), KeyboardInterrupt()])

    def write_and_fail(frame, path, chosen):
        write(frame, path, chosen)
        raise next(errors)

    with monkeypatch.context() as patched:
        patched.setattr(table_job, "write_table", write_and_fail)
        for _ in range(2):
            assert classify("in.csv", "--output", "out.csv", "--overwrite") == 1
            assert {path.name for path in parts(here / "out.csv", "csv")} == first
    assert "nothing was written" in capsys.readouterr().err
    assert (
        classify(
            "out.csv", "--output", "out.csv", "--overwrite", "--label-column", "l", "--score-column", "s"
        )
        == 0
    )
    assert {path.name for path in parts(here / "out.csv", "csv")}.isdisjoint(first)
    assert names(here) == {"in.csv", "model", "out.csv"}


def test_damage_found_later_ends_the_run_with_one_line(here, capfd, monkeypatch):
    # Damaged after the check: what Spark itself finds, too, is one line.
    Path("in.csv").write_text("id,text\n1,fine\n2,also fine\n3,one,too many\n")
    path = str(here / "in.csv")
    table = CsvTable(("id", "text"), ",", (path,))
    checked = CheckedInput(path, "csv", (path,), 1, 100, columns=("id", "text"), csv=(table,))
    monkeypatch.setattr("sparkxlmr.jobs.tables.check_local", lambda *_: checked)
    assert classify("in.csv", "--output", "out") == 1
    ours = [line for line in capfd.readouterr().err.splitlines() if line.startswith("sparkxlmr: ")]
    assert len(ours) == 1
    assert "alformed" in ours[0]
    assert names(here) == {"in.csv", "model"}


def test_a_small_file_keeps_every_core_busy_and_its_order(spark, here):
    lines = [f"text number {i} " + "x" * 200 for i in range(5000)]
    for name, text in (
        ("many.txt", "\n".join(lines) + "\n"),
        ("many.csv", "text\n" + "\n".join(lines) + "\n"),
    ):
        Path(name).write_text(text)
        frame = read_table(spark, str(here / name))
        assert frame.rdd.getNumPartitions() >= 2 * spark.sparkContext.defaultParallelism
        assert [row[0] for row in frame.collect()] == lines


def test_a_json_document_over_many_lines(spark, here):
    Path("whole.json").write_text(json.dumps([{"b": 1, "text": "x"}, {"b": 2, "text": "y"}], indent=1))
    assert sorted(row["text"] for row in read_table(spark, str(here / "whole.json")).collect()) == ["x", "y"]


def physical_plan(frame) -> str:
    return frame._jdf.queryExecution().executedPlan().toString()


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_a_table_with_a_partition_for_each_core_is_not_shuffled(spark, here, kind):
    path = str(here / f"large.{kind}")
    spark.range(0, 20_000, 1, 4).selectExpr("concat('a text of number ', id) AS text").write.save(
        path, format=kind, header="true"
    )
    frame = read_table(spark, path)
    assert frame.rdd.getNumPartitions() == spark.sparkContext.defaultParallelism
    assert "Exchange" not in physical_plan(frame)


def test_a_file_of_one_row_group_is_spread_only_where_it_is_small(spark, here, monkeypatch):
    rows = pd.DataFrame({"text": [f"{i} " + os.urandom(100).hex() for i in range(5000)], "order": 1})
    rows.to_parquet("one.parquet")
    frame = read_table(spark, str(here / "one.parquet"))
    assert frame.rdd.getNumPartitions() >= 2 * spark.sparkContext.defaultParallelism
    assert frame.columns == ["text", "order"]
    assert [row["text"] for row in frame.collect()] == rows["text"].tolist()
    # Cut into many partitions, all but one empty: below that size only.
    monkeypatch.setattr("sparkxlmr.jobs.tables._LARGE_PART", 1 << 10)
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(64 << 10))
    try:
        assert "Exchange" not in physical_plan(read_table(spark, str(here / "one.parquet")))
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)


def test_columns_of_the_user_are_never_taken_for_the_job_s_own(here):
    rows = pd.DataFrame(
        {"text": ["eins"], "Document": [1], "answers": ["x"], "best": [2.5], "text_2": ["y"], "order": [3]}
    )
    rows.to_parquet("in.parquet")
    assert classify("in.parquet", "--output", "out") == 0
    written = pd.read_parquet(here / "out")
    assert list(written.columns) == [*rows.columns, "label", "score"]
    assert written[list(rows.columns)].equals(rows)


def test_the_best_of_several_answers_is_taken(spark):
    array = "array<struct<result:string,metadata:map<string,string>>>"
    frame = spark.createDataFrame(
        [
            ([("a", {"a": "0.6", "c": "0.9"}), ("b", {"c": "0.9"}), ("c", {"c": "0.9"})],),
            ([("a", {"a": "0.7"}), ("b", {"b": "0.7"})],),
            ([("a", {})],),
            ([],),
            (None,),
        ],
        f"answers {array}",
    )
    best = frame.select(job.best_answer(frame["answers"]).alias("best")).select("best.label", "best.score")
    expected = [("c", 0.9), ("a", 0.7), ("a", None), (None, None), (None, None)]
    assert [tuple(row) for row in best.collect()] == expected


def test_a_sigmoid_model_gives_its_best_label_or_none(spark, here, fixtures, capsys):
    import dataclasses

    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.presets.writer import write_preset

    source = Preset.open(fixtures / "hugging_face" / "xlmr_sequence_classification")
    task = dataclasses.replace(source.task, activation="sigmoid")
    weights = source.weights()
    kernel = weights["classifier.logits.kernel"]
    for name, bias in (("some", [1.0, 3.0, -9.0, 2.0]), ("none", [-9.0] * 4)):
        state = {
            **weights,
            "classifier.logits.kernel": kernel * 0.01,
            "classifier.logits.bias": kernel[0] * 0 + bias,
        }
        write_preset(here / name, dataclasses.replace(source.contents(), task=task, weights=state))
    assert classify("in.csv", "--output", "some.jsonl", "--model", str(here / "some")) == 0
    rows = [json.loads(line) for part in parts(here / "some.jsonl", "json") for line in part.open()]
    assert {row["label"] for row in rows if row["score"]} == {source.labels[1]}
    assert all(0.9 < row["score"] <= 1 for row in rows if row["label"])
    assert len([row for row in rows if row["label"]]) == 2
    capsys.readouterr()
    assert classify("in.csv", "--output", "none.jsonl", "--model", str(here / "none")) == 0
    counted = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if line.startswith("(no")]
    assert counted == [["(no", "text)", "2"], ["(no", "label)", "2"]]
    rows = [json.loads(line) for part in parts(here / "none.jsonl", "json") for line in part.open()]
    assert [(row["label"], row["score"]) for row in rows] == [(None, None)] * 4


def test_a_model_of_the_other_family_gives_hugging_faces_labels(here, fixtures):
    folder = fixtures / "hugging_face" / "albert_sequence_classification"
    golden = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    # tests/stages say which texts are read otherwise; here it is enough that none of them is among these
    chosen = [i for i, text in enumerate(golden["texts"]) if text.strip() and "www" not in text][:30]
    texts = [golden["texts"][i] for i in chosen]
    pd.DataFrame({"n": range(len(texts)), "text": texts}).to_parquet("in.parquet")
    assert classify("in.parquet", "--output", "out", "--model", str(folder)) == 0
    written = pd.read_parquet(here / "out").sort_values("n")
    expected = softmax(np.float32(golden["logits"])[chosen])
    names = ["negative", "neutral", "positive"]
    assert written["label"].tolist() == [names[best] for best in expected.argmax(axis=1)]
    np.testing.assert_allclose(written["score"], expected.max(axis=1), atol=1e-5)


def test_names_with_wildcards_in_them_are_names_first(spark, here):
    (here / "a1.csv").write_text("other,text\n1,a1\n")
    for name in ("a[1].csv", "a{2}.csv"):
        (here / name).write_text(f'text,n\n"{name}\nmore",1\n')
        frame = read_table(spark, str(here / name))
        assert [tuple(row) for row in frame.collect()] == [(f"{name}\nmore", "1")]
    (here / "b?.jsonl").write_text('{"text": "x", "n": 1}\n{"text": null, "n": 2.5}\n')
    (here / "bb.jsonl").write_text('{"other": 1}\n')
    rows = read_table(spark, str(here / "b?.jsonl")).collect()
    assert [row.asDict() for row in rows] == [{"text": "x", "n": 1.0}, {"text": None, "n": 2.5}]
    (here / "c[1].json").write_text(json.dumps([{"text": "x"}, {"text": "y"}], indent=1))
    assert [row["text"] for row in read_table(spark, str(here / "c[1].json")).collect()] == ["x", "y"]
    assert read_table(spark, str(here / "a?.csv")).columns == ["other", "text"]
    assert classify("a[1].csv", "--output", "out[1].csv") == 0
    (part,) = parts(here / "out[1].csv", "csv")
    assert pd.read_csv(part)["text"].tolist() == ["a[1].csv\nmore"]


def test_spark_connect_is_refused_before_anything_starts(here, monkeypatch, capsys):
    monkeypatch.setattr("sparkxlmr.spark.session.start", lambda *_, **__: pytest.fail("Spark was started"))
    assert classify("in.csv", "--output", "out", "--master", "sc://somewhere") == 1
    monkeypatch.setenv("SPARK_REMOTE", "sc://localhost:15002")
    assert classify("in.csv", "--output", "out") == 1
    assert main(["demo"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all("classic session" in line and "SPARK_REMOTE" in line for line in said)


@pytest.mark.parametrize("when", ["before the rename", "after the rename", "while counting"])
@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupt_says_whether_the_output_is_complete(here, monkeypatch, capsys, when, existing):
    (here / "out").mkdir()
    (here / "out" / "_SUCCESS").touch()
    if not existing:
        (here / "out" / "_SUCCESS").unlink()
        (here / "out").rmdir()
    real = stores.LocalStore.rename

    def rename(self, source, target):
        if not source.endswith(".unfinished"):
            return real(self, source, target)
        if when == "after the rename":
            real(self, source, target)
        raise KeyboardInterrupt

    def count(*_):
        raise KeyboardInterrupt

    if when == "while counting":
        monkeypatch.setattr(table_job, "read_written", count)
    else:
        monkeypatch.setattr(stores.LocalStore, "rename", rename)
    assert classify("in.csv", "--output", "out", "--overwrite") == 1
    said = capsys.readouterr().err
    complete = when != "before the rename"
    assert (f"Interrupted: {here / 'out'} is complete." in said) is complete
    assert ("nothing was written" in said) is not complete
    expected = {"in.csv", "model"} | ({"out"} if complete or existing else set())
    assert names(here) == expected
    if complete or existing:
        assert bool(parts(here / "out", "parquet")) is complete


def test_an_output_that_cannot_be_counted_is_complete_all_the_same(here, monkeypatch, capsys):
    def fail(*_):
        raise OSError("the network is down")

    monkeypatch.setattr(table_job, "read_written", fail)
    assert classify("in.csv", "--output", "out") == 0
    captured = capsys.readouterr()
    assert "no summary: " in captured.err
    assert "the network is down" in captured.err
    assert f"Written to {here / 'out'} (parquet)." in captured.out
    assert len(pd.read_parquet(here / "out")) == 4


@pytest.fixture(params=["local", "remote"])
def reads_as(request, monkeypatch):
    """Both checks of an input: on the driver, and through Spark as for files of another file system."""
    if request.param == "remote":
        monkeypatch.setattr("sparkxlmr.jobs.tables.is_local_file_system", lambda *_: False)
    return request.param


def test_read_table_goes_by_the_names_of_csv_columns(spark, here, reads_as):
    (here / "in").mkdir()
    (here / "in" / "a.csv").write_text("text,id\na,1\n")
    (here / "in" / "b.csv").write_text('id,text\n2,"b\nc"\n')
    (here / "in" / "empty.csv").touch()
    rows = read_table(spark, str(here / "in")).collect()
    assert sorted((row["text"], row["id"]) for row in rows) == [("a", "1"), ("b\nc", "2")]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"q.csv": b'id,text\n1,a\n2,"Hello he said\n3,fine\n'}, "q.csv, line 3: a quote is opened"),
        ({"q.csv": b'id,text\n1,"a\nb\\"c"\n'}, "q.csv, line 3: characters follow a closing quote"),
        ({"a.csv": b"id,text\n1,a\n", "b.csv": b"id,body\n1,a\n"}, "b.csv has the columns id, body"),
        ({"two.csv": b"text,Text\na,b\n"}, "two columns are named"),
        ({"l.csv": "text\na\nCafé\n".encode("latin-1")}, "l.csv, line 3: the bytes 0xe9"),
        ({"l.txt": "a\nCafé\n".encode("latin-1")}, "l.txt, line 2: the bytes 0xe9"),
        ({"r.jsonl": b'{"text":"a"}\n{"text":"b"} and more\n'}, "r.jsonl, line 2: .*and more"),
        ({"k.jsonl": b'{"text":"a","":2}\n'}, "k.jsonl, line 1: a key is empty"),
        ({"t.jsonl": b'{"text":"a","text":"b"}\n'}, "'text' is there twice"),
        ({"a.csv": b"text\na\n", "b.jsonl": b'{"text":"a"}\n'}, "several formats"),
    ],
)
def test_read_table_refuses_what_it_would_lose(spark, here, reads_as, files, problem):
    (here / "in").mkdir()
    for name, content in files.items():
        (here / "in" / name).write_bytes(content)
    with pytest.raises(InputError, match=problem.replace("(", r"\(")):
        read_table(spark, str(here / "in"))


def test_read_table_keeps_columns_of_empty_objects(spark, here, reads_as):
    rows = [{"text": "a", "meta": {}, "deep": {"x": 1, "y": [{}]}}, {"text": "b", "meta": {}, "deep": None}]
    (here / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert classify("in.jsonl", "--output", "out.jsonl") == 0
    written = [json.loads(line) for part in parts(here / "out.jsonl", "json") for line in part.open()]
    assert [{name: row[name] for name in rows[0]} for row in written] == rows


def test_read_table_merges_parquet_columns_and_keeps_nanoseconds(spark, here, reads_as):
    (here / "in").mkdir()
    when = pd.to_datetime(["2024-01-01 12:34:56.789123"]).astype("datetime64[ns]")
    pd.DataFrame({"text": ["a"], "when": when}).to_parquet(here / "in" / "a.parquet")
    pd.DataFrame({"text": ["b"], "b": [2.5], "at": when.tz_localize("UTC")}).to_parquet(
        here / "in" / "b.parquet"
    )
    frame = read_table(spark, str(here / "in"))
    kinds = dict(frame.dtypes)
    assert kinds == {"text": "string", "when": "timestamp_ntz", "b": "double", "at": "timestamp"}
    rows = sorted(frame.selectExpr("text", "string(when)", "b", "unix_micros(at)").collect())
    assert [tuple(row) for row in rows] == [
        ("a", "2024-01-01 12:34:56.789123", None, None),
        ("b", None, 2.5, when[0].value // 1000),
    ]


def test_read_table_copies_what_spark_cannot_open(spark, here):
    import pyarrow as pa
    import pyarrow.parquet as pq

    half = pa.array([np.float16(1.5), None], pa.float16())
    pq.write_table(pa.table({"text": ["a", "b"], "half": half}), here / "half.parquet")
    assert [tuple(row) for row in read_table(spark, str(here / "half.parquet")).collect()] == [
        ("a", 1.5),
        ("b", None),
    ]
    (here / "10:00.csv").write_text("text\nfirst\n")
    (here / "_b.csv").write_text("text\nsecond\n")
    (here / "u.csv").write_bytes("text\ndritté\n".encode("utf-16"))
    found = [read_table(spark, str(here / name)).collect() for name in ("10:00.csv", "_b.csv", "u.csv")]
    assert [[row["text"] for row in rows] for rows in found] == [["first"], ["second"], ["dritté"]]


def test_read_table_reads_folders_within_folders(spark, here, reads_as):
    for name in ("in/a.csv", "in/more/b.csv"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(f"text\n{name}\n")
    found = read_table(spark, str(here / "in")).collect()
    assert sorted(row["text"] for row in found) == ["in/a.csv", "in/more/b.csv"]


def test_a_colon_in_the_output_s_name(here):
    assert classify("in.csv", "--output", "out 10:00.csv") == 0
    assert len(pd.concat(map(pd.read_csv, parts(here / "out 10:00.csv", "csv")))) == 4
    assert names(here) == {"in.csv", "model", "out 10:00.csv"}


@pytest.mark.parametrize(("suffix", "content"), [("csv", "text\na\n"), ("jsonl", '{"text": "a"}\n')])
def test_read_table_keeps_the_values_of_folders_as_they_are(spark, here, reads_as, suffix, content):
    for code in ("007", "1e3"):
        (here / "in" / f"code={code}").mkdir(parents=True)
        (here / "in" / f"code={code}" / f"a.{suffix}").write_text(content)
    rows = read_table(spark, str(here / "in")).collect()
    assert sorted(tuple(row) for row in rows) == [("a", "007"), ("a", "1e3")]


def test_a_pipe_and_the_standard_input_are_read(here, monkeypatch):
    os.mkfifo(here / "pipe")
    content = (here / "in.csv").read_bytes()
    threading.Thread(target=(here / "pipe").write_bytes, args=(content,), daemon=True).start()
    assert classify("pipe", "--output", "from_pipe.csv", "--input-format", "csv") == 0
    with (here / "in.csv").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        command = ["classify", "-", "--input-format", "csv", "--output", str(here / "from_stdin.csv")]
        assert main([*command, "--model", "model"]) == 0
    for name in ("from_pipe.csv", "from_stdin.csv"):
        assert len(pd.concat(map(pd.read_csv, parts(here / name, "csv")))) == 4
