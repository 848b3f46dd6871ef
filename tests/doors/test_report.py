"""What is printed lines up, whatever the script."""

from __future__ import annotations

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
    report.print_summary(2000, 4.0, [("eng_Latn", 1500), ("日本", 400), (None, 100)])
    said = capsys.readouterr().out
    assert "2,000 documents in 4.0 s, loading included: 500 documents a second." in said
    assert "75.0 %" in said
    assert "(no text)" in said
    bars = [line.count("█") for line in said.splitlines() if "█" in line]
    assert bars == [24, 6, 2]


def test_a_summary_of_nothing(capsys):
    report.print_summary(0, 0.0, [])
    assert capsys.readouterr().out.startswith("0 documents")
