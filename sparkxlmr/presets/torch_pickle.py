"""What the pickle inside a PyTorch file says of a state dict, found without unpickling anything.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the program names.
This one knows the instructions that ``torch.save`` uses for a state dict and six kinds of names, calls
nothing, and makes only dicts, lists, tuples, numbers, texts and descriptions of tensors. Everything else is
refused by its name.
"""

from __future__ import annotations

import math
import pickletools
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError

_MOST_DIMENSIONS = 32
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
#: storages by their Python class, and how numpy reads them; bfloat16 as its upper halves of float32
STORAGES = {
    "torch DoubleStorage": "<f8",
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch BFloat16Storage": "<u2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}


@dataclass(frozen=True)
class Storage:
    """A run of ``length`` numbers of one class (a key of :data:`STORAGES`), kept under the name ``key``."""

    kind: str
    key: str
    length: int


@dataclass(frozen=True)
class TensorPlace:
    """A tensor: numbers of its storage from ``offset`` on; shape and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A name from a module, which Python's unpickler would import."""

    name: str


def read_pickle(stream: IO[bytes], path: Path) -> Any:
    """The value of one pickle: dicts (ordered or not), lists, tuples, texts, numbers and
    :class:`TensorPlace`. ``stream`` is left behind its end; ``path`` is for messages.

    Raises:
        NotAPresetError: it holds anything else.
        DamagedModelError: it ends early or makes no sense.
    """
    machine = _Machine(path)
    try:
        for instruction, argument, _ in pickletools.genops(stream):
            step = _STEPS.get(instruction.name)
            if step is None:
                raise refused(path, f"its pickle uses {instruction.name}")
            step(machine, argument)
        return machine.pop()
    except (ValueError, KeyError, IndexError) as error:
        if isinstance(error, (NotAPresetError, DamagedModelError)):
            raise
        raise damaged(path, f"its pickle is broken: {error}") from error


class _Machine:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes more than there is")
        return self.stack.pop()

    def pop_tuple(self, n: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(n)]))

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ValueError(f"it fills something that is no {kind.__name__}")
        return self.stack[-1]

    # --- instructions that do more than move values ---

    def name(self, name: str) -> None:
        if name not in STORAGES and name not in _REBUILD:
            raise refused(self.path, f"it asks for {name.replace(' ', '.')}")
        self.push(_Name(name))

    def store(self, items: list[Any]) -> None:
        """Keys and values in turn; a key is a text, since no other has reason to be here."""
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise refused(self.path, f"a dict has the key {reprlib.repr(key)}")
            target[key] = value

    def persistent(self, _: Any) -> None:
        match self.pop():
            case ("storage", _Name(kind), str(key), str(), int(length), *rest) if kind in STORAGES:
                # The sixth is of files before PyTorch 1.6: a storage that is a part of another.
                if length >= 0 and rest in ([], [None]):
                    return self.push(Storage(kind, key, length))
        raise refused(self.path, "it refers to something that is no plain storage")

    def call(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or function.name not in _REBUILD or type(arguments) is not tuple:
            raise ValueError("it calls something that is no function")
        self.push(_REBUILD[function.name](*arguments))

    def set_state(self, _: Any) -> None:
        self.pop()  # a state dict's own attribute: versions of its layers
        self.top(dict)


def _empty_dict(*arguments: Any) -> dict[str, Any]:
    if arguments:
        raise ValueError("an ordered dict is made of something")
    return {}


def _tensor(*arguments: Any) -> TensorPlace:
    if not 6 <= len(arguments) <= 7 or not isinstance(arguments[0], Storage):
        raise ValueError("a tensor is made of other than its storage and shape")
    storage, offset, shape, strides = arguments[:4]
    if not (_are_counts((offset,)) and _are_counts(shape) and _are_counts(strides)):
        raise ValueError("a tensor's shape is none")
    place = TensorPlace(storage, offset, shape, strides)
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} dimensions and {len(strides)} strides")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    size = math.prod(shape)
    # More numbers than are stored would let a small file ask for any amount of memory.
    if size and (last >= storage.length or size > storage.length):
        raise ValueError(f"a tensor of shape {reprlib.repr(shape)} lies outside its {storage.length} numbers")
    return place


def _are_counts(values: Any) -> bool:
    return type(values) is tuple and all(type(n) is int and 0 <= n < 1 << 48 for n in values)


def _parameter(*arguments: Any) -> TensorPlace:
    if len(arguments) != 3 or not isinstance(arguments[0], TensorPlace):
        raise ValueError("a parameter is made of other than a tensor")
    return arguments[0]


_REBUILD: dict[str, Callable[..., Any]] = {_DICT: _empty_dict, _TENSOR: _tensor, _PARAMETER: _parameter}

_Step = Callable[[_Machine, Any], None]
_STEPS: dict[str, _Step] = {
    "PROTO": lambda m, version: None,
    "STOP": lambda m, _: None,
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m.pop_to_mark())),
    "TUPLE1": lambda m, _: m.push(m.pop_tuple(1)),
    "TUPLE2": lambda m, _: m.push(m.pop_tuple(2)),
    "TUPLE3": lambda m, _: m.push(m.pop_tuple(3)),
    "SETITEM": lambda m, _: m.store(list(m.pop_tuple(2))),
    "SETITEMS": lambda m, _: m.store(m.pop_to_mark()),
    "APPEND": lambda m, _: (value := m.pop(), m.top(list).append(value))[1],
    "APPENDS": lambda m, _: (values := m.pop_to_mark(), m.top(list).extend(values))[1],
    "GLOBAL": _Machine.name,
    "BINPERSID": _Machine.persistent,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.set_state,
}
_STEPS |= dict.fromkeys(
    ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), lambda m, value: m.push(value)
)
_STEPS |= dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda m, at: m.memo.update({at: m.stack[-1]}))
_STEPS |= dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, at: m.push(m.memo[at]))


def refused(path: Path, what: str) -> NotAPresetError:
    """The error for a file that holds more than plain weights."""
    return NotAPresetError(
        f"{path} is refused: {what}",
        "a PyTorch file with nothing but a state dict, which is a flat dict of plain tensors",
        "take the checkpoint's model.safetensors, or make one of the file where you trust it",
    )


def damaged(path: Path, what: str) -> DamagedModelError:
    """The error for a file that is incomplete or contradicts itself."""
    return DamagedModelError(
        f"The weights file {path} cannot be read: {what}",
        "a whole PyTorch file",
        "fetch the checkpoint again",
    )
