"""Which classes belong to which family of presets; a family's module is imported when a preset needs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.preset import Preset

_MODULES = {"xlm_roberta": "sparkxlmr.models.xlm_roberta"}
_CLASSES = {
    "xlm_roberta": {
        "backbone": "XLMRobertaBackbone",
        "tokenizer": "XLMRobertaTokenizer",
        "text_classifier_preprocessor": "XLMRobertaTextClassifierPreprocessor",
        "text_classifier": "XLMRobertaTextClassifier",
    }
}


def backbone_class(asked: type, preset: Preset) -> Any:
    """The encoder class of a preset's family; see :func:`class_for`."""
    return class_for(asked, preset, "backbone")


def class_for(asked: type, preset: Preset, kind: str) -> Any:
    """The class of a kind (``"backbone"``, ``"text_classifier"``, ...) in a preset's family.

    ``asked`` is the class on which ``from_preset`` was called: the answer is it or one below it.

    Raises:
        NotAPresetError: the preset is of another family than ``asked``.
    """
    family = preset.config.family
    found = getattr(import_module(_MODULES[family]), _CLASSES[family][kind])
    if issubclass(asked, found):
        return asked  # a user's own subclass
    if issubclass(found, asked):
        return found
    raise NotAPresetError(
        f"The preset {preset.path} is of the family {family!r}",
        f"one for {asked.__name__}",
        f"load it with {found.__name__}.from_preset",
    )
