"""Sizes of the embedding tables of an OpenVINO graph, found by how the graph reads them, not by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparkxlmr.presets.hugging_face import POSITION_OFFSET

# Operations that change the form of ids or of a table and none of its values' order.
_PLAIN = {"Convert", "Reshape", "Unsqueeze", "Squeeze", "Multiply", "Subtract"}
# Tables of segments have one row or two.
_MOST_SEGMENTS = 2


@dataclass(frozen=True)
class Tables:
    """Rows of the token table, and tokens that the position table is for; None where there is none to see."""

    vocabulary_size: int | None
    positions: int | None

    def hold(self, needed: Tables) -> bool:
        """Whether no table is known to be smaller than needed."""
        pairs = ((self.vocabulary_size, needed.vocabulary_size), (self.positions, needed.positions))
        return all(have is None or need is None or have >= need for have, need in pairs)


def table_sizes(graph: Any, family: str) -> Tables:
    """Return the sizes of the tables of a graph with a bundle's input names.

    Args:
        graph: an ``openvino.Model``.
        family: ``"xlm_roberta"`` or ``"albert"``. Of a position table in which rows are looked up, and not
            sliced, the rows that Hugging Face's models of the family leave unused are not counted.
    """
    tokens: list[tuple[int, int]] = []
    others: list[tuple[tuple[int, int], int]] = []
    for node in graph.get_ordered_ops():
        kind = node.get_type_name()
        if kind not in ("Gather", "Slice", "StridedSlice"):
            continue
        table = _matrix(node.input_value(0))
        if table is None:
            continue
        if kind == "Gather" and _is_parameter(node.input_value(1), "token_ids"):
            tokens.append(table)
        else:
            others.append((table, POSITION_OFFSET[family] if kind == "Gather" else 0))
    if not tokens:
        return Tables(None, None)
    # Of int8 the scales of the rows are a table too, one number wide.
    rows, width = min(rows for rows, _ in tokens), max(width for _, width in tokens)
    found = [table[0] - offset for table, offset in others if table[1] == width and table[0] > _MOST_SEGMENTS]
    return Tables(rows, min(found, default=None))


def _sources(output: Any) -> Iterator[Any]:
    """The node of an output, and those before it as long as they are plain."""
    node = output.get_node()
    yield node
    while node.get_type_name() in _PLAIN:
        node = node.input_value(0).get_node()
        yield node


def _matrix(output: Any) -> tuple[int, int] | None:
    """The shape of the constant matrix that an output is."""
    *_, node = _sources(output)
    if node.get_type_name() != "Constant":
        return None
    shape = tuple(node.get_output_shape(0))
    return (int(shape[0]), int(shape[1])) if len(shape) == 2 else None


def _is_parameter(output: Any, name: str) -> bool:
    *_, node = _sources(output)
    return node.get_type_name() == "Parameter" and name in node.output(0).get_names()
