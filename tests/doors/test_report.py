"""What is printed lines up, whatever the script."""

from __future__ import annotations

import io
import sys

from rich.cells import cell_len

from sparkxlmr.jobs import report

ROWS = [
    ("Guten\tTag,\nwelt\x00!", "deu_Latn", 0.5),
    ("مرحبا بالعالم", "arb_Arab", 0.987),
    ("日本語" * 100, "jpn_Jpan", 1.0),
    ("می‌خواهم", "pes_Arab", 0.25),
    (None, None, None),
    ("", None, None),
]


def test_texts_stand_in_one_column_and_fit_the_line(capsys):
    report.print_texts(ROWS)
    title, rule, *lines = capsys.readouterr().out.splitlines()
    place = title.index("text")
    assert set(rule) == {"-"}
    assert len(lines) == len(ROWS)
    assert all(cell_len(line) <= 120 for line in lines)
    assert lines[0][place:] == "Guten Tag, welt !"
    assert lines[1][place:] == "مرحبا بالعالم"
    assert lines[2].endswith("…")
    assert lines[3][place:] == "می‌خواهم"
    assert lines[4][place:] == "(null)"
    assert lines[4].startswith("(no text)")
    assert [line[place - 7 : place - 2].strip() for line in lines] == ["0.50", "0.99", "1.00", "0.25", "", ""]


def test_the_summary_counts_and_draws_shares(capsys):
    report.print_summary(20_000, 40.0, [("eng_Latn", 15_000), ("日本", 4000), (None, 1000)], without_text=400)
    said = capsys.readouterr().out
    assert said.startswith("20,000 documents in 40.0 s, the start of Spark and loading included: 500 doc")
    assert "75.0 %" in said
    bars = [line.count("█") for line in said.splitlines() if "█" in line]
    assert bars == [24, 6, 1, 1]
    assert [line.split("  ")[0] for line in said.splitlines()[2:]] == [
        "eng_Latn",
        "日本",
        "(no label)",
        "(no text)",
    ]


def test_summary_of_a_small_input_has_no_rate(capsys):
    report.print_summary(9999, 0.5, [("eng_Latn", 9999)])
    assert "a second" not in capsys.readouterr().out


def test_print_summary_zero_seconds_has_no_rate(capsys):
    report.print_summary(20_000, 0.0, [("eng_Latn", 20_000)])
    assert "a second" not in capsys.readouterr().out


def test_summary_on_an_ascii_console_draws_ascii_bars(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    report.print_summary(4, 1.0, [("a", 4)])
    stream.flush()
    assert b"####" in stream.buffer.getvalue()


def test_texts_without_a_label_are_told_from_missing_texts(capsys):
    report.print_texts([("a text", None, None), (" ", None, None), (None, None, None)])
    labels = [line.partition(")")[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert labels == ["(no label", "(no text", "(no text"]


def test_a_summary_of_nothing(capsys):
    report.print_summary(0, 0.0, [])
    assert capsys.readouterr().out.startswith("0 documents")
