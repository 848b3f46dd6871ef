"""Layers between a tokenizer and an encoder, with keras-hub's names: joining segments, hiding tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.batches import new_seed
from sparkxlmr.models.preprocessing_layer import (
    PreprocessingLayer,
    as_rows,
    in_graph,
    is_ragged,
    is_traced,
    ragged_outputs,
    ragged_tensor,
)
from sparkxlmr.presets.config import check_count
from sparkxlmr.text.masks import choose_masks, pack_positions
from sparkxlmr.text.packing import pack
from sparkxlmr.text.segments import check_truncate, join_segments

_MASKED_PARTS = ("token_ids", "mask_positions", "mask_ids", "mask_weights")


@keras.saving.register_keras_serializable(package="sparkxlmr")
class MultiSegmentPacker(PreprocessingLayer):
    """Join tokenized segments into one padded sequence; the ``packer`` of a preprocessor.

    Args:
        sequence_length: the number of columns, special ids included.
        start_value: the id, or list of ids, before the first segment.
        end_value: the id or ids after the last segment.
        sep_value: the id or ids between two segments; None takes ``end_value``.
        pad_value: the id of padding; None is 0.
        truncate: ``"round_robin"`` assigns the room one id at a time to each segment in turn,
            ``"waterfall"`` fills the first segment before the next.
        padding_side: ``"right"`` or ``"left"``.
        name, dtype, trainable: as for every Keras layer.

    Called with one list of ids, or with a tuple of one per segment (or of lists of lists, arrays or ragged
    tensors for a batch), it returns ``(token_ids, segment_ids)``: int32 arrays of shape (sequence_length,) or
    (n, sequence_length). The segment id of padding is 0.

    Raises:
        SettingError: an unknown ``truncate`` or ``padding_side``, or a ``sequence_length`` below the number
            of special ids.
        InputError: segments that are not equally many.

    >>> packer = MultiSegmentPacker(8, start_value=101, end_value=102)
    >>> token_ids, segment_ids = packer(([1, 2, 3, 4], [11, 12, 13, 14]))
    >>> token_ids.tolist(), segment_ids.tolist()
    ([101, 1, 2, 3, 102, 11, 12, 102], [0, 0, 0, 0, 0, 1, 1, 1])
    """

    def __init__(
        self,
        sequence_length: int,
        start_value: Any,
        end_value: Any,
        sep_value: Any = None,
        pad_value: Any = None,
        truncate: str = "round_robin",
        padding_side: str = "right",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("sequence_length", sequence_length)
        check_truncate(truncate)
        if padding_side not in ("right", "left"):
            raise SettingError(
                f"padding_side is {padding_side!r}", "'right' or 'left'", "pass one of the two"
            )
        self.sequence_length = sequence_length
        self.start_value = _as_list(start_value)
        self.end_value = _as_list(end_value)
        self.sep_value = self.end_value if sep_value is None else _as_list(sep_value)
        self.pad_value = pad_value
        self.truncate = truncate
        self.padding_side = padding_side

    def call(
        self,
        inputs: Any,
        sequence_length: int | None = None,
        add_start_value: bool = True,
        add_end_value: bool = True,
    ) -> tuple[Any, Any]:
        """Return the packed ids and their segments, both int32 (..., sequence_length)."""
        columns = inputs if isinstance(inputs, tuple) else (inputs,)
        length = int(sequence_length or self.sequence_length)
        ends = (add_start_value, add_end_value)
        if not any(map(is_traced, columns)):
            return self._packed(columns, length, *ends)
        batched = is_ragged(columns[0]) or columns[0].shape.rank == 2
        shape = (None, length) if batched else (length,)
        dtype = object if columns[0].dtype == "string" else np.int32
        outputs = [(dtype, shape), (np.int32, shape)]
        token_ids, segment_ids = in_graph(lambda c: self._packed(c, length, *ends, batched), columns, outputs)
        return token_ids, segment_ids

    def _packed(
        self, columns: tuple[Any, ...], length: int, start: bool, end: bool, batched: bool | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        found = [as_rows(column) for column in columns]
        segments = [rows for rows, _ in found]
        several = batched if batched is not None else any(flag for _, flag in found)
        if batched and not any(flag for _, flag in found):
            segments = [[] for _ in segments]  # a batch of no rows
        if len({len(rows) for rows in segments}) != 1:
            raise InputError(
                f"The segments have {[len(rows) for rows in segments]} rows",
                "as many rows in each segment",
                "pass a tuple of equally long lists",
            )
        starts, ends = self.start_value if start else [], self.end_value if end else []
        room = length - len(starts) - len(ends) - len(self.sep_value) * (len(segments) - 1)
        if room < 0:
            raise SettingError(
                f"sequence_length is {length}",
                f"at least {length - room}, the special ids of {len(segments)} segments",
                "pass a larger sequence_length",
            )
        rows = [
            join_segments(row, starts, self.sep_value, ends, room, self.truncate)
            for row in zip(*segments, strict=True)
        ]
        token_ids = self._padded([row.ids for row in rows], length, self.pad_value)
        segment_ids = self._padded([row.segment_ids for row in rows], length, 0)
        return (token_ids, segment_ids) if several else (token_ids[0], segment_ids[0])

    def _padded(self, rows: list[list[Any]], length: int, pad_value: Any) -> np.ndarray:
        is_text = any(isinstance(value, str) for row in rows for value in row[:1])
        fill = pad_value if pad_value is not None else "" if is_text else 0
        whole = [
            row + [fill] * (length - len(row))
            if self.padding_side == "right"
            else [fill] * (length - len(row)) + row
            for row in rows
        ]
        return np.array(whole, None if is_text else np.int32).reshape(len(rows), length)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "start_value": list(self.start_value),
            "end_value": list(self.end_value),
            "sep_value": list(self.sep_value),
            "pad_value": self.pad_value,
            "truncate": self.truncate,
            "padding_side": self.padding_side,
        }

    def compute_output_shape(self, inputs_shape: Any) -> Any:
        """The shapes of token and segment ids for the shape of one segment, or of several."""
        first = inputs_shape[0] if isinstance(inputs_shape[0], (list, tuple)) else inputs_shape
        shape = (*first[:-1], self.sequence_length)
        return shape, shape

    def compute_output_spec(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the shapes and dtypes of the outputs for symbolic inputs."""
        first = inputs[0] if isinstance(inputs, tuple) else inputs
        shape = (*first.shape[:-1], self.sequence_length)
        return keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor(shape, dtype="int32")


