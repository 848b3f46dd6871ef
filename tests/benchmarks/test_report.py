"""The page says what the records say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import goals
import pictures
import pytest
import report
from measuring import write_records

GB = 10**9


def line(what: str, contestant: str, seconds: float, ratio: float, **facts: Any) -> dict[str, Any]:
    worker = {"private": int(0.4 * GB), "shared": GB, "peak": 2 * GB}
    return {
        "what": what,
        "contestant": contestant,
        "settings": {"batch": 32},
        "task": "classify",
        "form": "pipeline",
        "machine": "A processor, 2 cores",
        "arithmetic": ["avx512_bf16"],
        "threads": 2,
        "texts": "made up",
        "documents": 96,
        "tokens": 9600,
        "most_tokens": 128,
        "seconds": seconds,
        "spread_seconds": [seconds / 2, seconds * 2],
        "documents_per_second": 96 / seconds,
        "useful_gflops": 1500 / seconds,
        "memory": {"workers": [worker, worker], "jvm": [], "process": []},
        "label_agreement": 0.9896,
        "ratio": ratio,
        **facts,
    }


@pytest.fixture
def records() -> list[dict[str, Any]]:
    small = {"workers": [{"private": GB // 10, "shared": 0, "peak": 0}] * 2}
    by_length = {"batch": 8, "by_length": True}
    return [
        line("HF", "hugging_face", 12.0, 1.0, precision="float32"),
        line("HF", "hugging_face", 8.0, 1.5, best=True, settings=by_length),
        line("ours, float32", "ours", 6.0, 2.0, engine="openvino", precision="float32"),
        line("ours, int8 a", "ours", 3.0, 4.0, engine="openvino", precision="int8"),
        line("ours, int8 b", "ours", 2.0, 6.0, engine="openvino", precision="int8"),
        line("ours, bfloat16", "ours", 4.0, 3.0, engine="openvino", precision="bfloat16"),
        *(
            line(
                f"ours, {of}",
                "ours",
                6.0,
                ratio,
                engine="openvino",
                precision=of,
                form=form,
                spread_ratio=[0.9, 0.99],
            )
            for of, found in (("float32", 0.96), ("bfloat16", 0.94))
            for form, ratio in (("engine", 1.0), ("beside engine", found))
        ),
        line("Spark NLP", "spark_nlp", 24.0, 0.5, memory={"workers": []}),
        line("bare", "bare_worker", 0.1, 1.0, form=None, axis="workers", at=2, memory=small),
        *(line("ours", "ours", 6.0, 1.0, form=None, axis="workers", at=at) for at in (2, 4)),
        line("HF", "hugging_face", 6.0, 1.0, form=None, axis="rows", at=25),
        line("masks", "ours", 1.0, 9.0, engine="openvino", precision="auto", task="fill-mask"),
    ]


def test_goals_are_held_against_what_was_measured(records: list[dict[str, Any]]) -> None:
    found = {goal.what: (goal.found, goal.wanted, goal.met) for goal in goals.of_run(records)}
    assert found == {
        "ours, float32, to Hugging Face as people write it": (2.0, 1.5, True),
        "ours, float32, to Hugging Face at its best": (pytest.approx(4 / 3), 1.2, True),
        "ours, bfloat16, to Hugging Face as people write it": (3.0, 3.0, True),
        "ours, bfloat16, to Hugging Face at its best": (2.0, 2.4, False),
        # Of int8's two forms the quicker one.
        "ours, int8 b, to Hugging Face as people write it": (6.0, 5.0, True),
        "ours, int8 b, to Hugging Face at its best": (4.0, 4.0, True),
        "ours, int8 b, to Spark NLP": (12.0, 10.0, True),
        "masks, masks, to Hugging Face": (9.0, 8.0, True),
        "ours, float32, whole pipeline to bare engine": (0.96, 0.95, True),
        "ours, bfloat16, whole pipeline to bare engine": (0.94, 0.95, False),
        "ours, bfloat16, private GB of a worker above a bare one": (pytest.approx(0.3), 0.4, True),
    }
    row = report.goal_table(goals.of_run(records)).splitlines()[-2]
    assert row == "| ours, bfloat16, whole pipeline to bare engine | 0.94 | at least 0.95 | **missed** |"


def test_goals_of_other_scripts_are_read_from_their_records(tmp_path: Path) -> None:
    assert goals.of_other_scripts(tmp_path) == []
    write_records(
        tmp_path / "engine_rate.jsonl",
        [
            {"what": "workers of a host", "precision": "bfloat16", "first_label_seconds": [1.9, 1.1]},
            {"what": "bare engine", "precision": "bfloat16", "threads": 1, "to_matmul": 0.94},
            {"what": "bare engine", "precision": "float32", "threads": 1, "to_matmul": 0.9},
        ],
    )
    rows = [
        {"documents": n, "microseconds_a_document": cost, "peak_memory": {"jvm": GB, "workers": peak}}
        for n, cost, peak in ((10_000, 100.0, GB), (1_000_000, 120.0, int(1.1 * GB)))
    ]
    write_records(tmp_path / "language_id_scale.jsonl", rows)
    found = goals.of_other_scripts(tmp_path)
    assert [goal.met for goal in found] == [True, False, False, False, True]
    assert [goal.found for goal in found[-2:]] == pytest.approx([1.2, 1.05])


def test_everyone_stands_side_by_side_the_quickest_first(records: list[dict[str, Any]]) -> None:
    rows = [row.strip("| ").split(" | ") for row in report.side_by_side(records).splitlines()[2:]]
    assert [row[0] for row in rows[:6]] == [
        "ours, int8 b", "ours, int8 a", "ours, bfloat16", "ours, float32", "HF", "Spark NLP",
    ]  # fmt: skip
    assert rows[4][1:] == [
        "8.0", "96", "12.00 (6.00 to 24.00)", "1.00", "1.50 (batch 8, sorted)", "125", "0.30", "99.0 %",
    ]  # fmt: skip
    assert rows[5][6:] == ["62", "", "99.0 %"], "Spark NLP computes in the JVM: it has no workers"


def test_pictures_are_drawn_of_what_was_measured(records: list[dict[str, Any]], tmp_path: Path) -> None:
    report.draw(records, tmp_path)
    shown = report.drawn(records)
    assert sorted(shown) == sorted(file.name for file in tmp_path.iterdir())
    assert "benchmark_length.png" not in shown
    text = report.page(records)
    assert all(f"(images/{name})" in text for name in shown)
    again = tmp_path / "again"
    report.draw(records, again)
    assert all((tmp_path / name).read_bytes() == (again / name).read_bytes() for name in shown)


def test_what_workers_share_counts_once_a_host(records: list[dict[str, Any]]) -> None:
    assert pictures.host_bytes(records[0]["memory"]) == 2 * int(0.4 * GB) + GB


def test_no_records_no_page(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no records"):
        report.read(tmp_path / "nothing.jsonl")
