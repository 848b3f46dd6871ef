"""What a look at a file of a compiled model tells, whoever's format it has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparkxlmr.errors import DamagedModelError, NotAPresetError

Shape = tuple[int, ...]
# Parts of the names that tables have, in whatever format a model is exported: Hugging Face's, and Keras'.
_WORDS = ("word_embeddings", "token_embedding")
_POSITIONS = ("position_embeddings", "position_embedding")
_MOST_SEGMENTS = 2


@dataclass(frozen=True)
class GraphFacts:
    """Names and shapes of a graph.

    Attributes:
        files: the graph and the files that it refers to, names relative to its folder.
        inputs: names of the inputs.
        outputs: names of the outputs and their shapes, -1 for an open dimension, None where nothing is said.
        tables: names and shapes of the matrices that the graph stores.
        read_by_row: shapes of those matrices whose rows the graph looks up or slices, embedding tables all;
            None where the format does not show it.
    """

    files: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: Mapping[str, Shape | None]
    tables: Mapping[str, Shape] = field(default_factory=dict)
    read_by_row: tuple[Shape, ...] | None = None

    def vocabulary_size(self) -> int | None:
        """Rows of the token table: of the one with its name, else of the largest that is read by row."""
        named = next((shape[0] for name, shape in self.tables.items() if _has(name, _WORDS)), None)
        return named or max((shape[0] for shape in self.read_by_row or ()), default=None)

    def positions(self, offset: int) -> int | None:
        """Tokens that the position table is for, where its name tells which it is.

        `offset`: the rows that Hugging Face's models leave unused before the first.
        """
        for name, shape in self.tables.items():
            if _has(name, _POSITIONS):
                return shape[0] - (offset if _POSITIONS[0] in name else 0)
        return None

    def unnamed_positions(self) -> tuple[list[int], bool]:
        """Rows of each matrix that can be the position table, and whether it is known that one of them is.

        By how the graph reads them: those that are read by row, as wide as the token table, with more rows
        than a table of segments has. Where the graph does not show that, all others of that width, of which
        most are kernels.
        """
        shapes = list(self.read_by_row or self.tables.values())
        named = next((shape for name, shape in self.tables.items() if _has(name, _WORDS)), None)
        tokens = named or max(self.read_by_row or (), default=None)
        if tokens is not None and tokens in shapes:
            shapes.remove(tokens)
        found = [
            rows for rows, width in shapes if rows > _MOST_SEGMENTS and (tokens is None or width == tokens[1])
        ]
        return found, bool(self.read_by_row)


def _has(name: str, parts: Sequence[str]) -> bool:
    return any(part in name for part in parts)


def check_stored(name: str, shape: Sequence[int], n_bytes: int, where: str) -> None:
    """Raises DamagedModelError where more numbers are spoken of than can be stored in so many bytes.

    Half a byte a number is the narrowest that models are stored in.
    """
    if any(size < 0 for size in shape) or math.prod(shape) > 2 * n_bytes:
        raise DamagedModelError(
            f"{name[:100]!r} in {where} is to have the shape {list(shape)}, and {n_bytes} bytes are stored",
            "as many numbers as are stored",
            "copy or export the model again",
        )


def beside(folder: Path, graph: Path, name: str) -> Path:
    """A file that a graph refers to, which has to lie in the graph's own folder, or below it.

    Raises:
        NotAPresetError: the name leads out of the folder, or is a link that does.
        DamagedModelError: there is no such file.
    """
    place = folder / name
    parts = name.replace("\\", "/").split("/")
    # A cache may hold all files of a folder as links into one other folder: that of the graph itself.
    homes = (folder.resolve(), graph.resolve().parent)
    inside = "\0" not in name and "" not in parts and ".." not in parts and ":" not in parts[0]
    if not inside or not any(place.resolve().is_relative_to(home) for home in homes):
        raise NotAPresetError(
            f"{graph} refers to the file {name[:200]!r}",
            "files inside the model's own folder",
            "export the model again, with its weights beside it",
        )
    if not place.is_file():
        raise DamagedModelError(
            f"{graph} refers to {name[:200]!r}, which is not there", "a whole folder", "copy the model again"
        )
    return place