@keras.saving.register_keras_serializable(package="sparkxlmr")
class MaskedLMMaskGenerator(PreprocessingLayer):
    """Hide tokens at random as BERT is trained (Devlin et al. 2019); the ``masker`` of a preprocessor.

    Args:
        vocabulary_size: ids are from 0 to one below.
        mask_selection_rate: the share of a sequence's selectable tokens that is selected.
        mask_token_id: the id of the mask.
        mask_selection_length: the most tokens selected in a sequence; None selects without a bound and
            returns lists of lists.
        unselectable_token_ids: ids that are never selected and never inserted.
        mask_token_rate, random_token_rate: shares of the selected tokens that become the mask, and another
            token.
        name, dtype, trainable: as for every Keras layer.

    Called with ids of one or several sequences it returns ``{"token_ids", "mask_positions", "mask_ids",
    "mask_weights"}``, different at each call; ``keras.utils.set_random_seed`` makes it repeatable.

    Raises:
        SettingError: a rate outside 0 to 1, the two shares together above 1, or a ``mask_token_id`` outside
            the vocabulary.

    >>> masker = MaskedLMMaskGenerator(10, 0.5, mask_token_id=9, mask_selection_length=3)
    >>> outputs = masker([[5, 6, 7, 8], [5, 6, 0, 0]])
    >>> {name: array.shape for name, array in outputs.items()}
    {'token_ids': (2, 4), 'mask_positions': (2, 3), 'mask_ids': (2, 3), 'mask_weights': (2, 3)}
    """

    def __init__(
        self,
        vocabulary_size: int,
        mask_selection_rate: float,
        mask_token_id: int,
        mask_selection_length: int | None = None,
        unselectable_token_ids: Collection[int] = (0,),
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("vocabulary_size", vocabulary_size)
        if mask_selection_length is not None:
            check_count("mask_selection_length", mask_selection_length)
        if not 0 <= mask_token_id < vocabulary_size:
            raise SettingError(
                f"mask_token_id is {mask_token_id}", f"an id below {vocabulary_size}", "pass the mask's id"
            )
        self.vocabulary_size = vocabulary_size
        self.mask_selection_rate = mask_selection_rate
        self.mask_token_id = mask_token_id
        self.mask_selection_length = mask_selection_length
        self.unselectable_token_ids = sorted(unselectable_token_ids)
        self.mask_token_rate = mask_token_rate
        self.random_token_rate = random_token_rate
        self.choose([], np.random.default_rng(0))  # checks the rates

    def choose(
        self, ids: Sequence[Sequence[int]], rng: np.random.Generator
    ) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        """Return masked ids, positions and original ids of each sequence, not padded.

        See :func:`sparkxlmr.text.masks.choose_masks`.
        """
        return choose_masks(
            ids,
            rng,
            self.unselectable_token_ids,
            self.mask_token_id,
            self.vocabulary_size,
            self.mask_selection_rate,
            self.mask_selection_length,
            self.mask_token_rate,
            self.random_token_rate,
        )

    def call(self, inputs: Any) -> dict[str, Any]:
        """Return the ids with some of them masked, and which ones: see :class:`MaskedLMMaskGenerator`."""
        if not is_traced(inputs):
            rows, several = as_rows(inputs)
            found = self._masked(rows)
            return found if several else {name: value[0] for name, value in found.items()}
        return self._in_graph(inputs)

    def _in_graph(self, inputs: Any) -> dict[str, Any]:
        n = self.mask_selection_length
        single = not is_ragged(inputs) and inputs.shape.rank == 1
        batch = () if single else (None,)
        ids_shape = None if is_ragged(inputs) else tuple(inputs.shape)
        shapes = [ids_shape, *[None if n is None else (*batch, n)] * 3]  # None: ragged
        dtypes = (np.int32, np.int32, np.int32, np.float32)

        def run(ids: Any) -> list[np.ndarray]:
            arrays: list[np.ndarray] = []
            found = self._masked(as_rows(ids)[0])
            for value, shape, dtype in zip(found.values(), shapes, dtypes, strict=True):
                if shape is None:
                    arrays += ragged_outputs([list(row) for row in value], dtype)
                else:
                    arrays.append(np.asarray(value[0] if single else value, dtype))
            return arrays

        outputs: list[Any] = []
        for shape, dtype in zip(shapes, dtypes, strict=True):
            outputs += [(dtype, shape)] if shape is not None else [(dtype, (None,)), (np.int64, (None,))]
        flat = iter(in_graph(run, inputs, outputs))
        made = []
        for shape in shapes:
            values = next(flat)
            lengths = next(flat) if shape is None else None
            made.append(values if shape is not None or single else ragged_tensor(values, lengths))
        return dict(zip(_MASKED_PARTS, made, strict=True))

    def _masked(self, rows: list[list[int]]) -> dict[str, Any]:
        ids, positions, originals = self.choose(rows, np.random.default_rng(new_seed()))
        n = self.mask_selection_length
        if n is None:
            weights = [[1.0] * len(row) for row in positions]
            parts: tuple[Any, ...] = (ids, positions, originals, weights)
        else:
            packed, packed_weights = pack_positions(positions, n)
            even = len({len(row) for row in ids}) == 1
            parts = (
                np.array(ids, np.int32) if even else ids,
                packed,
                pack(originals, 0, n)[0],
                packed_weights,
            )
        return dict(zip(_MASKED_PARTS, parts, strict=True))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "mask_selection_rate": self.mask_selection_rate,
            "mask_token_id": self.mask_token_id,
            "mask_selection_length": self.mask_selection_length,
            "unselectable_token_ids": list(self.unselectable_token_ids),
            "mask_token_rate": self.mask_token_rate,
            "random_token_rate": self.random_token_rate,
        }


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
