"""Record the public names and arguments of keras-hub's classes of the two families.

    python tests/environments/kerashub_names.py          # compare with the record; 1 if it differs
    python tests/environments/kerashub_names.py --write  # write docs/keras_hub_names.json

Runs where keras-hub is installed: ``matrix.py kerashub``. ``docs/keras_hub_names.py`` makes the table of
``docs/coming_from_keras_hub.md`` from the record, so that neither page nor tests need keras-hub.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_hub

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "keras_hub_names.json"
PRESETS = ROOT / "tests" / "fixtures" / "keras_hub"
BASES = (
    "Backbone", "Classifier", "MaskedLM", "MaskedLMPreprocessor", "Preprocessor", "Task", "TextClassifier",
    "TextClassifierPreprocessor", "Tokenizer",
)  # fmt: skip
LAYERS = ("MaskedLMMaskGenerator", "MultiSegmentPacker")


def classes() -> dict[str, type]:
    """The classes of XLM-R and ALBERT, their bases, and the layers inside their preprocessors."""
    models = [name for name in dir(keras_hub.models) if name.startswith(("XLMRoberta", "Albert"))]
    found = {name: getattr(keras_hub.models, name) for name in sorted({*models, *BASES})}
    return found | {name: getattr(keras_hub.layers, name) for name in LAYERS}


def of_keras_hub(cls: type) -> list[type]:
    """A class and those of its ancestors that keras-hub defines."""
    return [part for part in cls.__mro__ if part.__module__.startswith("keras_hub")]


def named(function: Any) -> dict[str, Any]:
    """The named arguments of a function with their defaults, ``self`` and ``cls`` excluded.

    The default is a string, ``"required"`` where there is none.
    """
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {
        part.name: part for part in inspect.signature(function).parameters.values() if part.kind in kinds
    }
    return {
        name: "required" if part.default is inspect.Parameter.empty else repr(part.default)
        for name, part in found.items()
        if name not in ("self", "cls") and not name.startswith("_")
    }


def arguments(cls: type) -> dict[str, str]:
    """The arguments of a constructor, those that it passes on included; Keras' own excluded."""
    found: dict[str, str] = {}
    for part in of_keras_hub(cls):
        if "__init__" in vars(part):
            found = {**named(part.__init__), **found}
    return found


def members(cls: type, instance: Any) -> dict[str, dict[str, str] | None]:
    """Public members that keras-hub defines: a method's arguments, or None for anything else."""
    found: dict[str, dict[str, str] | None] = {}
    for part in reversed(of_keras_hub(cls)):
        for name, value in vars(part).items():
            if name.startswith("_"):
                continue
            function = getattr(value, "__func__", value)
            found[name] = named(function) if inspect.isfunction(function) else None
    base = keras.Model if isinstance(instance, keras.Model) else keras.layers.Layer
    if instance is not None:
        known = set(dir(base)) | set(vars(_plain(base)))
        found |= {name: None for name in vars(instance) if not name.startswith("_") and name not in known}
    return dict(sorted(found.items()))


def _plain(base: type) -> Any:
    if base is keras.layers.Layer:
        return keras.layers.Layer()
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile()
    return model


def instances() -> dict[str, Any]:
    """A small one of each class that can be made."""
    models = keras_hub.models
    found: dict[str, Any] = {}
    for prefix, preset in (("XLMRoberta", "xlmr_text_classifier"), ("Albert", "albert_text_classifier")):
        folder = str(PRESETS / preset)
        tokenizer = models.Tokenizer.from_preset(folder)
        backbone = models.Backbone.from_preset(folder)
        for kind, settings in (("TextClassifier", {"num_classes": 2}), ("MaskedLM", {})):
            preprocessor = getattr(models, f"{prefix}{kind}Preprocessor")(tokenizer, sequence_length=16)
            preprocessor("text")  # builds the packer
            made = getattr(models, prefix + kind)(backbone, preprocessor=preprocessor, **settings)
            found |= {f"{prefix}{kind}Preprocessor": preprocessor, prefix + kind: made}
        found |= {f"{prefix}Tokenizer": tokenizer, f"{prefix}Backbone": backbone}
    return found


def record() -> dict[str, Any]:
    """All names, as the record has them."""
    made = instances()
    described: dict[str, Any] = {}
    aliases: dict[str, str] = {}
    for name, cls in classes().items():
        if cls.__name__ != name:
            aliases[name] = cls.__name__
            continue
        instance = made.get(name)
        described[name] = {"arguments": arguments(cls), "members": members(cls, instance)}
        if isinstance(instance, keras.Model):
            described[name]["layers"] = [layer.name for layer in instance.layers]
    presets = {name: sorted(classes()[name].presets) for name in ("XLMRobertaBackbone", "AlbertBackbone")}
    return {
        "keras_hub": ".".join(keras_hub.__version__.split(".")[:2]),
        "aliases": aliases,
        "presets": presets,
        "classes": described,
    }


def main() -> None:
    """Write the record, or compare with it."""
    now = json.dumps(record(), indent=1, sort_keys=True) + "\n"
    if "--write" in sys.argv:
        RECORD.write_text(now, encoding="utf-8")
    elif RECORD.read_text(encoding="utf-8") != now:
        sys.exit(f"{RECORD.name} is not what this keras-hub has; run {Path(__file__).name} --write")
    print(f"keras-hub's names: {len(json.loads(now)['classes'])} classes")


if __name__ == "__main__":
    main()
