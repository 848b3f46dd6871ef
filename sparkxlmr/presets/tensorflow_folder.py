"""A look at a TensorFlow SavedModel, and what is refused in one before anything opens it.

A SavedModel is a program: its operators can call Python, read and write files, and run while the model is
only loaded. So everything that its answer is computed by has to stand on a list of operators that compute and
do nothing else, and nothing may run at loading but the reading of its variables. The numbers of the fields
are those of ``saved_model.proto`` and of what it includes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.graph_facts import GraphFacts, Shape, check_stored
from sparkxlmr.presets.protobuf_fields import Message

GRAPH = "saved_model.pb"
SIGNATURE, _FIRST = "serving_default", "__saved_model_init_op"
_INDEX, _DATA = "variables/variables.index", "variables/variables.data-*"
_MOST_DEPTH = 8

# What computes numbers from numbers, and calls what is held to this list itself.
COMPUTING = frozenset(
    # One string: as a list of words it would fill three screens.
    """
    Abs Add AddN AddV2 All Any ArgMax ArgMin Assert BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd
    BroadcastArgs BroadcastTo Case Cast Ceil CheckNumerics ClipByValue Concat ConcatV2 Const Cumsum
    Dequantize DisableCopyOnRead Div DivNoNan DynamicStitch Einsum Elu EnsureShape Equal Erf Erfc Exp
    ExpandDims Expm1 FakeQuantWithMinMaxVars Fill Floor FloorDiv FloorMod FusedBatchNormV3 Gather GatherNd
    GatherV2 Greater GreaterEqual Identity IdentityN If InvertPermutation LeakyRelu Less LessEqual LinSpace
    Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart Max Maximum Mean Merge Min
    Minimum Mod Mul MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder
    PlaceholderWithDefault Pow PreventGradient Prod QuantizeV2 Range Rank ReadVariableOp RealDiv Reciprocal
    Relu Relu6 Reshape ResourceGather ResourceGatherNd ReverseV2 Round Rsqrt RsqrtGrad ScatterNd Select
    SelectV2 Selu Shape ShapeN Sigmoid Sign Size Slice Snapshot Softmax Softplus Split SplitV Sqrt Square
    SquaredDifference Squeeze StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile StopGradient
    StridedSlice Sub Sum Switch Tanh Tile TopKV2 Transpose TruncateDiv Unpack VarHandleOp VarIsInitializedOp
    Where While Xdivy Xlogy ZerosLike
    """.split()  # noqa: SIM905
)


def is_saved_model(folder: Path) -> bool:
    """Whether a folder is laid out as a SavedModel."""
    return (folder / GRAPH).is_file()


def tensorflow_facts(folder: Path) -> GraphFacts:
    """What the signature `serving_default` of a SavedModel says.

    Raises:
        NotAPresetError: it is none, has no such signature, or holds what is not on the list.
        DamagedModelError: it is not whole, or speaks of more numbers than it stores.
    """
    return _Look(folder).facts()


class _Look:
    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / GRAPH
        graphs = list(Message.of_file(self.path).inside(2))
        if len(graphs) != 1:
            raise self._refused(f"holds {len(graphs)} graphs", "one")
        self.meta = graphs[0]
        self.nodes: dict[str, Message] = {}
        self.bodies: dict[str, list[Message]] = {}
        for graph in self.meta.inside(2):
            self.nodes.update((node.text(1), node) for node in graph.inside(1))
            for body in graph.inside(2, 1):
                self.bodies[next(body.inside(1), body).text(1)] = list(body.inside(3))

    def facts(self) -> GraphFacts:
        signatures = dict(self.meta.entries(5))
        signature = signatures.get(SIGNATURE)
        if signature is None:
            raise self._refused("has no signature " + SIGNATURE, "the signature that models are served by")
        inputs, outputs = dict(signature.entries(1)), dict(signature.entries(2))
        self._check_loading()
        # TensorFlow 2 always names a first operation, as a rule one that does nothing.
        first = list(signatures[_FIRST].entries(2)) if _FIRST in signatures else []
        read = [info.text(1) for _, info in (*outputs.items(), *first)]
        for name, collection in self.meta.entries(4):
            if name.endswith(("init_op", "main_op")):
                read += [node for nodes in collection.inside(1) for node in nodes.texts(1)]
        self._check_operators([_node_of(name) for name in read])
        return GraphFacts(
            files=(GRAPH, *self._variable_files()),
            inputs=tuple(inputs),
            outputs={name: _shape(next(info.inside(3), None)) for name, info in outputs.items()},
            tables=self._tables(),
        )

    def _check_loading(self) -> None:
        """Nothing is made when the model is loaded but its variables."""
        objects = next(self.meta.inside(7), None)
        if objects is None:
            raise self._refused("was saved by TensorFlow 1", "a SavedModel of TensorFlow 2")
        # SavedObject: an asset, a resource, or an object with functions of its own for saving and restoring.
        made = any(True for number in (5, 10, 11) for _ in objects.inside(1, number))
        if made or any(True for _ in self.meta.inside(6)):
            raise self._refused(
                "makes tables or other resources when it is loaded", "variables and functions alone"
            )

    def _check_operators(self, names: list[str]) -> None:
        """Every operator that these outputs depend on computes, and does nothing else."""
        waiting = [self.nodes[name] for name in names if name in self.nodes]
        if len(waiting) != len(names):
            raise self.meta.broken("a signature of operators that it does not have")
        seen, called = set(names), set[str]()
        while waiting:
            node = waiting.pop()
            operator = node.text(2)
            # A function is called by its name too, as if it were an operator.
            functions = {*_functions(node.entries(5)), *({operator} & self.bodies.keys())}
            if operator not in COMPUTING and operator not in self.bodies:
                raise self._refused(f"runs the operator {operator[:100]!r}", "operators that only compute")
            for name in functions - called:
                called.add(name)
                waiting += self.bodies.get(name, [])
            # Inside a function all operators are looked at; outside, those that the answer depends on.
            for name in map(_node_of, node.texts(3)):
                if name in self.nodes and name not in seen:
                    seen.add(name)
                    waiting.append(self.nodes[name])

    def _tables(self) -> dict[str, Shape]:
        """Variables that are matrices. Together they may not need more than is stored."""
        stored = sum(path.stat().st_size for path in self.folder.glob(_DATA))
        tables: dict[str, Shape] = {}
        for node in self.nodes.values():
            if node.text(2) != "VarHandleOp":
                continue
            told = dict(node.entries(5))
            name = told["shared_name"].text(2) if "shared_name" in told else node.text(1)
            shape = _shape(next(told["shape"].inside(7), None)) if "shape" in told else None
            if shape is None:
                continue
            check_stored(name, shape, stored, str(self.path))
            if len(shape) == 2:
                tables[name] = (shape[0], shape[1])
        return tables

    def _variable_files(self) -> list[str]:
        data = sorted(self.folder.glob(_DATA))
        if not (self.folder / _INDEX).is_file() or not data:
            raise DamagedModelError(
                f"{self.folder} has no variables", f"{_INDEX} and its data", "copy the whole model again"
            )
        homes = (self.folder.resolve(), self.path.resolve().parent)
        for path in (self.folder / _INDEX, *data):
            if not any(path.resolve().is_relative_to(home) for home in homes):
                raise self._refused(f"has {path.name} as a link that leads out of it", "files inside it")
        return [_INDEX, *(path.relative_to(self.folder).as_posix() for path in data)]

    def _refused(self, what: str, expected: str) -> NotAPresetError:
        return NotAPresetError(
            f"The SavedModel {self.folder} {what}",
            expected,
            "export the model again with tf.saved_model.save or save_pretrained(saved_model=True)",
        )


def _functions(attributes: Iterable[tuple[str, Message]], depth: int = 0) -> Iterator[str]:
    """Names of the functions that stand in attributes: those of a call, of the branches of an If, and those
    that are handed on to a function for its own attributes."""
    for _, value in attributes:
        if depth > _MOST_DEPTH:
            raise value.broken(f"functions inside functions, more than {_MOST_DEPTH} deep")
        for number in ((10,), (1, 9)):
            for function in value.inside(*number):
                yield function.text(1)
                yield from _functions(function.entries(2), depth + 1)


def _node_of(tensor: str) -> str:
    """
    >>> _node_of("^dense/MatMul:0")
    'dense/MatMul'
    """
    return tensor.removeprefix("^").partition(":")[0]


def _shape(told: Message | None) -> Shape | None:
    """A TensorShapeProto; None where the rank is not known."""
    if told is None or told.numbers(3)[-1:] == [1]:
        return None
    return tuple((dim.numbers(1) or [0])[-1] for dim in told.inside(2))
