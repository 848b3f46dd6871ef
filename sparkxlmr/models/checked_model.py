"""A Keras model that refuses inputs and labels which a backend would misread, on every backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.batches import FirstError
from sparkxlmr.models.input_checks import (
    as_labels,
    check_class_indices,
    check_features,
    check_same_length,
    reads_class_indices,
)
from sparkxlmr.models.texts import Texts, is_text


def own_inputs(model: Any, inputs: Any, limits: Mapping[str, int]) -> Any:
    """Return the entries of a dict that a functional model reads, checked; anything else as it is.

    Keras would match a dict with other keys to the model's inputs by their order.

    Raises:
        InputError: see :func:`~sparkxlmr.models.input_checks.check_features`.
    """
    if isinstance(inputs, Mapping) and isinstance(model.input, dict):
        check_features(inputs, model.input, limits)
    return selected(model, inputs)


def selected(model: Any, inputs: Any) -> Any:
    """Return the entries of a dict that a functional model reads; anything else as it is."""
    names = model.input
    if isinstance(inputs, Mapping) and isinstance(names, dict) and all(name in inputs for name in names):
        return {name: inputs[name] for name in names}
    return inputs


class CheckedModel(keras.Model):
    """Base of the tasks: checks of inputs and labels, with the package's errors."""

    backbone: Any
    preprocessor: Any
    # Whether the preprocessor makes the labels of raw texts.
    _makes_labels = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            args = (own_inputs(self, args[0], self.backbone.limits()), *args[1:])
        return super().__call__(*args, **kwargs)

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs as ``keras.Model`` does, for the named inputs of a dict that may have others."""
        return super().call(selected(self, inputs), *args, **kwargs)  # JAX' loops do not use __call__

    @contextmanager
    def _loop(self) -> Iterator[FirstError]:
        """Around a loop of Keras: a pipeline's error as it was raised, and no half-traced function."""
        errors, values = FirstError(), self._jax_values()
        try:
            yield errors
        except Exception as error:
            self._restore_jax_values(values)
            # A function that failed while it was traced would fail at each later call.
            self.train_function = self.test_function = self.predict_function = None
            if errors.error is not None and error is not errors.error:
                raise errors.error from None
            raise

    def _jax_values(self) -> list[tuple[Any, Any]]:
        """The variables and their values, which Keras takes from them while it loops on JAX."""
        if keras.backend.backend() != "jax":
            return []
        optimizer = getattr(self, "optimizer", None)
        variables = [*self.variables, *(optimizer.variables if optimizer is not None else ())]
        return [(variable, variable._value) for variable in variables]

    def _restore_jax_values(self, values: list[tuple[Any, Any]]) -> None:
        """Give variables back the state of the last step, or else that of before the loop."""
        if not values:
            return
        self.jax_state_sync()
        for variable, value in values:
            if variable._value is None and value is not None and not value.is_deleted():
                variable._value = value

    def _check_inputs(self, x: Any) -> None:
        """Check what goes to Keras as it is: a dict of the encoder's inputs, or what only Keras can judge."""
        names = self.input
        if isinstance(x, Mapping) and isinstance(names, dict):
            check_features(x, names, self.backbone.limits())
            if not isinstance(x, dict):
                raise InputError(f"The inputs are a {type(x).__name__}", "a dict", "pass dict(x)")
        elif x is None:
            raise InputError("The input is None", "texts, or a dict of the encoder's inputs", "pass them")
        elif self.preprocessor is None and is_text(x):
            raise SettingError(
                f"The input is texts, and this {type(self).__name__} has no preprocessor",
                f"a dict with the keys {list(names)}",
                "set its preprocessor, or pass what one returns",
            )

    def _checked_samples(self, texts: Texts, y: Any, sample_weight: Any) -> Any:
        """The labels of raw texts, after a check of all three; see :meth:`_checked_labels`."""
        if not texts[0]:
            raise InputError("There are no texts", "at least one", "check the inputs")
        check_same_length(len(texts[0]), labels=y, sample_weights=sample_weight)
        return y if self._makes_labels else self._checked_labels(y)

    def _checked_labels(self, y: Any) -> Any:
        """The labels, after a check where the loss reads class indices and the training step is Keras' own.

        Class indices of the shape (..., 1) come back without the last axis: TensorFlow would trace a model
        that is fed with both shapes anew, without a rank, which the losses cannot read.
        """
        rank, ignored = self._label_rank(), reads_class_indices(getattr(self, "loss", None))[1]
        if rank is None:
            self._follow_rank(None if y is None else np.ndim(y))
            return y
        if y is None:
            raise InputError("There are no labels", "one for each input", "pass them as y")
        check_class_indices(y, self.output_shape, ignored)
        return y if y.ndim == rank else y.reshape(y.shape[:-1])

    def _checked_weights(self, sample_weight: Any) -> Any:
        """Weights as an array, of the labels' rank where those are class indices."""
        weights, rank = as_labels(sample_weight, "weights"), self._label_rank()
        is_column = weights is not None and weights.ndim - 1 == rank and weights.shape[-1] == 1
        return weights.reshape(weights.shape[:-1]) if is_column else weights

    def _label_rank(self) -> int | None:
        """The rank of class indices; None where the loss or the model's own training step reads others."""
        reads, _ = reads_class_indices(getattr(self, "loss", None))
        if not reads or type(self).train_step is not keras.Model.train_step:
            return None
        return len(self.output_shape) - 1

    def _follow_rank(self, rank: int | None) -> None:
        """Forget traced functions where the labels of another loss have another rank than before."""
        before = getattr(self, "_last_label_rank", None)
        if rank is not None and before is not None and rank != before:
            self.train_function = self.test_function = None
        if rank is not None and rank != before:
            self._last_label_rank = rank

    def _checked_batch(self, x: Any, y: Any, sample_weight: Any, has_labels: bool = True) -> Any:
        """The labels of inputs that are no texts, after a check of both."""
        self._check_inputs(x)
        return self._checked_labels(as_labels(y)) if has_labels else y
