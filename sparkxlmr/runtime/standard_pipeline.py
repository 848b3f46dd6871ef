"""The pipeline around a model that a user names: documents, their tokens, and what the model says."""

from __future__ import annotations

from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.open_model_folder import Model
from sparkxlmr.runtime.bundle import DEFAULT_TEXT_LENGTH
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.runtime.stage_record import StageRecord

_STAGES = "sparkxlmr.stages."
_CLASSIFIER: dict[str, Any] = {
    "maxSentenceLength": DEFAULT_TEXT_LENGTH,
    "activation": "softmax",
    "multilabel": False,
    "threshold": 0.5,
    "coalesceSentences": False,
}
_FILLER: dict[str, Any] = {"maxSentenceLength": 512, "topK": 5}
_EMBEDDER: dict[str, Any] = {
    "maxSentenceLength": DEFAULT_TEXT_LENGTH,
    "poolingStrategy": "mean",
    "normalize": False,
}
#: for each kind of model its stage, its output column, and those defaults of the stage that rule its answers
_MODEL_STAGES: dict[tuple[str, str | None], tuple[str, str, dict[str, Any]]] = {
    ("xlm_roberta", "text_classifier"): (
        "xlm_roberta_for_sequence_classification.XlmRoBertaForSequenceClassification", "class", _CLASSIFIER,
    ),
    ("albert", "text_classifier"): (
        "albert_for_sequence_classification.AlbertForSequenceClassification", "class", _CLASSIFIER,
    ),
    ("xlm_roberta", "masked_lm"): ("xlm_roberta_for_masked_lm.XlmRoBertaForMaskedLM", "filled", _FILLER),
    ("albert", "masked_lm"): ("albert_for_masked_lm.AlbertForMaskedLM", "filled", _FILLER),
    ("xlm_roberta", None): (
        "xlm_roberta_sentence_embeddings.XlmRoBertaSentenceEmbeddings", "sentence_embeddings", _EMBEDDER,
    ),
    ("albert", None): (
        "albert_sentence_embeddings.AlbertSentenceEmbeddings", "sentence_embeddings", _EMBEDDER,
    ),
}  # fmt: skip


def standard_pipeline(model: Model) -> list[StageRecord]:
    """The stages that read a column `text` and make `document`, `token` and, by the model, `class` (a text
    classifier), `filled` (a masked language model) or `sentence_embeddings` (a bare encoder).

    All other settings are the stages' own.

    Raises NotAPresetError where no stage runs such a model.
    """
    # A preset of a bare encoder has no task; a graph of one says what it is.
    kind = (model.family, None if model.task_kind == Encoder.kind else model.task_kind)
    if kind not in _MODEL_STAGES:
        raise NotAPresetError(
            f"{model.path} is a {model.task_kind} of family {model.family!r}",
            "a text classifier, a masked language model or a bare encoder",
            "build the pipeline of stages yourself",
        )
    path, output, defaults = _MODEL_STAGES[kind]
    document, token = {"inputCols": ["document"]}, {"outputCol": "token"}
    return [
        _record("document_assembler.DocumentAssembler", {"inputCol": "text", "outputCol": "document"}, {}),
        _record("tokenizer.TokenizerModel", document | token, {}),
        _record(path, {"inputCols": ["document", "token"], "outputCol": output}, defaults, model),
    ]


def _record(
    path: str, given: dict[str, Any], defaults: dict[str, Any], model: Model | None = None
) -> StageRecord:
    name = path.rpartition(".")[2]
    chosen = Chosen({**defaults, **given}, frozenset(given), name, model.name if model else name)
    return StageRecord(_STAGES + path, chosen, model)
