"""Keras 3 models with keras-hub's names: encoder layers, backbones, heads, preprocessors, tasks.

Nothing is imported before it is asked for, so that ``import sparkxlmr`` needs no Keras.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sparkxlmr.models.keras_backend import require_backend
from sparkxlmr.models.tensorflow_log import quiet_import

if TYPE_CHECKING:
    from sparkxlmr.models.albert import (
        AlbertBackbone,
        AlbertClassifier,
        AlbertMaskedLM,
        AlbertMaskedLMPreprocessor,
        AlbertPreprocessor,
        AlbertTextClassifier,
        AlbertTextClassifierPreprocessor,
        AlbertTokenizer,
    )
    from sparkxlmr.models.backbone import Backbone
    from sparkxlmr.models.masked_lm import MaskedLM
    from sparkxlmr.models.masked_lm_preprocessor import MaskedLMPreprocessor
    from sparkxlmr.models.packers import MaskedLMMaskGenerator, MultiSegmentPacker
    from sparkxlmr.models.preprocessor import Preprocessor, TextClassifierPreprocessor
    from sparkxlmr.models.task import Task
    from sparkxlmr.models.text_classifier import Classifier, TextClassifier
    from sparkxlmr.models.tokenizer import Tokenizer
    from sparkxlmr.models.xlm_roberta import (
        XLMRobertaBackbone,
        XLMRobertaClassifier,
        XLMRobertaMaskedLM,
        XLMRobertaMaskedLMPreprocessor,
        XLMRobertaPreprocessor,
        XLMRobertaTextClassifier,
        XLMRobertaTextClassifierPreprocessor,
        XLMRobertaTokenizer,
    )

_HOMES = {
    "AlbertBackbone": "albert",
    "AlbertClassifier": "albert",
    "AlbertMaskedLM": "albert",
    "AlbertMaskedLMPreprocessor": "albert",
    "AlbertPreprocessor": "albert",
    "AlbertTextClassifier": "albert",
    "AlbertTextClassifierPreprocessor": "albert",
    "AlbertTokenizer": "albert",
    "Backbone": "backbone",
    "Classifier": "text_classifier",
    "MaskedLM": "masked_lm",
    "MaskedLMMaskGenerator": "packers",
    "MaskedLMPreprocessor": "masked_lm_preprocessor",
    "MultiSegmentPacker": "packers",
    "Preprocessor": "preprocessor",
    "Task": "task",
    "TextClassifier": "text_classifier",
    "TextClassifierPreprocessor": "preprocessor",
    "Tokenizer": "tokenizer",
    "XLMRobertaBackbone": "xlm_roberta",
    "XLMRobertaClassifier": "xlm_roberta",
    "XLMRobertaMaskedLM": "xlm_roberta",
    "XLMRobertaMaskedLMPreprocessor": "xlm_roberta",
    "XLMRobertaPreprocessor": "xlm_roberta",
    "XLMRobertaTextClassifier": "xlm_roberta",
    "XLMRobertaTextClassifierPreprocessor": "xlm_roberta",
    "XLMRobertaTokenizer": "xlm_roberta",
}

__all__ = [
    "AlbertBackbone",
    "AlbertClassifier",
    "AlbertMaskedLM",
    "AlbertMaskedLMPreprocessor",
    "AlbertPreprocessor",
    "AlbertTextClassifier",
    "AlbertTextClassifierPreprocessor",
    "AlbertTokenizer",
    "Backbone",
    "Classifier",
    "MaskedLM",
    "MaskedLMMaskGenerator",
    "MaskedLMPreprocessor",
    "MultiSegmentPacker",
    "Preprocessor",
    "Task",
    "TextClassifier",
    "TextClassifierPreprocessor",
    "Tokenizer",
    "XLMRobertaBackbone",
    "XLMRobertaClassifier",
    "XLMRobertaMaskedLM",
    "XLMRobertaMaskedLMPreprocessor",
    "XLMRobertaPreprocessor",
    "XLMRobertaTextClassifier",
    "XLMRobertaTextClassifierPreprocessor",
    "XLMRobertaTokenizer",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_backend()
    with quiet_import():
        module = import_module(f"{__name__}.{home}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
