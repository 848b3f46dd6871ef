"""Input on this machine: what is found, how it is read, what is copied for Spark and what is refused."""

from __future__ import annotations

import bz2
import datetime
import gzip
import io
import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.jobs import local_input
from sparkxlmr.jobs.local_files import find_files, local_path
from sparkxlmr.jobs.local_input import check_local
from sparkxlmr.jobs.local_texts import read_texts


@pytest.fixture
def write(tmp_path):
    def to(name: str, content: bytes | str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return to


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", b"text\nCaf\xc3\xa9\n"),
        ("crlf.csv", b'text\r\n"Caf\xc3\xa9"'),
        ("packed.csv.gz", gzip.compress(b"text\nCaf\xc3\xa9\n")),
        ("packed.csv.bz2", bz2.compress(b"text\nCaf\xc3\xa9\n")),
        ("lines.jsonl", b'{"text": "Caf\\u00e9"}\n\n'),
    ],
)
def test_files_that_spark_reads_as_they_are_are_not_copied(write, name, content):
    path = write(name, content)
    checked = check_local(path)
    assert (checked.paths, checked.files, checked.columns) == ((path,), (path,), ("text",))
    assert read_texts(path).texts == ["Café"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("utf16.csv", "text\nCafé\n".encode("utf-16")),
        ("utf32.csv", "text\nCafé\n".encode("utf-32")),
        ("misnamed.csv", gzip.compress(b"text\nCaf\xc3\xa9\n")),
        ("misnamed.csv.gz", b"text\nCaf\xc3\xa9\n"),
        ("mixed_line_ends.csv", b"text\r\nCaf\xc3\xa9\n\r\n"),
        ("array.json", b'[\n{"text": "Caf\xc3\xa9"}\n]'),
        ("document.json", b'{\n"text": "Caf\xc3\xa9"\n}\n'),
        ("_hidden.csv", b"text\nCaf\xc3\xa9\n"),
        ("10:00.csv", b"text\nCaf\xc3\xa9\n"),
    ],
)
def test_files_that_spark_cannot_read_are_copied_or_linked(write, tmp_path, name, content):
    path = write(name, content)
    checked = check_local(path)
    (copy,) = checked.files
    assert not copy.startswith(str(tmp_path))
    assert ":" not in copy
    assert not Path(copy).name.startswith("_")
    assert Path(copy).read_text(encoding="utf-8").rstrip(' "}\n').endswith("Café")
    assert checked.sources == (path,)
    assert read_texts(path).texts == ["Café"]


def test_zstd_is_decompressed(write):
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(b"text\none\n")
    assert read_texts(write("packed.csv.zst", packed.getvalue().to_pybytes())).texts == ["one"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("latin.csv", "text\nCafé\n".encode("latin-1"), "line 2: the bytes 0xe9 are no UTF-8"),
        ("utf16.csv", "text\nOil\n".encode("utf-16-le"), "--encoding utf-16-le"),
        ("cut.csv.gz", gzip.compress(os.urandom(5000))[:-30], "cannot be decompressed"),
        ("cut.csv.bz2", bz2.compress(b"text\n" * 5000)[:-10], "cannot be decompressed"),
        ("book.csv", b"PK\x03\x04rest", "book.csv: the file is a ZIP archive"),
        ("table.csv", b"PAR1rest", "--input-format parquet"),
        ("void.csv", b"", "no readable schema"),
        ("void.jsonl", b"\n", "no readable schema"),
        ("ragged.csv", b"a,b\n1,2\n1\n", "ragged.csv, line 3: 1 fields"),
    ],
)
def test_files_that_would_lose_data_are_refused(write, name, content, problem):
    with pytest.raises(InputError, match=problem):
        check_local(write(name, content))


def test_the_encoding_asked_for_is_used(write):
    path = write("latin.csv", "text\nCafé\n".encode("latin-1"))
    assert read_texts(path, encoding="latin-1").texts == ["Café"]
    with pytest.raises(SettingError, match="'rot13'"):
        check_local(path, encoding="rot13")
    with pytest.raises(InputError, match="no ascii"):
        check_local(path, encoding="ascii")


