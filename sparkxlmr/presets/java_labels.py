"""The labels in a model that Spark NLP saved: pairs of a name and an id, as Java's own serialisation writes
them, inside Hadoop's sequence file.

Only these pairs are read: no class is looked for by its name, nothing is made of what stands there but
strings and numbers, and a class that such pairs do not need is refused. The format is that of Java's "Object
Serialization Stream Protocol".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError

_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _ARRAY, _END = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x78
_FIRST_HANDLE = 0x7E0000
_MAGIC, _SEQUENCE = b"\xac\xed\x00\x05", b"SEQ\x06"
_KEY, _VALUE = "org.apache.hadoop.io.NullWritable", "org.apache.hadoop.io.BytesWritable"
_KNOWN = {"[Lscala.Tuple2;", "scala.Tuple2", "java.lang.Integer", "java.lang.Number"}
_MOST_BYTES = 64 * 1024**2


def labels_of(folder: Path) -> tuple[str, ...]:
    """The names in the order of their ids, from the files of `fields/labels`.

    Raises:
        NotAPresetError: the files hold something else, or ids that are not 0, 1, 2, ...
        DamagedModelError: they are cut short, or larger than any labels.
    """
    parts = sorted(folder.glob("part-*"))
    if sum(part.stat().st_size for part in parts) > _MOST_BYTES:
        raise DamagedModelError(f"{folder} is too large", "labels", "copy the model again")
    pairs: list[tuple[int, str]] = []
    for part in parts:
        try:
            for value in _values(part.read_bytes()):
                pairs += _pairs(_Stream(value).read())
        except (struct.error, IndexError, UnicodeDecodeError, RecursionError, _NoLabels) as error:
            raise NotAPresetError(
                f"{part} holds no labels ({error!r:.100})",
                "pairs of a name and a number, as Spark NLP saves a classifier's labels",
                "copy the model again, or export it with assets/labels.txt",
            ) from error
    ids = sorted(number for number, _ in pairs)
    if not ids or ids != list(range(len(ids))):
        raise NotAPresetError(
            f"{folder} names the classes {ids[:10]}", "every class from 0 on, once", "copy it again"
        )
    return tuple(name for _, name in sorted(pairs))


class _NoLabels(Exception):
    """What stands there is something else."""


def _values(content: bytes) -> list[bytes]:
    """The values of a sequence file without compression."""
    reader = _Bytes(content)
    if reader.take(4) != _SEQUENCE:
        raise _NoLabels("no sequence file")
    names = [reader.take(reader.take(1)[0]).decode() for _ in range(2)]
    if names != [_KEY, _VALUE] or reader.take(2) != b"\0\0" or reader.number(4):
        raise _NoLabels(f"a sequence file of {names}")
    sync = reader.take(16)
    values = []
    while reader.left():
        length = reader.number(4)
        if length == -1:  # a mark between records
            if reader.take(16) != sync:
                raise _NoLabels("another mark")
            continue
        record = _Bytes(reader.take(length + 4)[4:])  # the length of the key, which is empty
        values.append(record.take(record.number(4)))
    return values


def _pairs(value: Any) -> list[tuple[int, str]]:
    if not isinstance(value, list):
        raise _NoLabels("no list")
    pairs = []
    for item in value:
        name, number = (item.get("_1"), item.get("_2")) if isinstance(item, dict) else (None, None)
        number = number.get("value") if isinstance(number, dict) else None
        if not isinstance(name, str) or not isinstance(number, int):
            raise _NoLabels("no pairs")
        pairs.append((number, name))
    return pairs


class _Bytes:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def left(self) -> int:
        return len(self.content) - self.at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left():
            raise _NoLabels(f"{size} bytes where {self.left()} are left")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=True)


@dataclass
class _Class:
    name: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    parent: _Class | None = None


class _Stream(_Bytes):
    """One object of a stream: a string, a list, or an object as its fields by name."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        if self.take(4) != _MAGIC:
            raise _NoLabels("no Java object")
        self.handles: list[Any] = []

    def read(self) -> Any:
        kind = self.take(1)[0]
        if kind == _NULL:
            return None
        if kind == _REFERENCE:
            place = self.number(4) - _FIRST_HANDLE
            if not 0 <= place < len(self.handles):
                raise _NoLabels("a reference to nothing")
            return self.handles[place]
        if kind == _STRING:
            self.handles.append(self._text())
            return self.handles[-1]
        if kind == _CLASS:
            return self._class()
        if kind == _ARRAY:
            return self._list()
        if kind == _OBJECT:
            return self._object()
        raise _NoLabels(f"an entry of kind {kind}")

    def _text(self) -> str:
        """A string in Java's UTF-8: NUL as two bytes, and each half of a surrogate pair as three."""
        encoded = self.take(struct.unpack(">H", self.take(2))[0]).replace(b"\xc0\x80", b"\0")
        halves = encoded.decode("utf-8", "surrogatepass")
        return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le")

    def _class(self) -> _Class:
        described = _Class(self._text())
        if described.name not in _KNOWN:
            raise _NoLabels(f"an object of {described.name[:50]}")
        self.take(8)
        self.handles.append(described)
        self.take(1)
        for _ in range(struct.unpack(">H", self.take(2))[0]):
            kind = self.take(1).decode("ascii")
            described.fields.append((kind, self._text()))
            if kind in "[L":
                self.read()
        if self.take(1)[0] != _END:
            raise _NoLabels("notes to a class")
        described.parent = self._described()
        return described

    def _described(self) -> _Class | None:
        found = self.read()
        if found is not None and not isinstance(found, _Class):
            raise _NoLabels("an object where a class should stand")
        return found

    def _list(self) -> list[Any]:
        self._described()
        items: list[Any] = []
        self.handles.append(items)
        size = self.number(4)
        if not 0 <= size <= self.left():
            raise _NoLabels(f"{size} items")
        items += [self.read() for _ in range(size)]
        return items

    def _object(self) -> dict[str, Any]:
        described = self._described()
        values: dict[str, Any] = {}
        self.handles.append(values)
        lineage: list[_Class] = []
        while described is not None:
            if len(lineage) == len(_KNOWN):
                raise _NoLabels("a class that is its own ancestor")
            lineage.append(described)
            described = described.parent
        for owner in reversed(lineage):
            for kind, name in owner.fields:
                if kind not in "IL":
                    raise _NoLabels(f"a field of kind {kind}")
                values[name] = self.number(4) if kind == "I" else self.read()
        return values
