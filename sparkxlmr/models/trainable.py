"""Which layers of a model are frozen, and the names of models: what configs and presets keep of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from sparkxlmr.errors import SettingError
from sparkxlmr.presets.contents import KerasState

T = TypeVar("T")


def layer_flags(model: Any) -> dict[str, bool]:
    """Return the ``trainable`` flags that differ from those of the enclosing layer, by the layer's path.

    A path is the names of the layers below the model, joined by ``/``; a task's encoder is always called
    ``backbone``. The model's own flag is not included. A layer with LoRA counts as frozen, since its kernel
    and bias are. Parents precede their children, so that setting the flags in this order restores all of
    them.
    """
    flags: dict[str, bool] = {}
    inherited = {"": model.trainable}
    for path, layer in _layers_with_weights(model, ""):
        own = bool(layer.trainable) and not getattr(layer, "lora_enabled", False)
        inherited[path] = own
        if own != inherited[path.rpartition("/")[0]]:
            flags[path] = own
    return flags


def set_layer_flags(model: Any, flags: Mapping[str, bool]) -> None:
    """Set what :func:`layer_flags` returned; a flag is also set on the layers inside a layer.

    Raises:
        SettingError: the model has no layer at a path.
    """
    if not flags:
        return
    layers = dict(_layers_with_weights(model, ""))
    for path, flag in flags.items():
        if path not in layers:
            raise SettingError(
                f"{type(model).__name__} has no layer {path!r:.200}, which layer_trainable sets to {flag}",
                f"paths of its layers, such as {', '.join(list(layers)[:3])}",
                "load the model with the release that wrote it",
            )
        layers[path].trainable = bool(flag)


def keras_state(model: Any, default_name: str) -> KerasState:
    """Return what a preset keeps of a model: its name, and which of its layers are frozen."""
    name = stored_name(model, default_name)
    return KerasState(None if name == default_name else name, model.trainable, layer_flags(model))


def restored(state: KerasState, default_name: str) -> dict[str, Any]:
    """Return the constructor arguments that restore a :class:`KerasState`.

    The name is always one of them: Keras would number the second model of a process.
    """
    settings: dict[str, Any] = {"name": state.name or default_name}
    if not state.trainable:
        settings["trainable"] = False
    if state.layer_trainable:
        settings["layer_trainable"] = state.layer_trainable
    return settings


def make_restored(make: Callable[[dict[str, Any]], T], state: Mapping[str, Any], accepted: list[str]) -> T:
    """Return a model with the arguments of :func:`restored` set.

    A user's subclass may accept neither these arguments nor ``**kwargs``: flags are then set on the new
    model, and the name is the one that Keras chooses.

    Args:
        make: the constructor, called with those of the arguments that the class accepts.
        state: what :func:`restored` returned.
        accepted: the names of the arguments that the class accepts.
    """
    model = make({name: value for name, value in state.items() if name in accepted})
    if "trainable" in state and "trainable" not in accepted:
        model.trainable = state["trainable"]  # type: ignore[attr-defined]
    # Setting a model's own flag sets those of all its layers, so the flags of single layers are set again.
    if "layer_trainable" in state and not {"trainable", "layer_trainable"} <= set(accepted):
        set_layer_flags(model, state["layer_trainable"])
    return model


def stored_name(model: Any, default: str) -> str:
    """Return the name to keep of a model: its own, or ``default`` where Keras only numbered that one.

    >>> from types import SimpleNamespace as Model
    >>> stored_name(Model(name="xlm_roberta_backbone_3"), "xlm_roberta_backbone")
    'xlm_roberta_backbone'
    >>> stored_name(Model(name="mine_3"), "xlm_roberta_backbone")
    'mine_3'
    """
    return default if re.fullmatch(rf"{re.escape(default)}(_\d+)?", model.name) else str(model.name)


def _layers_with_weights(parent: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, layer) in depth-first order, parents first."""
    children = parent.layers if hasattr(parent, "layers") else parent._layers
    backbone = getattr(parent, "backbone", None)
    for layer in children:
        if layer.weights:
            path = prefix + ("backbone" if layer is backbone else layer.name)
            yield path, layer
            yield from _layers_with_weights(layer, f"{path}/")
