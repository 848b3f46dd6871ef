"""Keys of a checkpoint's ``config.json`` that decide what it is: its model class, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.config import AlbertConfig, MaskedLMConfig, TextClassifierConfig
from sparkxlmr.presets.hugging_face_weights import head_keys
from sparkxlmr.presets.tables import ARCHITECTURES, Architecture

# What follows the family's name in a class name, and the head it has. ALBERT's published checkpoints were
# pretrained with a second head (sentence order), which nothing here reads.
TASK_CLASSES = {
    "Model": None,
    "ForSequenceClassification": TextClassifierConfig.kind,
    "ForMaskedLM": MaskedLMConfig.kind,
    "ForPreTraining": MaskedLMConfig.kind,
}
_OTHER_TASKS = {
    "ForTokenClassification": "token classification",
    "ForQuestionAnswering": "question answering",
    "ForMultipleChoice": "multiple choice",
    "ForCausalLM": "text generation",
}
_OFFERED = (
    "a text classifier (ForSequenceClassification), a masked language model (ForMaskedLM) or an encoder "
    "(Model)"
)
_CODE = "the model runs its publisher's own Python code, which is never run here"
# Settings that would make another model; each must be absent, None or this.
_PLAIN: dict[str, dict[str, Any]] = {
    "xlm_roberta": {"pad_token_id": 1},
    "albert": {"pad_token_id": 0},
}
_PLAIN_OF_ALL: dict[str, tuple[Any, str]] = {
    "position_embedding_type": ("absolute", "positions are relative"),
    "pruned_heads": ({}, "attention heads were removed"),
    "is_decoder": (False, "a token attends to the ones before it only"),
    "is_encoder_decoder": (False, "it is half of an encoder-decoder"),
    "add_cross_attention": (False, "it attends to another encoder"),
    "quantization_config": (None, "its weights are stored in another library's quantized form"),
    "auto_map": (None, _CODE),
    "function_to_apply": (None, "it names its own output function"),
}


def is_checkpoint(document: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is Hugging Face's; keras-hub's has a ``class_name`` and no ``model_type``."""
    return "model_type" in document or ("class_name" not in document and bool(_HINTS & document.keys()))


_HINTS = {"architectures", "auto_map", "transformers_version", "hidden_size"}


def architecture_of(document: Mapping[str, Any], path: Path) -> tuple[Architecture, str | None]:
    """The family of a checkpoint and the kind of its task; a missing class name is inferred from the weights.

    Raises:
        NotAPresetError: another type of model, another task, or no class name and no known head.
    """
    _refuse_type(document, path)
    architecture = next(a for a in ARCHITECTURES.values() if a.hf_type == document["model_type"])
    named = document.get("architectures")
    found = named[0] if isinstance(named, list) and named else named
    if found is None or found == []:
        return architecture, _inferred_kind(architecture, path)
    ending = str(found).removeprefix(architecture.hf_class)
    if not isinstance(found, str) or ending == found or ending not in TASK_CLASSES:
        task = _OTHER_TASKS.get(ending, "")
        raise NotAPresetError(
            f"{path} describes {found!r:.100}" + (f", a model for {task}" if task else ""),
            f"{_OFFERED} of {architecture.hf_class}",
            "use a checkpoint that was trained for one of these tasks"
            + (f"; {task} is not supported" if task else ""),
        )
    return architecture, TASK_CLASSES[ending]


def _refuse_type(document: Mapping[str, Any], path: Path) -> None:
    found = document.get("model_type")
    types = {architecture.hf_type: architecture.hf_class for architecture in ARCHITECTURES.values()}
    if isinstance(found, str) and found in types:
        return
    if document.get("auto_map"):
        raise NotAPresetError(
            f"{path} has auto_map: {_CODE}",
            f"a model_type of {' or '.join(types)} without auto_map",
            "use a checkpoint in the format of transformers itself",
        )
    named = _named(document)
    raise NotAPresetError(
        f"{path} has model_type {found!r:.100}" + (f" ({named!r:.100})" if named else ""),
        " or ".join(map(repr, types)),
        "use a checkpoint of one of these types; that of another is not read, even with the same vocabulary",
    )


def _named(document: Mapping[str, Any]) -> Any:
    named = document.get("architectures")
    return named[0] if isinstance(named, list) and named else named


def _inferred_kind(architecture: Architecture, path: Path) -> str | None:
    """The kind of task whose head the weights have."""
    keys = head_keys(path.parent, architecture)
    if any(key.startswith(("lm_head.", "predictions.")) for key in keys):
        return MaskedLMConfig.kind
    # ALBERT's token classifiers have no pooler, and its classifiers for multiple choice one output.
    if "classifier.out_proj.weight" in keys:
        return TextClassifierConfig.kind
    outputs = keys.get("classifier.weight", (0,))[0]
    if architecture.family == AlbertConfig.family and "pooler.weight" in keys and outputs > 1:
        return TextClassifierConfig.kind
    heads = sorted(key for key in keys if key.startswith(("classifier.", "qa_outputs.")))
    if not heads and any(key.startswith("embeddings.") for key in keys):
        return None
    raise NotAPresetError(
        f"{path} names no architectures, and its weights have no head that decides it"
        + (f" ({', '.join(heads)})" if heads else ""),
        f'architectures with one class, as in ["{architecture.hf_class}ForSequenceClassification"]',
        "add the class that the model was trained as to its config.json",
    )


def refuse_variants(document: Mapping[str, Any], family: str, kind: str | None, path: Path) -> None:
    """Check the keys under which a checkpoint is another model than the family's.

    Raises:
        NotAPresetError: it has one of them.
    """
    plain = {key: (value, "padding has another id") for key, value in _PLAIN[family].items()}
    for key, (wanted, why) in {**plain, **_PLAIN_OF_ALL}.items():
        if document.get(key) not in (None, wanted, {}, [], ""):
            raise NotAPresetError(
                f"{path} has {key} {document[key]!r:.100}: {why}",
                f"{key} {wanted!r}, or none",
                f"use a checkpoint of plain {family}",
            )
    if kind == MaskedLMConfig.kind and document.get("tie_word_embeddings") is False:
        raise NotAPresetError(
            f"{path} has tie_word_embeddings false: its output has a matrix of its own",
            "a masked language model whose output is tied to its token embedding",
            "use a checkpoint with tied weights",
        )
    for task in ("text-classification", "sentiment-analysis"):
        if (document.get("task_specific_params") or {}).get(task):
            raise NotAPresetError(
                f"{path} has task_specific_params for {task}, which change transformers' scores",
                "none for this task",
                "remove them",
            )
