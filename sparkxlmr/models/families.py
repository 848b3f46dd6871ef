"""Which classes belong to which family of presets; a family's module is imported when a preset needs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets import builtin, hub_names
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries

_MODULES = {"xlm_roberta": "sparkxlmr.models.xlm_roberta", "albert": "sparkxlmr.models.albert"}
_PREFIXES = {"xlm_roberta": "XLMRoberta", "albert": "Albert"}
_ENDINGS = {
    "backbone": "Backbone",
    "tokenizer": "Tokenizer",
    "text_classifier": "TextClassifier",
    "text_classifier_preprocessor": "TextClassifierPreprocessor",
    "masked_lm": "MaskedLM",
    "masked_lm_preprocessor": "MaskedLMPreprocessor",
}


def class_for(asked: type, preset: Preset, kind: str) -> Any:
    """The class of a kind (``"backbone"``, ``"text_classifier"``, ...) in a preset's family.

    ``asked`` is the class on which ``from_preset`` was called: the answer is it or one below it.

    Raises:
        NotAPresetError: the preset is of another family than ``asked``.
    """
    family = preset.config.family
    found = getattr(import_module(_MODULES[family]), _PREFIXES[family] + _ENDINGS[kind])
    if issubclass(asked, found):
        return asked  # a user's own subclass
    if issubclass(found, asked):
        return found
    raise NotAPresetError(
        f"The preset {preset.path} is of the family {family!r}",
        f"one for {asked.__name__}",
        f"load it with {found.__name__}.from_preset",
    )


def default_name(family: str, kind: str) -> str:
    """The name that Keras gives to the first model of a class of ours, as keras-hub's presets have it.

    >>> default_name("albert", "masked_lm")
    'albert_masked_lm'
    """
    return f"{family}_{kind}"


# What keras-hub says of its presets: a line, and how many parameters.
_KERAS_HUB = {
    "xlm_roberta_base_multi": ("XLM-R base: 12 layers, cased, 100 languages of CommonCrawl.", 277_450_752),
    "xlm_roberta_large_multi": ("XLM-R large: 24 layers, cased, 100 languages of CommonCrawl.", 558_837_760),
    "bge_m3": ("BGE-M3, an XLM-R large of 8,192 positions for embeddings: the first token's.", 566_702_080),
    "multilingual_e5_base": ("Multilingual E5, an XLM-R base for embeddings: their mean.", 277_450_752),
    "multilingual_e5_large": ("Multilingual E5, an XLM-R large for embeddings: their mean.", 558_837_760),
    "albert_base_en_uncased": ("ALBERT base: 12 layers, English, lower-cased.", 11_683_584),
    "albert_large_en_uncased": ("ALBERT large: 24 layers, English, lower-cased.", 17_683_968),
    "albert_extra_large_en_uncased": ("ALBERT xlarge: 24 layers, English, lower-cased.", 58_724_864),
    "albert_extra_extra_large_en_uncased": ("ALBERT xxlarge: 12 layers, English, lower-cased.", 222_595_584),
}


def presets_of(asked: Any) -> dict[str, dict[str, Any]]:
    """The presets that have a name, and whose family ``asked`` can load: built-in ones, then keras-hub's.

    For each ``{"metadata": {"description", "params", "path"}}`` as keras-hub has it, and where it has to be
    fetched its ``"kaggle_handle"``. Any task can be loaded from any preset of its family, then with a new
    head.
    """
    family = _family_of(asked)
    found: dict[str, dict[str, Any]] = {}
    for name in builtin.names():
        preset = Preset.open(name)
        if family in (None, preset.config.family):
            params = sum(math.prod(entry.shape) for entry in entries(preset.config))
            described = {"description": _said_in_card(preset), "params": params}
            found[name] = {"metadata": {**described, "path": preset.config.family}}
    for name, (description, params) in _KERAS_HUB.items():
        path = "albert" if name.startswith("albert_") else "xlm_roberta"
        if family in (None, path):
            metadata = {"description": description, "params": params, "path": path}
            found[name] = {"metadata": metadata, "kaggle_handle": hub_names.KERAS_HUB[name]}
    return found


def _said_in_card(preset: Preset) -> str:
    """The first paragraph of the preset's card, else what it is."""
    card = preset.path / "README.md"
    paragraphs = card.read_text("utf-8").split("\n\n") if card.is_file() else []
    said = next((" ".join(part.split()) for part in paragraphs if not part.lstrip().startswith("#")), None)
    return said or _PREFIXES[preset.config.family] + _ENDINGS[preset.task.kind if preset.task else "backbone"]


def _family_of(asked: Any) -> str | None:
    owner = getattr(asked, "backbone_cls", None) or getattr(asked, "tokenizer_cls", None) or asked
    return getattr(owner, "family", None)


class classproperty:
    """A property of a class, as keras-hub's ``presets`` is."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type) -> Any:
        return self.function(owner)
