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
        ("a.jsonl", "no object"),
        ("a.parquet", "cannot be read as parquet"),
        ("a.bin", "unknown format"),
        ("none.csv", "no file"),
        ("empty.csv", "holds no text"),
    ):
        with pytest.raises(InputError, match=said):
            read_texts(str(tmp_path / name))
    with pytest.raises(InputError, match=r"no column 'else'.*label, title, text"):
        read_texts(str(tmp_path / "a.csv"), ["else"])
    with pytest.raises(SettingError, match="--rows is 0"):
        read_texts(str(tmp_path / "a.csv"), rows=0)
