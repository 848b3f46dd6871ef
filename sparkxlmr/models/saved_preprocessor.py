"""The preprocessor in a task's Keras config, which holds the names of functions but not their code."""

from __future__ import annotations

import types
import warnings
from typing import Any

import keras

_REGISTER = (
    "Register it with keras.saving.register_keras_serializable, or set model.preprocessor after loading."
)


def serialize_preprocessor(preprocessor: Any) -> Any:
    """Return the config entry of a preprocessor; None for objects that Keras cannot serialize.

    Warns:
        UserWarning: ``preprocessor`` is a function or object that Keras cannot restore by itself.
    """
    if preprocessor is None or hasattr(preprocessor, "get_config"):
        return keras.saving.serialize_keras_object(preprocessor)
    is_named = isinstance(preprocessor, types.FunctionType) and preprocessor.__name__ != "<lambda>"
    if is_named:
        name = keras.saving.get_registered_name(preprocessor)
        if keras.saving.get_registered_object(name) is preprocessor:
            return keras.saving.serialize_keras_object(preprocessor)
    warnings.warn(
        f"The preprocessor is {preprocessor!r:.80}, which a .keras file cannot hold: the model is loaded "
        f"without a preprocessor. {_REGISTER}",
        stacklevel=3,
    )
    # The name of a function still serves callers that pass the function in custom_objects.
    return keras.saving.serialize_keras_object(preprocessor) if is_named else None


def deserialize_preprocessor(entry: Any, custom_objects: Any = None) -> Any:
    """Return the preprocessor of a config entry; None for a function that is not registered.

    Warns:
        UserWarning: the entry names a function that is neither registered nor in ``custom_objects``.
    """
    try:
        return keras.saving.deserialize_keras_object(entry, custom_objects=custom_objects)
    except TypeError:
        if not isinstance(entry, dict) or entry.get("class_name") != "function":
            raise
    warnings.warn(
        f"The model was saved with the function {entry.get('config')!r:.80} as its preprocessor, which is "
        f"not registered: it is loaded without a preprocessor. {_REGISTER}",
        stacklevel=3,
    )
    return None
