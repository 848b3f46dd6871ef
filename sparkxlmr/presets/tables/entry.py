"""One weight and where it stands, and what an architecture is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkxlmr.errors import WeightsError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """One weight: its name and shape here, in keras-hub's h5 file, and at Hugging Face.

    Attributes:
        hub_file: ``"model"`` (``model.weights.h5``) or ``"task"`` (``task.weights.h5``).
        hf_keys: without the family's prefix, which only the encoder's keys (not ``hf_head``) may have.
        hf_rule: ``"same"``, ``"transpose"`` or ``"positions"``.
        hf_copies: further keys of the same weight, without prefix: tied matrices that some versions of
            transformers save twice. A copy may stand in for the weight, and must equal it.
        hf_absent: what the weight is where a checkpoint may lack it: ``"identity"`` or ``"zeros"``.
    """

    name: str
    shape: Shape
    hub_file: str
    hub_path: str
    hub_shape: Shape
    hf_keys: tuple[str, ...]
    hf_rule: str = "same"
    hf_head: bool = False
    hf_copies: tuple[str, ...] = ()
    hf_absent: str | None = None

    @property
    def hf_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """The shape under each of ``hf_keys``; None where any size from 1 on will do."""
        if self.hf_rule == "transpose":
            return (self.shape[::-1],)
        if self.hf_rule == "positions":
            # Hugging Face begins positions at pad_id + 1 = 2, and adds token type 0 to every place.
            return (self.shape[0] + 2, self.shape[1]), (None, self.shape[1])
        return (self.shape,)

    def from_hf(self, arrays: list[np.ndarray]) -> np.ndarray:
        """The canonical array of Hugging Face's; the order is that of ``hf_keys``."""
        if self.hf_rule == "transpose":
            return arrays[0].T
        if self.hf_rule == "positions":
            positions, token_types = arrays
            wide = np.result_type(positions, token_types, np.float32)
            return positions[2:].astype(wide) + token_types[0].astype(wide)
        return arrays[0]

    def to_hf(self, array: np.ndarray) -> list[np.ndarray]:
        """Hugging Face's arrays of the canonical one; :meth:`from_hf` gives exactly the same back."""
        if self.hf_rule == "transpose":
            return [array.T]
        if self.hf_rule == "positions":
            none = np.zeros((1, array.shape[1]), array.dtype)
            return [np.concatenate([none, none, array]), none]
        return [array]

    def default(self) -> np.ndarray:
        """The weight where ``hf_absent`` allows that a checkpoint lacks it, float32."""
        if self.hf_absent == "identity":
            return np.eye(*self.shape, dtype=np.float32)
        return np.zeros(self.shape, np.float32)


@dataclass(frozen=True)
class Architecture:
    """What a family of models is called on disk, and its weights.

    Attributes:
        hub_module: keras-hub's package of the family; ``hub_name`` begins its module and layer names, and
            ``hub_class`` its class names.
        hf_type: Hugging Face's ``model_type``; ``hf_class`` begins its class names, and ``hf_prefix`` its
            encoder's keys in a checkpoint with a head; ``hf_vocabulary`` is its SentencePiece model's file.
        hf_ignored: encoder keys, without prefix, that no output here depends on.
        hf_ignored_heads: other keys that no output here depends on.
        encoder: the encoder's weights; whether a checkpoint may lack its pooler depends on the kind of task.
        heads: the kinds of task, each with its head's weights.
        encoder_groups: every ``vars`` group of keras-hub's ``model.weights.h5`` and the Keras name of its
            layer; ``head_groups`` the same for the head's part of ``task.weights.h5``, by kind.
    """

    family: str
    hub_module: str
    hub_name: str
    hub_class: str
    hf_type: str
    hf_class: str
    hf_prefix: str
    hf_vocabulary: str
    hf_ignored: tuple[str, ...]
    hf_ignored_heads: tuple[str, ...]
    encoder: Callable[[Any, str | None], Iterator[Entry]]
    heads: Mapping[str, Callable[[Any, Any], Iterator[Entry]]]
    encoder_groups: Callable[[Any], dict[str, str]]
    head_groups: Mapping[str, Mapping[str, str]]


def check(weights: Mapping[str, np.ndarray], expected: Iterable[Entry], where: str) -> None:
    """Each expected weight is there in its shape, and nothing else.

    Raises:
        WeightsError: names missing, unused, or of another shape, all of them named (the first few of many).
    """
    shapes = {entry.name: entry.shape for entry in expected}
    refuse_names(shapes.keys() - weights.keys(), weights.keys() - shapes.keys(), where)
    for name, shape in shapes.items():
        refuse_shape(name, weights[name].shape, shape, where)


def refuse_names(missing: Iterable[str], unused: Iterable[str], where: str) -> None:
    """Raises WeightsError where either list has a name."""
    missing, unused = sorted(missing), sorted(unused)
    if not missing and not unused:
        return
    parts = [
        f"{title}: {_few(names)}" for title, names in (("missing", missing), ("not used", unused)) if names
    ]
    raise WeightsError(
        f"The weights of {where} do not fit the model ({'; '.join(parts)})",
        "exactly the weights that its configuration asks for",
        "check that configuration and weights belong together",
    )


def refuse_shape(name: str, found: Shape, expected: tuple[int | None, ...], where: str) -> None:
    """Raises WeightsError where the two shapes differ; None stands for any size from 1 on."""
    fits = len(found) == len(expected) and all(
        size == wanted or (wanted is None and size > 0) for size, wanted in zip(found, expected, strict=True)
    )
    if not fits:
        raise WeightsError(
            f"The weight {name} of {where} has the shape {tuple(found)}",
            f"the shape {tuple(expected)}",
            "check that configuration and weights belong together",
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
