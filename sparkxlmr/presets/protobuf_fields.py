"""Reading files in the encoding of protocol buffers without knowing their classes: field by field.

Written here because the packages that own the classes (onnx, tensorflow) are either not installed where a
model is looked at, or start a framework. A message is a view of bytes that nobody has copied, so that a look
at a file of gigabytes reads what is asked for only.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from sparkxlmr.errors import DamagedModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}

Value = int | memoryview


class Message:
    """The fields of one message, in the order in which they stand in the file.

    - `data`: the bytes of the message.
    - `where`: what messages of errors call the file.

    >>> [(number, bytes(value)) for number, value in Message(memoryview(b"\\x0a\\x02hi"), "x").fields()]
    [(1, b'hi')]
    """

    def __init__(self, data: memoryview, where: str) -> None:
        self.data, self.where = data, where

    @classmethod
    def of_file(cls, path: Path) -> Message:
        """The message that a file holds, mapped into memory. Raises DamagedModelError for an empty file."""
        with path.open("rb") as file:
            try:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise DamagedModelError(
                    f"{path} is empty", "a model", "copy or export the model again"
                ) from None
        return cls(memoryview(mapped), str(path))

    def fields(self) -> Iterator[tuple[int, Value]]:
        """Number and value of each field: a whole number, or the bytes of a string, a message, a float.

        Raises DamagedModelError where the bytes are no fields.
        """
        data, at, end = self.data, 0, len(self.data)
        while at < end:
            key, at = self._varint(at)
            wire = key & 7
            if wire == _VARINT:
                value, at = self._varint(at)
                yield key >> 3, value
                continue
            if wire == _BYTES:
                size, at = self._varint(at)
            elif wire in _WIDTHS:
                size = _WIDTHS[wire]
            else:
                raise self.broken(f"a field of kind {wire}")
            if size > end - at:
                raise self.broken(f"a field of {size} bytes where {end - at} are left")
            yield key >> 3, data[at : at + size]
            at += size

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= len(self.data):
                raise self.broken("half a number at its end")
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
        raise self.broken("a number of more than 64 bits")

    def inside(self, *numbers: int) -> Iterator[Message]:
        """The messages in the field of that number; of several numbers, the last one's inside the others'."""
        first, *others = numbers
        for number, value in self.fields():
            if number != first or isinstance(value, int):
                continue
            message = Message(value, self.where)
            if others:
                yield from message.inside(*others)
            else:
                yield message

    def texts(self, number: int) -> list[str]:
        """All values of a field of strings. Raises DamagedModelError where one is no UTF-8."""
        try:
            return [
                bytes(value).decode("utf-8")
                for found, value in self.fields()
                if found == number and not isinstance(value, int)
            ]
        except UnicodeDecodeError as error:
            raise self.broken("a name that is no UTF-8") from error

    def text(self, number: int) -> str:
        """The last value of a field of strings; "" where it is not there."""
        return (self.texts(number) or [""])[-1]

    def numbers(self, number: int) -> list[int]:
        """All values of a field of signed whole numbers, one by one or packed."""
        found: list[int] = []
        for field, value in self.fields():
            if field != number:
                continue
            if isinstance(value, int):
                found.append(_signed(value))
                continue
            packed, at = Message(value, self.where), 0
            while at < len(value):
                item, at = packed._varint(at)
                found.append(_signed(item))
        return found

    def entries(self, number: int) -> Iterator[tuple[str, Message]]:
        """Keys and values of a field that is a map from strings to messages."""
        for entry in self.inside(number):
            yield entry.text(1), next(entry.inside(2), Message(memoryview(b""), self.where))

    def broken(self, what: str) -> DamagedModelError:
        """The error for bytes that are not what they should be."""
        return DamagedModelError(
            f"{self.where} holds {what}", "a whole model file", "copy or export the model again"
        )


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
