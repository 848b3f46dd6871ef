"""Raw texts to what a masked language model learns from: some tokens hidden, and what stood there."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError
from sparkxlmr.models.batches import new_seed, on_tensors
from sparkxlmr.models.packers import MaskedLMMaskGenerator
from sparkxlmr.models.preprocessor import Preprocessor
from sparkxlmr.models.texts import Texts, as_texts, is_one
from sparkxlmr.models.tokenizer import Tokenizer
from sparkxlmr.presets.config import check_count
from sparkxlmr.text.masks import mask_positions, pack_positions
from sparkxlmr.text.packing import pack, width_for
from sparkxlmr.text.tokenizer import Encoded


def _of_masker(name: str) -> Any:
    """A property that is the masker's attribute of the same name."""

    def read(self: Any) -> Any:
        return getattr(self.masker, name)

    def write(self: Any, value: Any) -> None:
        setattr(self.masker, name, value)

    return property(read, write, doc=f"The masker's ``{name}``.")


POSITION_WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128)


class MaskedLMPreprocessor(Preprocessor):
    """Texts, or pairs, with tokens hidden at random as BERT is trained (Devlin et al. 2019).

    Args:
        tokenizer, sequence_length, truncate, name, dtype, trainable: as
            :class:`~sparkxlmr.models.preprocessor.Preprocessor`.
        mask_selection_rate: the share of a text's ordinary tokens that is chosen.
        mask_selection_length: the most tokens that are chosen in a text.
        mask_token_rate, random_token_rate: shares of the chosen that become the mask, and another token; the
            rest stays as it is.

    Called with texts it answers ``(x, y, sample_weight)``, other ones at each call: ``x`` is the encoder's
    inputs of ``sequence_length`` columns and ``mask_positions``; ``y`` the ids that stood there, int32, and
    ``sample_weight`` 1.0 where a token was chosen and 0.0 on padding: each (n, ``mask_selection_length``).
    ``keras.utils.set_random_seed`` makes it repeatable.

    Raises:
        SettingError: as the base; a rate outside 0 to 1, the two shares together above 1, or a
            ``mask_selection_length`` below 1.
    """

    kind = "masked_lm"

    def __init__(
        self,
        tokenizer: Tokenizer,
        sequence_length: int = 512,
        truncate: str = "round_robin",
        mask_selection_rate: float = 0.15,
        mask_selection_length: int = 96,
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, sequence_length, truncate, **kwargs)
        check_count("mask_selection_length", mask_selection_length)
        self._masker_text = self.tokenizer.text
        self._masker = self._masker_with(
            mask_selection_rate=mask_selection_rate,
            mask_selection_length=int(mask_selection_length),
            mask_token_rate=mask_token_rate,
            random_token_rate=random_token_rate,
        )

    @property
    def masker(self) -> MaskedLMMaskGenerator:
        """The layer that hides tokens; its settings are this preprocessor's."""
        if self._masker_text is not self.tokenizer.text:  # the tokenizer may get another vocabulary
            self._masker_text = self.tokenizer.text
            names = ("mask_selection_rate", "mask_selection_length", "mask_token_rate", "random_token_rate")
            self._masker = self._masker_with(**{name: getattr(self._masker, name) for name in names})
        return self._masker

    def _masker_with(self, **settings: Any) -> MaskedLMMaskGenerator:
        text = self.tokenizer.text
        return MaskedLMMaskGenerator(
            text.vocabulary_size,
            mask_token_id=text.mask_id,
            unselectable_token_ids=text.special_ids,
            **settings,
        )

    mask_selection_rate = _of_masker("mask_selection_rate")
    mask_selection_length = _of_masker("mask_selection_length")
    mask_token_rate = _of_masker("mask_token_rate")
    random_token_rate = _of_masker("random_token_rate")

    def call(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return ``(x, y, sample_weight)`` for texts; arguments and errors: :class:`MaskedLMPreprocessor`."""
        refuse_labels(y, sample_weight)
        return on_tensors(self._whole_width, x)

    def _whole_width(self, x: Any) -> Any:
        rng = np.random.default_rng(new_seed())
        parts = self._hidden(
            as_texts(x, one_sample=True), rng, self.sequence_length, self.mask_selection_length
        )
        return keras.tree.map_structure(lambda array: array[0], parts) if is_one(x) else parts

    def samples(self, texts: Texts, y: Any, sample_weight: Any, rng: np.random.Generator) -> tuple[Any, ...]:
        refuse_labels(y, sample_weight)
        return self._hidden(texts, rng, None, None)

    def features(self, texts: Texts, width: int | None = None) -> dict[str, np.ndarray]:
        """What a model is fed to fill the mask tokens that the texts spell; nothing else is hidden.

        ``mask_positions`` is int32 (n, ``mask_selection_length``), padded with 0.

        Raises:
            InputError: a text has more mask tokens than that.
        """
        return self.pack_masks(self.encode(texts), self.mask_selection_length, width)

    def pack_masks(
        self, encoded: Encoded, n_positions: int | None = None, width: int | None = None
    ) -> dict[str, np.ndarray]:
        """The model's inputs for the mask tokens among some ids, ``n_positions`` wide, or as wide as needed.

        Raises:
            InputError: a text has more mask tokens than ``n_positions``.
        """
        found = mask_positions(encoded.ids, self.tokenizer.text.mask_id)
        most = max(map(len, found), default=0)
        if n_positions is not None and most > n_positions:
            raise InputError(
                f"A text has {most} mask tokens",
                f"at most {n_positions}",
                "raise the preprocessor's mask_selection_length, or use fill_mask",
            )
        return {**self.pack(encoded, width), "mask_positions": pack_positions(found, n_positions)[0]}

    def _hidden(
        self, texts: Texts, rng: np.random.Generator, width: int | None, n_positions: int | None
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        encoded = self.encode(texts)
        ids, positions, originals = self.masker.choose(encoded.ids, rng)
        if n_positions is None:
            most = max(map(len, positions), default=1)
            n_positions = width_for(most, self.mask_selection_length, POSITION_WIDTHS)
        packed, weights = pack_positions(positions, n_positions)
        features = self.pack(Encoded(ids, encoded.truncated, encoded.segment_ids), width)
        return {**features, "mask_positions": packed}, pack(originals, 0, n_positions)[0], weights

    def compute_output_spec(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return the shapes and dtypes of the outputs for symbolic inputs."""
        features = super().compute_output_spec(x)
        batch = (x[0] if isinstance(x, tuple) else x).shape
        shape = (*batch, self.mask_selection_length)
        features["mask_positions"] = keras.KerasTensor(shape, dtype="int32", name="mask_positions")
        return features, keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor(shape, dtype="float32")

    @classmethod
    def saved_settings(cls, preset: Any) -> dict[str, Any]:
        return {**super().saved_settings(preset), **preset.masking}

    def contents(self) -> dict[str, Any]:
        return {**super().contents(), "masking": self._masking()}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, how pieces are hidden among them."""
        return {**super().get_config(), **self._masking()}

    def _masking(self) -> dict[str, Any]:
        return {
            "mask_selection_rate": self.mask_selection_rate,
            "mask_selection_length": self.mask_selection_length,
            "mask_token_rate": self.mask_token_rate,
            "random_token_rate": self.random_token_rate,
        }


def refuse_labels(y: Any, sample_weight: Any) -> None:
    """Raises InputError where a masked language model is given labels of its own for raw texts."""
    if y is not None or sample_weight is not None:
        raise InputError(
            "Labels or weights came along with the texts",
            "texts alone: what a masked language model learns is in them",
            "leave y and sample_weight out",
        )
