"""Rows of CSV and documents of JSON, read exactly or refused with their line."""

from __future__ import annotations

import csv
import io
import json
import random

import pytest

from sparkxlmr.jobs.records import (
    CsvState,
    JsonDecoder,
    RecordError,
    csv_rows,
    header_names,
    json_documents,
    separator_of,
)
from sparkxlmr.jobs.remote_check import Part, check_lines, joined


def rows_of(text: str, separator: str = ",") -> list[list[str]]:
    return [row for _, row in csv_rows(io.StringIO(text, newline=""), separator)]


def documents_of(text: str) -> list[dict]:
    return [document.value for document in json_documents(io.StringIO(text))]


def test_csv_rows_keep_quotes_and_line_breaks():
    text = 'id,text\r\n1,"a ""b"",\nc"\r\n\r\n2, d"e \n'
    assert rows_of(text) == [["id", "text"], ["1", 'a "b",\nc'], ["2", ' d"e ']]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('id,text\n1,a\n2,"b\n3,c\n', 3, "never closed"),
        ('id,text\n1,"a\nb\n"c",1\n', 4, "follow a closing quote"),
        ("id,text\n1,a\n2,b,c\n", 3, "3 fields where 2 are expected"),
        ("id,text\n1\n", 2, "1 fields where 2 are expected"),
    ],
)
def test_csv_rows_refuse_what_is_not_exact(text, line, problem):
    with pytest.raises(RecordError, match=problem) as raised:
        rows_of(text)
    assert raised.value.line == line


def test_csv_rows_read_a_field_beyond_the_module_s_limit_and_restore_it():
    before = csv.field_size_limit()
    assert len(rows_of("text\n" + "x" * (before + 1) + "\n")[1][0]) == before + 1
    assert csv.field_size_limit() == before


def test_csv_rows_note_the_line_ends_of_rows_only():
    state = CsvState()
    list(csv_rows(io.StringIO('a\r\n"b\nc"\r\nd', newline=""), ",", state=state))
    assert state.terminators == {"\r\n"}
    list(csv_rows(io.StringIO("a\r\nb\nc\n", newline=""), ",", state=state))
    assert state.terminators == {"\r\n", "\n"}


@pytest.mark.parametrize("names", [("a", "a"), ("Text", "text"), ("_c1", "")])
def test_header_names_refuse_two_of_a_name(names):
    with pytest.raises(RecordError, match="two columns"):
        header_names(names)


@pytest.mark.parametrize(
    ("line", "separator"),
    [("a;b", ";"), ("a\tb", "\t"), ("a|b", "|"), ("a,b;c", ","), ('"a;b"', ","), ("", ",")],
)
def test_separator_of_goes_by_the_header(line, separator):
    assert separator_of(line) == separator


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_a_csv_file_join_to_the_whole(seed):
    """Wherever a file is cut into parts, quoted line breaks included, the check finds the same."""
    chance = random.Random(seed)
    rows = [["id", "text"]]
    rows += [[str(i), chance.choice(['a "q"', "x\ny\nz", "", ',"\n"', "plain"])] for i in range(12)]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    text = stream.getvalue()
    if seed % 2:
        place = text.rindex("\n", 0, chance.randrange(20, len(text)))
        text = text[: place + 1] + '99,"open\n' + text[place + 1 :].replace('"', "")
    lines = text.removesuffix("\n").encode().split(b"\n")
    whole = check_lines(lines, "csv", ",")
    cuts = sorted(chance.sample(range(1, len(lines)), 3))
    parts = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    found = [tuple(check_lines(part, "csv", ",", inside) for inside in (False, True)) for part in parts]
    if whole.fault is None and not whole.inside:
        together = joined(found)
        assert (together.header, together.width, together.lines) == (["id", "text"], 2, len(lines))
    else:
        with pytest.raises(RecordError) as expected:
            joined([(whole, whole)])
        with pytest.raises(RecordError) as raised:
            joined(found)
        assert (raised.value.line, raised.value.problem) == (expected.value.line, expected.value.problem)


def test_joined_refuses_parts_of_another_width():
    with pytest.raises(RecordError, match="rows of 3 fields"):
        joined([(Part(lines=2, width=2), Part()), (Part(lines=2, width=3), Part())])


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n{"a": "]\\n"}\n',
        '{"a": 1}{"a": "]\\n"}',
        '{\n "a": 1\n}\n{\n "a": "]\\n"\n}\n',
        '[{"a": 1}, {"a": "]\\n"}]',
        '\ufeff[{"a": 1}]\n[]\n[\n{"a": "]\\n"}]',
    ],
)
def test_json_documents_read_every_layout(text):
    assert documents_of(text) == [{"a": 1}, {"a": "]\n"}]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('{"a": 1}\n{"a": 2} and more', 2, "'and more' where"),
        ('{"a": 1}\n5\n', 2, "5 where an object is expected"),
        ("null", 1, "null where an object is expected"),
        ('[{"a": 1}\n{"a": 2}]', 2, "{ where , or ]"),
        ('[{"a": 1}', 1, "nothing where"),
        ('[{"a": 1},\n]', 2, "where a JSON object"),
        ('{"a": 1', 1, "delimiter"),
        ('{"a":\n "x', 2, "Unterminated"),
        ('{"": 1}', 1, "a key is empty"),
        ('{"a": {"b": 1, "b": 2}}', 1, "'b' is there twice"),
        pytest.param('{"a": 1}\n{"a": ' + "9" * 5000 + "}", 2, "too many digits", id="digits"),
        pytest.param('{"a": 1}\n{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", 2, "too deeply", id="depth"),
    ],
)
def test_json_documents_refuse_what_is_not_exact(text, line, problem):
    with pytest.raises(RecordError, match=problem) as raised:
        documents_of(text)
    assert raised.value.line == line


def test_json_documents_longer_than_the_window(monkeypatch):
    monkeypatch.setattr("sparkxlmr.jobs.records._CHUNK", 7)
    values = [{"text": "x" * n, "items": [{"n": n}, 1.5, None, True]} for n in range(0, 60, 7)]
    assert documents_of(json.dumps(values, indent=1)) == values
    assert documents_of("\n".join(map(json.dumps, values))) == values


def test_json_decoder_notes_empty_objects():
    decoder = JsonDecoder()
    list(json_documents(io.StringIO('{"a": {"b": {}}}\n{"c": [1, {}], "a": {"b": {}}}\n'), decoder))
    assert decoder.empty_objects == {("a", "b"): 1, ("c", "[]"): 2}
    assert list(decoder.keys) == ["a", "c"]
