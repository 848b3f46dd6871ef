"""Masked language modelling: guessing hidden tokens, shared by all families."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.backbone import Backbone, check_backbone, text_inputs
from sparkxlmr.models.batches import TextBatches
from sparkxlmr.models.called_preprocessor import check_segments, is_called
from sparkxlmr.models.fill_mask import fill_masks
from sparkxlmr.models.masked_lm_head import MaskedLMHead
from sparkxlmr.models.masked_lm_preprocessor import MaskedLMPreprocessor
from sparkxlmr.models.raw_texts import BATCH_SIZE, first_texts, in_given_order
from sparkxlmr.models.task import Task
from sparkxlmr.models.texts import as_texts, is_one
from sparkxlmr.presets.config import MaskedLMConfig
from sparkxlmr.presets.preset import Preset
from sparkxlmr.text.masks import mask_positions
from sparkxlmr.text.tokenizer import Encoded


class MaskedLM(Task):
    """Base of the masked language models. ``MaskedLM.from_preset`` gives the right one for a preset.

    Calling one with the encoder's inputs and ``mask_positions`` (b, p) answers logits (b, p, vocabulary). In
    ``fit`` and ``evaluate`` the preprocessor hides tokens at random, other ones in each epoch and the same at
    each evaluation; ``predict`` hides nothing and answers at the mask tokens that the texts spell.

    Args:
        backbone: an encoder of the same family.
        preprocessor: hides tokens of raw texts; None means that integers are fed, with labels (b, p).
        activation: of the head's dense layer; None takes the family's.
        layer_norm_epsilon: of the head's normalisation.
        compile: whether to compile as ``compile()`` does.
    """

    kind = "masked_lm"
    _makes_labels = True

    def __init__(
        self,
        backbone: Backbone,
        preprocessor: MaskedLMPreprocessor | None = None,
        activation: str | None = None,
        layer_norm_epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        check_backbone(type(self), backbone)
        usual = MaskedLMConfig.of_keras_hub(backbone.shape())
        config = MaskedLMConfig(activation or usual.activation, layer_norm_epsilon)
        # === Layers ===
        head = MaskedLMHead(
            backbone.token_embedding,
            config.activation,
            config.layer_norm_epsilon,
            dtype=backbone.dtype_policy,
            name="mlm_head",
        )

        # === Functional graph ===
        inputs = {**backbone.input, **text_inputs("mask_positions")}
        sequence, _ = backbone.unpack(backbone(backbone.input))
        outputs = head(sequence, inputs["mask_positions"])
        super().__init__(backbone, preprocessor, inputs, outputs, **kwargs)

        # === Config ===
        self.masked_lm_head = head
        self._head_config = config

    def compile(
        self, optimizer: Any = "auto", loss: Any = "auto", *, weighted_metrics: Any = "auto", **kwargs: Any
    ) -> None:
        """As ``keras.Model.compile``; ``"auto"`` takes what keras-hub takes.

        That is Adam (5e-5), sparse categorical cross-entropy from logits and sparse categorical accuracy,
        both over the hidden tokens alone. The loss is their mean (keras-hub divides by padded places too;
        here their number differs from batch to batch).
        """
        if isinstance(loss, str) and loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            )
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = [keras.metrics.SparseCategoricalAccuracy()]
        super().compile(optimizer, loss, weighted_metrics=weighted_metrics, **kwargs)

    def predict(
        self, x: Any, batch_size: int | None = None, *, steps: int | None = None, **kwargs: Any
    ) -> Any:
        """Logits at the mask tokens of raw texts: (n, most masks of a text, vocabulary).

        Rows of a text with fewer masks are padded with what has no meaning. See :meth:`fill_mask` for words.
        For integers, and for a ``tf.data.Dataset``, as ``keras.Model.predict``; of a data set of texts
        ``mask_selection_length`` places are answered.
        """
        if not self._is_raw(x) or is_called(self.preprocessor):
            return super().predict(x, batch_size=batch_size, steps=steps, **kwargs)
        preprocessor = self._needed_preprocessor()
        texts = first_texts(as_texts(x), batch_size, steps)
        check_segments(texts, self.backbone)
        encoded = preprocessor.encode(texts)
        n_masks = max(map(len, mask_positions(encoded.ids, preprocessor.tokenizer.mask_token_id)), default=0)
        if n_masks == 0:
            return np.zeros((len(encoded.ids), 0, self.output_shape[-1]), dtype=self.compute_dtype)

        def answer(columns: Any, *_: Any) -> tuple[Any, None, None]:
            ids, segment_ids = (*columns, None)[:2]
            part = Encoded(ids, [False] * len(ids), segment_ids)
            return preprocessor.pack_masks(part, n_masks), None, None

        columns = (encoded.ids,) if encoded.segment_ids is None else (encoded.ids, encoded.segment_ids)
        batches = TextBatches(columns, answer, batch_size=batch_size or BATCH_SIZE, order="length")
        return in_given_order(super().predict(batches.feed(), **kwargs), batches.rows)

    def fill_mask(
        self, texts: str | Sequence[str], top_k: int = 5, targets: Sequence[str] | None = None
    ) -> Any:
        """The likeliest tokens for the masks that texts spell (``<mask>``, ``[MASK]`` for ALBERT).

        The full vocabulary's logits exist for a bounded number of masks at a time, however many there are.

        Args:
            texts: one text or a list of texts, each with any number of masks. Of a text that is longer than
                the preprocessor's ``sequence_length`` the masks beyond it are not answered.
            top_k: how many tokens for each mask.
            targets: tokens to choose from, as pieces (``"▁Paris"``) or as words of one piece (``"Paris"``);
                scores stay those among the whole vocabulary (all rows of the model, as in transformers).

        Returns:
            For one text a list with one list a mask, in their order, each of ``top_k``
            :class:`~sparkxlmr.text.filled_masks.FilledMask`, best first; for a list of texts a list of those.

        Raises:
            SettingError: ``top_k`` below 1, a target that the vocabulary lacks, or a model without
                preprocessor.
            InputError: something that is no text, or pairs.
            NonFiniteOutputError: the logits of some texts are NaN or infinite; it has their positions.

        >>> model = MaskedLM.from_preset("xlm_roberta_tiny_masked_lm")
        >>> filled = model.fill_mask("The <mask> of the <mask>", top_k=3)
        >>> [len(best) for best in filled]
        [3, 3]
        >>> model.fill_mask("The president of the  United <mask>", top_k=1)[0][0].text
        'The president of the  United Nations'
        """
        columns = as_texts(texts)
        if len(columns) > 1:
            raise InputError("texts is a tuple, which means pairs", "one text or a list", "pass a list")
        found = fill_masks(self, self._needed_preprocessor(), columns[0], top_k, targets)
        return found[0] if is_one(texts) else found

    def _needed_preprocessor(self) -> MaskedLMPreprocessor:
        if self.preprocessor is None:
            raise SettingError(
                f"This {type(self).__name__} has no preprocessor",
                "one, to read texts",
                "set its preprocessor, or feed integers to predict",
            )
        if not isinstance(self.preprocessor, MaskedLMPreprocessor):
            raise SettingError(
                f"The preprocessor is {self.preprocessor!r:.80}",
                f"a {self.preprocessor_cls.__name__}, to read texts with masks",
                "set one as this model's preprocessor",
            )
        self._fitting_preprocessor()
        return self.preprocessor

    # --- the parts, and presets ---

    def head_config(self) -> MaskedLMConfig:
        return self._head_config

    def head_layers(self) -> dict[str, keras.layers.Layer]:
        head = self.masked_lm_head
        return {"masked_lm.dense": head.dense, "masked_lm.norm": head.norm, "masked_lm": head}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **vars(self._head_config)}

    @classmethod
    def saved_head(cls, preset: Preset, asked: dict[str, Any]) -> dict[str, Any] | None:
        if isinstance(preset.task, MaskedLMConfig):
            return dict(vars(preset.task))
        holds = "an encoder without a head" if preset.task is None else f"the head of a {preset.task.kind}"
        if preset.layout != "keras_hub":
            raise SettingError(
                f"The checkpoint {preset.path} holds {holds}",
                "one of a masked language model",
                f"for a new head pass {cls.backbone_cls.__name__}.from_preset(...) and "
                f"{cls.preprocessor_cls.__name__}.from_preset(...) to {cls.__name__}, then train",
            )
        warnings.warn(
            f"The preset {preset.path} holds {holds}: as in keras-hub the head of this masked language model "
            "is new and at its random start (its output matrix is the encoder's). Train it before use.",
            stacklevel=3,
        )
        return None
