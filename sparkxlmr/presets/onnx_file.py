"""A look at an ONNX file, and what is refused in one before an engine opens it.

An ONNX file holds no programs, but it may ask for operators of libraries that it does not bring, and name
files anywhere on the disk as its weights. The numbers of the fields are those of ``onnx.proto``.
"""

from __future__ import annotations

from pathlib import Path

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.graph_facts import GraphFacts, Shape, beside, check_stored
from sparkxlmr.presets.protobuf_fields import Message

# The standard's own operators, and those of ONNX Runtime that OpenVINO knows too.
_DOMAINS = {"", "ai.onnx", "com.microsoft"}
_MOST_DEPTH = 8
_EXTERNAL = 1
# Operators that read a table by row, and those that leave a table as it is.
_READING = {"Gather", "Slice"}
_PLAIN = {"Cast", "DequantizeLinear", "Identity"}
# TensorProto: fields that hold numbers, raw or typed.
_DATA = (4, 5, 6, 7, 9, 10, 11)


def onnx_facts(graph: Path) -> GraphFacts:
    """What an ONNX file says.

    Raises:
        NotAPresetError: it is none, asks for operators of another library, or names files outside its folder.
        DamagedModelError: it is not whole, or speaks of more numbers than it stores.
    """
    return _Look(graph).facts()


class _Look:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = Message.of_file(path)
        self.files: dict[str, int] = {}
        self.tables: dict[str, Shape] = {}
        # Outermost nodes: what is read by row, and what each plain one passes on.
        self.read: list[str] = []
        self.passed: dict[str, str] = {}
        self.functions = {(body.text(10), body.text(1)) for body in self.model.inside(25)}

    def facts(self) -> GraphFacts:
        graph = next(self.model.inside(7), None)
        if graph is None:
            raise NotAPresetError(f"{self.path} holds no graph", "an ONNX model", "export the model again")
        stored = set(self._graph(graph, 0))
        for body in self.model.inside(25):
            self._nodes(body, 7, 0)
        for name in self.files:
            beside(self.path.parent, self.path, name)
        read = (self.tables.get(self._origin(name)) for name in self.read)
        return GraphFacts(
            files=(self.path.name, *self.files),
            inputs=tuple(name for name, _ in map(_value, graph.inside(11)) if name not in stored),
            outputs=dict(map(_value, graph.inside(12))),
            tables=self.tables,
            read_by_row=tuple(shape for shape in read if shape is not None),
        )

    def _origin(self, name: str) -> str:
        """The stored matrix that a value is, converted or not."""
        for _ in range(len(self.passed)):
            if name not in self.passed:
                break
            name = self.passed[name]
        return name

    def _note(self, node: Message) -> None:
        """Notes an outermost node that reads a table, passes one on, or is a constant one."""
        operator, inputs, outputs = node.text(4), node.texts(1), node.texts(2)
        if operator in _READING and inputs:
            self.read.append(inputs[0])
        elif operator in _PLAIN and inputs and outputs:
            self.passed[outputs[0]] = inputs[0]
        elif operator == "Constant" and outputs:
            for tensor in node.inside(5, 5):
                shape = tuple(tensor.numbers(1))
                if len(shape) == 2:
                    self.tables.setdefault(outputs[0], shape)

    def _graph(self, graph: Message, depth: int) -> list[str]:
        """Looks at a graph and those inside it; the names of what it stores."""
        if depth > _MOST_DEPTH:
            raise graph.broken(f"graphs inside graphs, more than {_MOST_DEPTH} deep")
        names = [self._tensor(tensor) for tensor in graph.inside(5)]
        for sparse in graph.inside(15):
            self._sparse(sparse)
        self._nodes(graph, 1, depth)
        return names

    def _nodes(self, owner: Message, number: int, depth: int) -> None:
        for node in owner.inside(number):
            operator, domain = node.text(4), node.text(7)
            if depth == 0 and number == 1:
                self._note(node)
            if domain not in _DOMAINS and (domain, operator) not in self.functions:
                raise NotAPresetError(
                    f"{self.path} asks for the operator {operator[:100]!r} of {domain[:100]!r}",
                    "ONNX's own operators",
                    "export the model again without operators of its own",
                )
            for attribute in node.inside(5):
                for found in (5, 10):
                    for tensor in attribute.inside(found):
                        self._tensor(tensor)
                for found in (22, 23):
                    for sparse in attribute.inside(found):
                        self._sparse(sparse)
                for found in (6, 11):
                    for graph in attribute.inside(found):
                        self._graph(graph, depth + 1)

    def _sparse(self, sparse: Message) -> None:
        """Read into memory, a sparse matrix may be as large as it likes."""
        raise NotAPresetError(
            f"{self.path} holds a sparse matrix", "dense ones", "export the model again without them"
        )

    def _tensor(self, tensor: Message) -> str:
        name, shape = tensor.text(8), tuple(tensor.numbers(1))
        stored = 0
        for number, value in tensor.fields():
            if number in _DATA:
                stored += 1 if isinstance(value, int) else len(value)
        if tensor.numbers(14)[-1:] == [_EXTERNAL]:
            stored = self._external(tensor)
        check_stored(name, shape, stored, str(self.path))
        if len(shape) == 2:
            self.tables[name] = (shape[0], shape[1])
        return name

    def _external(self, tensor: Message) -> int:
        """Bytes of a tensor in another file, which is noted and holds that many."""
        told = {entry.text(1): entry.text(2) for entry in tensor.inside(13)}
        name = told.get("location", "")
        place = beside(self.path.parent, self.path, name)
        size = self.files.setdefault(name, place.stat().st_size)
        try:
            offset = int(told.get("offset") or 0)
            length = int(told.get("length") or max(0, size - offset))
        except ValueError:
            offset, length = -1, 0
        if offset < 0 or length < 0 or offset + length > size:
            raise tensor.broken(f"a piece of {name[:100]!r} that the file does not have")
        return length


def _value(info: Message) -> tuple[str, Shape | None]:
    """Name and shape of a graph's input or output."""
    shape = next(info.inside(2, 1, 2), None)
    if shape is None:
        return info.text(1), None
    return info.text(1), tuple((dim.numbers(1) or [-1])[-1] for dim in shape.inside(1))
