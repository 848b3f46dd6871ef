"""Records of text formats, read strictly: CSV and TSV rows, JSON documents.

Pure functions over lines and streams. Whatever reads or checks such a file calls them, so that all commands
accept the same files. A record that cannot be read exactly raises :class:`RecordError` with its line.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

_LONGEST_FIELD = 1 << 28  # characters; a longer one is a quote that is never closed
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_CHUNK = 1 << 20
_OTHER_SEPARATORS = (";", "\t", "|")
_JSON_FIX = "one JSON object a line, or an array of objects; `jq -c . FILE` writes valid documents so"


class RecordError(ValueError):
    """A record that cannot be read exactly.

    Args:
        line: number of the line where it starts, from 1; 0 where it is not known.
        problem: what is wrong.
        fix: what would make it readable.
    """

    def __init__(self, line: int, problem: str, fix: str = "") -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.line, self.problem, self.fix = line, problem, fix

    def __reduce__(self) -> tuple[type, tuple[int, str, str]]:
        return type(self), (self.line, self.problem, self.fix)


# --- CSV ---


def header_names(cells: Sequence[str]) -> tuple[str, ...]:
    """The column names of a header row; a cell without a name is named as Spark names it.

    Raises:
        RecordError: two columns have the same name, upper and lower case being equal, as in Spark.

    >>> header_names(["", "text"])
    ('_c0', 'text')
    """
    names = tuple(cell or f"_c{index}" for index, cell in enumerate(cells))
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name or names.count(name) > 1:
            raise RecordError(1, f"two columns are named {other!r} and {name!r}", "give each its own name")
    return names


def separator_of(header_line: str, separator: str = ",") -> str:
    """The separator of a CSV file, from its first line: `separator`, unless another one alone splits it.

    >>> separator_of("id;text"), separator_of("id,text;note"), separator_of("text")
    (';', ',', ',')
    """
    if len(next(csv.reader([header_line], delimiter=separator), [])) > 1:
        return separator
    widths = {other: len(next(csv.reader([header_line], delimiter=other), [])) for other in _OTHER_SEPARATORS}
    best = max(widths, key=lambda other: widths[other])
    return best if widths[best] > 1 else separator


@dataclass
class CsvState:
    """What reading of a CSV file found so far.

    ``inside`` says whether the lines end within a quoted field, which is legitimate in a part of a file only,
    and ``open_line`` where its row starts; ``terminators`` are the different line ends of records.
    """

    inside: bool = False
    open_line: int = 0
    terminators: set[str] = field(default_factory=set)


def csv_rows(
    lines: Iterable[str],
    separator: str,
    *,
    inside: bool = False,
    part: bool = False,
    width: int = 0,
    state: CsvState | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """The rows of CSV lines, each with the number of the line where it starts; empty lines are left out.

    So is the end of a row that began before the lines do (``inside``).

    Args:
        lines: with their line ends. Quotes are doubled within quotes (RFC 4180).
        separator: one character.
        inside: the lines begin within a quoted field.
        part: the lines are a part of a file, which may end within a quoted field.
        width: number of fields that each row must have; 0: of the first row.
        state: filled in where provided.

    Raises:
        RecordError: a quote is never closed, something follows a closing quote, or a row has another number
            of fields.
    """
    state = CsvState() if state is None else state
    last = ""

    def remembered() -> Iterator[str]:
        nonlocal last
        for number, last in enumerate(lines):
            yield f'"{last}' if inside and number == 0 else last

    with _longest_field():
        reader = csv.reader(remembered(), delimiter=separator, strict=True)
        partial = inside
        while True:
            start = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                if part and "unexpected end of data" in str(error):
                    # A row that began before this part has no line here.
                    state.inside, state.open_line = True, 0 if partial else start
                    return
                raise _csv_fault(start, reader.line_num, error) from error
            if row is None:
                return
            ending = last[len(last.rstrip("\r\n")) :]
            if ending:
                state.terminators.add(ending)
            if not row:
                continue
            if partial:
                partial = False
                continue
            width = width or len(row)
            if len(row) != width:
                raise RecordError(
                    start,
                    f"{len(row)} fields where {width} are expected",
                    "quote fields that hold the separator or a line break",
                )
            yield start, row


def open_quote(line: int) -> RecordError:
    """The error of a row, which starts in a line, with a quote that is never closed."""
    return RecordError(
        line,
        "a quote is opened in this row and never closed",
        "close it, or double it where it is part of the text; where quotes have no meaning in the file: "
        "pandas.read_csv(FILE, sep=..., quoting=3).to_parquet(NEW)",
    )


def _csv_fault(start: int, line: int, error: csv.Error) -> RecordError:
    said = str(error)
    if "unexpected end of data" in said or "field larger" in said:
        return open_quote(start)
    if "expected after" in said:
        return RecordError(
            line,
            "characters follow a closing quote",
            'write a quote within a quoted field as ""; where quotes have no meaning in the file: '
            "pandas.read_csv(FILE, sep=..., quoting=3).to_parquet(NEW)",
        )
    return RecordError(line, said, "write the file as CSV again")


@contextmanager
def _longest_field() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# --- JSON ---


@dataclass(frozen=True)
class Document:
    """A JSON object: its value, its text, its first line; ``array`` is the number of the top-level array that
    it is in, from 1, or 0."""

    value: dict[str, Any]
    text: str
    line: int
    array: int


class _RefusedKeyError(ValueError):
    pass


class JsonDecoder:
    """Decoder of objects that refuses the keys which Spark's reader drops.

    ``empty_objects`` maps the path of each empty object (``{}``) to the line where it first is; an array's
    items have the name ``[]`` in a path. Set ``line`` before decoding.
    """

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self._found_empty = False
        self.keys: dict[str, None] = {}
        self.empty_objects: dict[tuple[str, ...], int] = {}

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if value and len(value) == len(pairs) and "" not in value:
            return value
        if len(value) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _RefusedKeyError(f"the key {twice!r} is there twice in one object")
        if "" in value:
            raise _RefusedKeyError('a key is empty (""), which names no column')
        self._found_empty = True
        return value

    def decode(self, text: str, at: int, line: int) -> tuple[dict[str, Any], int]:
        """The object that starts at an index of the text, and the index behind it.

        Raises:
            json.JSONDecodeError: no JSON, or the text ends too early.
            RecordError: another value than an object, an empty key, or one that is there twice; a number of
                more digits, or objects and arrays deeper within another, than can be read.
        """
        self._found_empty = False
        try:
            value, end = self._decoder.raw_decode(text, at)
            if self._found_empty:
                self._note_empty(value, (), line)
        except _RefusedKeyError as error:
            raise RecordError(line, str(error), "rename or remove it") from error
        except json.JSONDecodeError:
            raise
        except ValueError as error:  # what int() raises
            raise RecordError(
                line, "a number has too many digits", "write it as a string, in quotes"
            ) from error
        except RecursionError as error:
            raise RecordError(
                line, "objects or arrays are nested too deeply", "remove the column, or write it as a string"
            ) from error
        if not isinstance(value, dict):
            raise RecordError(line, f"{text[at:end]:.40} where an object is expected", _JSON_FIX)
        if not self.keys.keys() >= value.keys():
            self.keys.update(dict.fromkeys(value))
        return value, end

    def _note_empty(self, value: Any, path: tuple[str, ...], line: int) -> None:
        if isinstance(value, dict):
            if not value and path:
                self.empty_objects.setdefault(path, line)
            for name, inner in value.items():
                self._note_empty(inner, (*path, name), line)
        elif isinstance(value, list):
            for inner in value:
                self._note_empty(inner, (*path, "[]"), line)


def json_line(decoder: JsonDecoder, text: str, line: int) -> dict[str, Any] | None:
    """The object that is alone on a line; None for a blank line.

    Raises:
        RecordError: it is no object, or not alone.
    """
    at = 0 if text.startswith("{") else _end_of_space(text, 0)
    if at == len(text):
        return None
    try:
        value, end = decoder.decode(text, at, line)
    except json.JSONDecodeError as error:
        raise RecordError(line, error.msg, _JSON_FIX) from error
    if text[end:] != "\n" and _end_of_space(text, end) != len(text):
        raise RecordError(line, f"{text[end:].strip():.40} follows the object", _JSON_FIX)
    return value


def json_documents(file: TextIO, decoder: JsonDecoder | None = None) -> Iterator[Document]:
    """The objects of a JSON stream: one a line, one behind another in any layout, or in one or more arrays.

    Only the document at hand is held in memory.

    Raises:
        RecordError: something that is no object, or that is between or behind the documents.
    """
    source = _JsonSource(file, decoder or JsonDecoder())
    in_array, arrays = False, 0
    while (character := source.peek()) or in_array:
        if not character:
            raise RecordError(source.line, "the array is never closed", _JSON_FIX)
        if character == "[" and not in_array:
            source.skip()
            in_array, arrays = True, arrays + 1
            if source.peek() == "]":
                source.skip()
                in_array = False
            continue
        yield source.document(arrays if in_array else 0)
        if in_array:
            following = source.peek()
            if following not in (",", "]"):
                raise RecordError(
                    source.line, f"{following or 'nothing'} where , or ] is expected", _JSON_FIX
                )
            source.skip()
            in_array = following == ","


def _end_of_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


class _JsonSource:
    """A window of a stream: what is not yet consumed of it, with the number of the current line."""

    def __init__(self, file: TextIO, decoder: JsonDecoder) -> None:
        self._file, self._decoder = file, decoder
        self._text, self._at, self._ended = "", 0, False
        self.line = 1

    def _more(self) -> None:
        rest = self._text[self._at :]
        # A document longer than the window: twice as much each time, so it is not parsed once a chunk.
        chunk = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not chunk
        self._text, self._at = rest + chunk, 0

    def _advance(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to

    def peek(self) -> str:
        """The next character that is no white space; an empty string at the end."""
        while True:
            self._advance(_end_of_space(self._text, self._at))
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more()

    def skip(self) -> None:
        self._advance(self._at + 1)

    def document(self, array: int) -> Document:
        while True:
            line, start = self.line, self._at
            try:
                value, end = self._decoder.decode(self._text, start, line)
            except json.JSONDecodeError as error:
                if self._ended or self._is_wrong(error):
                    found = line + self._text.count("\n", start, error.pos)
                    problem = error.msg
                    if error.pos == start:
                        rest = self._text[start : start + 40].partition("\n")[0]
                        problem = f"{rest!r} where a JSON object is expected"
                    raise RecordError(found, problem, _JSON_FIX) from error
                self._more()
                continue
            text = self._text[start:end]
            self._advance(end)
            return Document(value, text, line, array)

    def _is_wrong(self, error: json.JSONDecodeError) -> bool:
        """Whether more text would not help: the fault is far before the end, and no string is open."""
        return not error.msg.startswith("Unterminated string") and error.pos + 64 < len(self._text)
