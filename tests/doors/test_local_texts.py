"""Files of texts that are read without Spark."""

from __future__ import annotations

import gzip
import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.jobs.local_texts import read_texts

CSV = 'label,title,text\nA,One," a ""text"", of\ntwo lines "\nB,,\nC,Three,another\n'
TEXTS, LABELS = ['a "text", of\ntwo lines', "another"], ["A", "C"]


def test_every_format_says_the_same(tmp_path):
    rows = [{"label": k, "text": text} for k, text in zip("AC", TEXTS, strict=True)]
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (tmp_path / "c.jsonl").write_text('{"label": "A", "text": "a \\"text\\", of\\ntwo lines"}\n\n'
                                      '{"label": "C", "text": "another"}\n')  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    for name in ("a.csv", "b.csv.gz", "c.jsonl", "d.parquet"):
        found = read_texts(str(tmp_path / name), label="label")
        assert (found.texts, found.labels, found.name) == (TEXTS, LABELS, name)
        assert found.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert read_texts(str(tmp_path / "a.csv"), ["title", "text"], rows=1).texts == [f"One {TEXTS[0]}"]
    (tmp_path / "e.txt").write_text("one\n\n two\n")
    assert read_texts(str(tmp_path / "e.txt")).texts == ["one", "two"]
    assert read_texts(str(tmp_path / "e.txt")).labels is None


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "a.jsonl").write_text("[1]\n")
    (tmp_path / "a.parquet").write_text("none")
    (tmp_path / "a.bin").write_text("none")
    (tmp_path / "empty.csv").write_text("text\n \n")
    for name, said in (
        ("a.jsonl", "line 1: 1 where an object is expected"),
        ("a.parquet", "cannot be read as parquet"),
        ("a.bin", "does not say what format"),
        ("none.csv", "no file"),
        ("empty.csv", "holds no text"),
    ):
        with pytest.raises(InputError, match=said):
            read_texts(str(tmp_path / name))
    with pytest.raises(InputError, match=r"no column 'else'.*label, title, text"):
        read_texts(str(tmp_path / "a.csv"), ["else"])
    with pytest.raises(SettingError, match="--rows is 0"):
        read_texts(str(tmp_path / "a.csv"), rows=0)


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("long.csv", b'text\n"' + b"word " * 40_000 + b'"\nx\n', [("word " * 40_000).strip(), "x"]),
        ("array.json", b'[{"text": "a"}, {"text": "b"}]', ["a", "b"]),
        ("semicolon.csv", b"id;text\n1;a, b\n", ["a, b"]),
        ("utf16.csv", "text\né\n".encode("utf-16"), ["é"]),
        ("document.json", b'{\n"text": "a"\n}\n{\n"text": "b"\n}\n', ["a", "b"]),
    ],
)
def test_read_texts_reads_what_classify_reads(tmp_path, name, content, texts):
    (tmp_path / name).write_bytes(content)
    found = read_texts(str(tmp_path / name))
    assert found.texts == texts
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("two.csv", b"text,text\na,b\n", "line 1: two columns are named"),
        ("open.tsv", b'text\tid\n"a\t1\nb\t2\n', "line 2: a quote is opened"),
        ("latin.txt", "a\nCafé\n".encode("latin-1"), "line 2: the bytes 0xe9 are no UTF-8"),
    ],
)
def test_read_texts_refuses_what_classify_refuses(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_texts(str(tmp_path / name))


def test_read_texts_with_an_encoding(tmp_path):
    (tmp_path / "latin.txt").write_bytes("Café\n".encode("latin-1"))
    assert read_texts(str(tmp_path / "latin.txt"), encoding="latin-1").texts == ["Café"]