def test_csv_files_are_grouped_by_their_header(write, tmp_path):
    a, b, c = (write(f"in/{n}.csv", t) for n, t in zip("abc", ("t,i\n", "i,t\n", "t,i\n"), strict=True))
    checked = check_local(str(tmp_path / "in"))
    assert [(table.names, table.paths) for table in checked.csv] == [(("t", "i"), (a, c)), (("i", "t"), (b,))]
    assert checked.columns == ("t", "i")


def test_folders_within_folders(write, tmp_path):
    write("in/a.csv", "text\n")
    write("in/more/b.csv", "text\n")
    assert check_local(str(tmp_path / "in")).recursive
    write("days/day=1/a.csv", "text\n")
    checked = check_local(str(tmp_path / "days"))
    assert (checked.recursive, checked.columns) == (False, ("text", "day"))
    write("days/b.csv", "text\n")
    with pytest.raises(InputError, match="key=value"):
        check_local(str(tmp_path / "days"))


def test_hidden_files_of_a_folder_are_named(write, tmp_path, caplog):
    write("in/a.csv", "text\n")
    write("in/_b.csv", "text\n")
    write("in/_SUCCESS", "")
    assert check_local(str(tmp_path / "in")).n_files == 1
    assert "_b.csv left out" in caplog.text
    assert "_SUCCESS" not in caplog.text
    write("hidden/_b.csv", "text\n")
    with pytest.raises(InputError, match=r"_b\.csv begin with _"):
        check_local(str(tmp_path / "hidden"))


def test_patterns(write, tmp_path):
    a, b, literal = (write(name, "text\n") for name in ("a1.csv", "b.csv", "a[1].csv"))
    assert check_local(str(tmp_path / "{a1,b,none}.csv")).files == (a, b)
    assert check_local(str(tmp_path / "?.csv")).files == (b,)
    assert check_local(literal).files == (literal,)
    with pytest.raises(InputError, match="no file or folder"):
        check_local(str(tmp_path / "x*.csv"))


def test_a_pipe_is_read_once(write, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    content = gzip.compress(b"text\nfrom a pipe\n")
    thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True)
    thread.start()
    checked = check_local(str(tmp_path / "pipe"), "csv")
    thread.join(10)
    assert gzip.decompress(Path(checked.files[0]).read_bytes()) == b"text\nfrom a pipe\n"
    assert checked.files[0].endswith(".csv.gz")


def test_the_standard_input_is_read(write, monkeypatch):
    with open(write("in", 'id,text\n1,"open\n'), "rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        with pytest.raises(InputError, match=r"^-, line 2: a quote is opened"):
            check_local("-", "csv")


def test_a_stream_without_a_format_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"x",), daemon=True).start()
    with pytest.raises(InputError, match="--input-format"):
        check_local(str(tmp_path / "pipe"))


