"""A Keras model that refuses inputs and labels which a backend would misread, on every backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from sparkxlmr.errors import InputError, SettingError
from sparkxlmr.models.batches import FirstError, is_tf_dataset
from sparkxlmr.models.called_preprocessor import is_called
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

    def _checked_samples(
        self, texts: Texts, y: Any, sample_weight: Any, follow: bool = True
    ) -> tuple[Any, Any]:
        """The labels and weights of raw texts, after a check of all three; see :meth:`_checked_labels`.

        A preprocessor that is called may convert or make labels: only their number is checked here, and
        :meth:`_checked_result` checks what it returns.
        """
        if not texts[0]:
            raise InputError("There are no texts", "at least one", "check the inputs")
        if is_called(self.preprocessor):
            y, sample_weight = as_labels(y, any_dtype=True), as_labels(sample_weight, "weights")
        else:
            y, sample_weight = as_labels(y), self._checked_weights(sample_weight, follow)
        check_same_length(len(texts[0]), labels=y, sample_weights=sample_weight)
        if not self._makes_labels and not is_called(self.preprocessor):
            y = self._checked_labels(y, follow)
        return y, sample_weight

    def _checked_result(
        self, n: int, x: Any, y: Any = None, sample_weight: Any = None, needs_labels: bool = True
    ) -> tuple[Any, Any, Any]:
        """What a called preprocessor returned for ``n`` texts, after the checks of a user's own arrays."""
        if not isinstance(x, Mapping):
            raise InputError(
                f"The preprocessor returned inputs of type {type(x).__name__}",
                f"a dict with the keys {list(self.input)}",
                "return what the encoder reads, by name",
            )
        self._check_inputs(x)
        y, sample_weight = as_labels(y), self._checked_weights(sample_weight, follow=False)
        rows = {name: x[name] for name in self.input}
        for what, values in {**rows, "labels": y, "sample weights": sample_weight}.items():
            if values is not None and len(values) != n:
                raise InputError(
                    f"The preprocessor returned {len(values)} rows of {what} for {n} texts",
                    "one row for each text",
                    "correct the preprocessor",
                )
        if needs_labels or y is not None:
            y = self._checked_labels(y, follow=False)
        return x, y, sample_weight

    def _checked_labels(self, y: Any, follow: bool = True) -> Any:
        """The labels, after a check where the loss reads class indices and the training step is Keras' own.

        Class indices of the shape (..., 1) come back without the last axis: TensorFlow would trace a model
        that is fed with both shapes anew, without a rank, which the losses cannot read. ``follow`` as in
        :meth:`_checked_weights`.
        """
        rank, ignored = self._label_rank(), reads_class_indices(getattr(self, "loss", None))[1]
        if rank is None:
            if follow:
                self._follow_ranks(labels=y)
            return y
        if y is None:
            raise InputError("There are no labels", "one for each input", "pass them as y")
        check_class_indices(y, self.output_shape, ignored)
        return y if y.ndim == rank else y.reshape(y.shape[:-1])

    def _checked_weights(self, sample_weight: Any, follow: bool = True) -> Any:
        """Weights as an array, of the labels' rank where those are class indices.

        ``follow`` is False inside a data pipeline, where Keras uses the functions that
        :meth:`_follow_ranks` may delete.
        """
        weights, rank = as_labels(sample_weight, "weights"), self._label_rank()
        is_column = weights is not None and weights.ndim - 1 == rank and weights.shape[-1] == 1
        weights = weights.reshape(weights.shape[:-1]) if is_column else weights
        if follow:
            self._follow_ranks(weights=weights)
        return weights

    def _label_rank(self) -> int | None:
        """The rank of class indices; None where the loss or the model's own training step reads others."""
        reads, _ = reads_class_indices(getattr(self, "loss", None))
        if not reads or type(self).train_step is not keras.Model.train_step:
            return None
        return len(self.output_shape) - 1

    def _follow_ranks(self, **parts: Any) -> None:
        """Forget traced functions where labels or weights have another rank than before.

        TensorFlow would trace the same function for both ranks without a rank, which the losses cannot read.

        Args:
            parts: ``labels`` and ``weights``: arrays or specs of ``tf.data``; None is passed over.
        """
        before: dict[str, int] = getattr(self, "_last_ranks", {})
        ranks = {}
        for name, part in parts.items():
            shape = getattr(part, "shape", None)
            rank = getattr(shape, "rank", None if shape is None else len(shape))
            if rank is not None:
                ranks[name] = rank
        if any(before.get(name, rank) != rank for name, rank in ranks.items()):
            self.train_function = self.test_function = None
        if any(before.get(name) != rank for name, rank in ranks.items()):
            object.__setattr__(self, "_last_ranks", {**before, **ranks})  # Keras would wrap the dict

    def _followed(self, data: Any) -> Any:
        """The data that Keras is fed; a ``tf.data.Dataset`` after :meth:`_follow_ranks`."""
        if is_tf_dataset(data):
            _, y, weights = keras.utils.unpack_x_y_sample_weight(data.element_spec)
            self._follow_ranks(labels=y, weights=weights)
        return data

    def _checked_batch(
        self, x: Any, y: Any, sample_weight: Any, has_labels: bool = True, follow: bool = True
    ) -> Any:
        """The labels of inputs that are no texts, after a check of both."""
        self._check_inputs(x)
        return self._checked_labels(as_labels(y), follow) if has_labels else y
