"""`sparkxlmr fill-mask`: what it writes. What it shares with `classify` is tested there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from sparkxlmr.cli import main
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.mask_filler import MaskFiller

CSV = 'id,text\n1,"a <mask>, two"\n2,none\n3,\n4,<mask> and <mask>\n'


@pytest.fixture
def here(tmp_path, fixtures) -> Path:
    (tmp_path / "in.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "model").symlink_to(fixtures / "hugging_face" / "xlmr_masked_lm")
    return tmp_path


def fill_mask(here: Path, output: str, *more: str) -> int:
    paths = [str(here / "in.csv"), "--output", str(here / output), "--model", str(here / "model")]
    return main(["fill-mask", *paths, *more])


def traced_rows() -> int:
    lines = [line for file in Path(os.environ["SPARKXLMR_TRACE"]).glob("*.jsonl") for line in file.open()]
    return sum(event["rows"] for event in map(json.loads, lines) if event["event"] == "score")


def test_a_row_for_each_token_of_each_mask(here, capsys):
    before = traced_rows()
    assert fill_mask(here, "out", "--top-k", "2") == 0
    written = pd.read_parquet(here / "out")
    assert list(written.columns) == ["id", "text", "mask", "rank", "token", "score", "filled"]
    filler = MaskFiller(bundle_for(Preset.open(here / "model"), "openvino"), threads=1)
    expected = []
    for row, text in ((1, "a <mask>, two"), (4, "<mask> and <mask>")):
        for mask, answer in enumerate(filler.fill([text], 128, 2)[0]):
            for rank, one in enumerate(answer.filled, 1):
                expected.append((str(row), mask, rank, one.token, one.text))
    found = written[written["mask"].notna()]
    assert found[["id", "mask", "rank", "token", "filled"]].values.tolist() == [list(row) for row in expected]
    assert found["score"].between(0, 1, inclusive="neither").all()
    empty = written[written["mask"].isna()]
    assert empty["id"].tolist() == ["2", "3"]
    assert empty[["rank", "token", "score", "filled"]].isna().all(axis=None)
    said = capsys.readouterr().out
    assert "3 masks in" in said
    assert "best token" in said
    # Each row was read once, the summary included.
    assert traced_rows() - before == 4


def test_names_and_tokens_can_be_chosen(here, capsys):
    assert fill_mask(here, "out.csv", "--targets", "a", "und", "--prefix", "p_") == 0
    parts = [pd.read_csv(part) for part in (here / "out.csv").glob("part-*.csv")]
    written = pd.concat(parts)
    assert list(written.columns) == ["id", "text", "p_mask", "p_rank", "p_token", "p_score", "p_filled"]
    assert set(written["p_token"].dropna()) <= {"a", "und"}
    assert len(written) == 5
    capsys.readouterr()
    (here / "in.csv").write_text("text,token\nx <mask>,y\n")
    assert fill_mask(here, "other") == 2
    assert "--prefix" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--targets", "no such token"], "no such token"),
        (["--top-k", "0"], "topK is 0"),
        (["--model", "{fixtures}/hugging_face/albert_sequence_classification"], "masked language model"),
    ],
)
def test_wrong_use_is_one_line_and_nothing_is_written(here, fixtures, capsys, more, said):
    assert fill_mask(here, "out", *[word.format(fixtures=fixtures) for word in more]) == 2
    ours = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sparkxlmr: ")]
    assert len(ours) == 1
    assert said in ours[0]
    assert not (here / "out").exists()


def test_the_model_of_another_family_is_run_by_its_stage(here, fixtures):
    (here / "in.csv").write_text("text\nthe [MASK] is\n")
    model = fixtures / "hugging_face" / "albert_masked_lm"
    assert fill_mask(here, "out", "--model", str(model)) == 0
    assert pd.read_parquet(here / "out")["token"].notna().tolist() == [True]