def test_a_full_disk_is_no_fault_of_the_input(write, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = write("array.json", '[{"text": "a"}]')
    monkeypatch.setattr(local_input, "_copy_text", full)
    with pytest.raises(InputError, match=r"No space left on device.*set TMPDIR"):
        check_local(path)


def test_parquet_columns_that_spark_lacks_are_converted(tmp_path):
    moment = pa.array([[1_000]], pa.list_(pa.timestamp("ns")))
    table = {
        "text": ["a"],
        "half": pa.array([1.5], pa.float16()),
        "time": pa.array([datetime.time(1, 2, 3)]),
        "moments": moment,
        "when": pa.array([1], pa.timestamp("ns", "UTC")),
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    checked = check_local(str(tmp_path / "a.parquet"))
    assert dict(checked.nanoseconds) == {"when": True}
    copy = pq.read_table(checked.files[0])
    assert [str(kind) for kind in copy.schema.types[1:4]] == [
        "float",
        "string",
        "list<element: timestamp[us]>",
    ]
    assert copy["time"].to_pylist() == ["01:02:03.000000"]
    table["moments"] = pa.array([[1]], pa.list_(pa.timestamp("ns")))
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="cannot be converted"):
        check_local(str(tmp_path / "b.parquet"))


def test_a_column_of_nulls_has_the_type_of_the_other_files(tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": ["a"], "note": pa.nulls(1)}), tmp_path / "in" / "a.parquet")
    pq.write_table(pa.table({"text": ["b"], "note": ["x"]}), tmp_path / "in" / "b.parquet")
    checked = check_local(str(tmp_path / "in"))
    assert [str(pq.read_schema(file).field("note").type) for file in checked.files] == ["string", "string"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("file:///a/b.csv", "/a/b.csv"),
        ("file:/a/b.csv", "/a/b.csv"),
        ("a:b.csv", "a:b.csv"),
        ("s3a://bucket/a.csv", None),
        ("dbfs:/a.csv", None),
        ("-", "-"),
    ],
)
def test_local_path(path, expected):
    assert local_path(path) == expected


def test_find_files_names_what_may_not_be_read(tmp_path, monkeypatch):
    def refuse(folder, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr(os, "walk", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        find_files(str(tmp_path))


def test_find_files_takes_devices_for_streams():
    assert find_files("/dev/stdin").streams
    assert find_files("-").streams


def _write_int96(path: Path, more: pa.Table | None = None) -> None:
    instants = pa.array([0, 1_500_000], pa.timestamp("us", "UTC"))
    nested = pa.StructArray.from_arrays([instants], ["at"])
    table = pa.table({"text": ["one", "two"], "at": instants, "event": nested})
    for name in more.column_names if more is not None else ():
        table = table.append_column(name, more[name])
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)


def test_check_local_int96_timestamps_are_not_nanoseconds(tmp_path):
    path = tmp_path / "spark.parquet"
    _write_int96(path)
    assert pq.ParquetFile(path).schema.column(1).physical_type == "INT96"
    checked = check_local(str(path))
    assert (dict(checked.nanoseconds), checked.files) == ({}, (str(path),))


def test_check_local_copies_int96_timestamps_as_instants(tmp_path):
    path = tmp_path / "spark.parquet"
    _write_int96(path, pa.table({"score": pa.array([0.5, 1.5], pa.float16())}))
    checked = check_local(str(path))
    (copy,) = checked.files
    found = pq.read_table(copy)
    assert copy != str(path)
    assert not checked.nanoseconds
    instants = pa.timestamp("us", "UTC")
    assert found.schema.field("at").type == instants
    assert found.schema.field("event").type == pa.struct([("at", instants)])
    assert found["at"].cast(pa.int64()).to_pylist() == [0, 1_500_000]


@pytest.mark.parametrize(
    "kind",
    [
        pa.map_(pa.string(), pa.int64()),
        pa.list_(pa.field("item", pa.int64(), nullable=False)),
        pa.large_list(pa.int64()),
        pa.list_(pa.int64(), 2),
        pa.struct([pa.field("a", pa.map_(pa.string(), pa.list_(pa.int64())), nullable=False)]),
    ],
)
def test_check_local_nested_columns_that_spark_reads_are_not_copied(tmp_path, kind):
    path = tmp_path / "nested.parquet"
    schema = pa.schema([("text", pa.string()), ("extra", kind)])
    pq.write_table(schema.empty_table(), path)
    assert check_local(str(path)).files == (str(path),)


def test_check_local_copies_of_nested_columns_keep_names_and_nullability(tmp_path):
    path = tmp_path / "nested.parquet"
    inner = pa.list_(pa.field("element", pa.float16(), nullable=False))
    table = pa.table({"text": ["one"], "extra": pa.array([[1.5]], inner)})
    pq.write_table(table, path, use_compliant_nested_type=False)
    (copy,) = check_local(str(path)).files
    found = pq.read_table(copy)
    assert found.schema.field("extra").type.value_field.equals(pa.field("element", pa.float32(), False))
    assert found["extra"].to_pylist() == [[1.5]]


def test_check_local_copies_of_partitions_keep_the_value(write, tmp_path):
    write("in/at=10:00/a.csv", "text\none\n")
    (copy,) = check_local(str(tmp_path / "in")).files
    assert Path(copy).parent.name == "at=10%3A00"


def test_check_local_copies_of_csv_keep_quotes(write):
    text = 'text,note\r\n"",\r\n\r\nsay "x, ""\r\n"a ""b""\r\nc",5" pipe\r\n,"d"'
    (copy,) = check_local(write("wide.csv", text.encode("utf-16"))).files
    assert Path(copy).read_bytes().decode() == text
    (copy,) = check_local(write("mixed.csv", f"{text}\n1,2\n")).files
    rows = 'text,note\n"",\nsay "x, ""\n"a ""b""\r\nc",5" pipe\n,"d"\n1,2\n'
    assert Path(copy).read_bytes().decode() == rows
