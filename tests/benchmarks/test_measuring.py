"""Useful work, memory, texts and records, as all benchmarks have them."""

from __future__ import annotations

import doctest
import importlib
import mmap
import os
from pathlib import Path

import measuring
import numpy as np
import pytest
import texts

MIB = 1024**2


@pytest.mark.parametrize("name", ["measuring", "texts", "pictures"])
def test_what_the_docstrings_say(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(("length", "places"), [(7, 1), (12, 3)])
def test_useful_operations_are_those_of_the_products_written_out(length: int, places: int) -> None:
    """Every product of a small encoder, its cost taken from the shapes that numpy multiplies."""
    hidden, inner, outputs = 8, 20, 11
    counted = 0

    def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        nonlocal counted
        counted += 2 * left.shape[0] * left.shape[1] * right.shape[1]
        return left @ right

    def layer(x: np.ndarray, rows: int) -> np.ndarray:
        """All heads as one: their products cost the same together."""
        wanted = x[:rows]
        query = product(wanted, np.ones((hidden, hidden)))
        key, value = product(x, np.ones((hidden, hidden))), product(x, np.ones((hidden, hidden)))
        mixed = product(product(query, key.T), value)
        out = product(mixed, np.ones((hidden, hidden)))
        return product(product(out, np.ones((hidden, inner))), np.ones((inner, hidden)))

    x = np.zeros((length, hidden))
    for _ in range(2):
        x = layer(x, length)
    x = layer(x, places)
    product(product(x, np.ones((hidden, hidden))), np.ones((hidden, outputs)))
    encoder = measuring.Encoder(layers=3, hidden=hidden, intermediate=inner, outputs=outputs)
    assert measuring.useful_operations(encoder, [length], [places]) == counted


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux' account of memory")
def test_what_a_process_allocates_is_private_and_what_it_maps_is_shared(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(os.urandom(32 * MIB))
    before = measuring.memory_of(os.getpid())
    own = np.ones(48 * MIB, np.uint8)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert (
            len(bytes(memoryview(mapped)[:: mmap.PAGESIZE])) == 32 * MIB // mmap.PAGESIZE
        )  # touch each page
        after = measuring.memory_of(os.getpid())
    assert before is not None
    assert after is not None
    assert abs(after.private - before.private - own.nbytes) < 8 * MIB
    assert abs(after.shared - before.shared - 32 * MIB) < 8 * MIB
    assert after.peak >= after.private + after.shared - 8 * MIB
    assert measuring.memory_of(2**30) is None


def test_generated_texts_where_ag_news_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AG_NEWS", str(tmp_path))
    made = texts.benchmark_texts(30, masks=True)
    assert made.source == texts.GENERATED
    assert all(text.count(texts.MASK) == 1 for text in made.texts)
    (tmp_path / "validation.csv").write_text(
        '"label","title","description"\n"a","T","one two"\n"b","T","one two"\n"b","U","three, four"\n'
    )
    found = texts.benchmark_texts(2)
    assert (found.source, found.texts) == (texts.AG_NEWS, ["T one two", "U three, four"])
    rows = texts.read_texts(found.write(tmp_path / "texts.jsonl"))
    assert [row["text"] for row in rows] == found.texts
    assert texts.benchmark_texts(9).source == texts.GENERATED, "too few of them"


def test_records_are_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results" / "some.jsonl"
    measuring.write_records(file, [{"what": "a"}])
    measuring.write_records(file, [{"what": "b"}], append=True)
    assert measuring.read_records(file) == [{"what": "a"}, {"what": "b"}]
    assert capsys.readouterr().out.splitlines() == file.read_text().splitlines()
    with pytest.raises(ValueError, match="as many"):
        measuring.agreement(["a"], [])
