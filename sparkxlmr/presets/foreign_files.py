"""Folders that hold a model in a form that is not read here, and what makes one of them that is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.keras_hub import read_json

ADAPTER = "adapter_config.json"
#: weights of other frameworks, and the argument with which transformers 4 converts them
CONVERTIBLE = {"tf_model.h5": "from_tf=True", "flax_model.msgpack": "from_flax=True"}
_CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "FEATURE_EXTRACTION": "AutoModel",
}


def adapter_error(where: object, adapter: Path) -> NotAPresetError:
    """The error for a LoRA adapter of the library peft, which is no model by itself.

    Args:
        where: what the message calls the model.
        adapter: its ``adapter_config.json``.
    """
    document: dict[str, Any] = read_json(adapter)
    base = document.get("base_model_name_or_path")
    made = _CLASSES.get(str(document.get("task_type")), "AutoModelForSequenceClassification")
    kind = document.get("peft_type") or "LoRA"
    return NotAPresetError(
        f"{where} is an adapter ({kind!s:.50}) of {base!r:.200}, not a whole model",
        "a model with the adapter merged into its weights",
        f"merge it first: PeftModel.from_pretrained({made}.from_pretrained({base!r:.200}, num_labels=...), "
        f"{str(where)!r}).merge_and_unload().save_pretrained('merged'), save the base model's tokenizer to "
        "the same folder, and open that",
    )


def missing_weights_error(folder: Path) -> NotAPresetError | None:
    """The error for a checkpoint folder without weights that are read here; None where there is no reason."""
    if (folder / ADAPTER).is_file():
        return adapter_error(folder, folder / ADAPTER)
    for name, argument in CONVERTIBLE.items():
        if (folder / name).is_file():
            return NotAPresetError(
                f"{folder} has its weights in {name} only",
                "model.safetensors or pytorch_model.bin",
                f"convert them with transformers 4: class.from_pretrained({str(folder)!r}, {argument}), and "
                "save_pretrained('converted'); copy the tokenizer's files beside them",
            )
    graphs = (
        sorted(folder.glob("*.onnx"))
        + sorted(folder.glob("*/*.onnx"))
        + sorted(folder.glob("**/*_model.xml"))
    )
    if graphs:
        return NotAPresetError(
            f"{folder} has no weights, but the compiled graph {graphs[0].relative_to(folder)}",
            "model.safetensors or pytorch_model.bin, or a folder as loadSavedModel of the stages reads it",
            "put model.onnx (or openvino_model.xml and .bin) into a folder with assets/, in which are the "
            "SentencePiece model and labels.txt, and pass that folder to loadSavedModel",
        )
    return None


def refuse_adapter(fetch: Callable[[str], Path | None], handle: str) -> None:
    """Raise NotAPresetError where a model on a hub is an adapter; ``fetch`` brings its files."""
    adapter = fetch(ADAPTER)
    if adapter is not None:
        raise adapter_error(handle, adapter)
