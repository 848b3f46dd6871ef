"""The table of ``coming_from_keras_hub.md``: keras-hub's public names and arguments beside this package's.

``keras_hub_names.json`` records keras-hub's side; ``tests/environments/kerashub_names.py`` writes and checks
it where keras-hub is installed. This package's side is read from the code. A difference without an
explanation, and an explanation without a difference, are errors.
"""

from __future__ import annotations

import inspect
import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RECORD = FOLDER / "keras_hub_names.json"
FIXTURES = FOLDER.parent / "tests" / "fixtures" / "keras_hub"
BEGIN, END = "<!-- keras-hub-names -->", "<!-- /keras-hub-names -->"

_MODALITIES = "of models that read images, sound or video"
_FILES = "here a preset has one tokenizer and one preprocessor, in files of fixed names"
# What is missing or different here, by the kind of difference and the name, and why.
EXPLANATIONS: dict[str, str] = {
    "class `XLMRobertaTextEmbedder`": "Not a Keras task: [`XlmRoBertaSentenceEmbeddings`]"
    "(stages/xlm_roberta_sentence_embeddings.md) embeds the texts of a DataFrame. Its `poolingStrategy` and "
    "`normalize` are to be set to the embedder's `pooling_mode` (`\"max\"` is not there) and `normalize`; "
    "presets of embedders load as encoders.",
    "class `XLMRobertaTextEmbedderPreprocessor`": "As above; `XLMRobertaTextClassifierPreprocessor` makes "
    "the same inputs.",
    **{
        f"name `{part}`": f"Not there: {_MODALITIES}."
        for part in (
            "audio_converter", "audio_converter_cls", "image_converter", "image_converter_cls", "image_size",
            "video_converter", "video_converter_cls",
        )
    },
    "name `config_file`": f"Not there: {_FILES}.",
    "name `file_assets`": f"Not there: {_FILES}.",
    "argument `from_preset(config_file)`": f"Not there: {_FILES}.",
    "name `load_preset_assets`": "Not there: `from_preset` loads them; `load_assets(folder)` reads a "
    "vocabulary.",
    "name `export_to_transformers`": "Not there for a tokenizer alone: a task's or encoder's writes the "
    "tokenizer too.",
    "default of `fit(validation_split)`": "`0.0` instead of `None`: the same, nothing is held out.",
    "default of `predict(x)`": "Required: `predict()` without inputs is an error.",
    "default of `dtype`": "Families' encoders have the default `None`; only their common base has none.",
    "default of `unselectable_token_ids`": "`(0,)` instead of `[0]`.",
    "layer `embeddings`": "Two layers, `token_embedding` and `position_embedding`; the attribute "
    "`backbone.embeddings` is both as one layer.",
}  # fmt: skip


@cache
def record() -> dict[str, Any]:
    """keras-hub's names, as they were recorded."""
    return dict(json.loads(RECORD.read_text(encoding="utf-8")))


def differences() -> dict[str, list[str]]:
    """What keras-hub has and this package lacks, or has otherwise: the classes where it is so."""
    from sparkxlmr import models

    found: dict[str, list[str]] = {}
    made = _instances()
    for name, theirs in record()["classes"].items():
        ours = getattr(models, name, None)
        keys = [f"class `{name}`"] if ours is None else _of_class(theirs, ours, made.get(name))
        for key in keys:
            found.setdefault(key, []).append(name)
    for alias, name in record()["aliases"].items():
        if getattr(models, alias, None) is not getattr(models, name):
            found.setdefault(f"class `{alias}`", []).append(alias)
    for name, presets in record()["presets"].items():
        for preset in sorted(set(presets) - set(getattr(models, name).presets)):
            found.setdefault(f"preset `{preset}`", []).append(name)
    return found


def table() -> str:
    """The table in Markdown.

    Raises:
        ValueError: a difference is not explained, or an explanation is of no difference.
    """
    found = differences()
    unexplained = sorted(found.keys() - EXPLANATIONS.keys())
    needless = sorted(EXPLANATIONS.keys() - found.keys())
    if unexplained or needless:
        raise ValueError(f"not explained: {unexplained}; explained without a difference: {needless}")
    described = record()["classes"]
    n_names = sum(len(entry["members"]) for entry in described.values())
    n_arguments = sum(len(entry["arguments"]) for entry in described.values())
    n_arguments += sum(len(part or ()) for entry in described.values() for part in entry["members"].values())
    aliases = ", ".join(f"`{alias}`" for alias in record()["aliases"])
    lines = [
        f"Of keras-hub {record()['keras_hub']}, {len(described)} classes with {n_names} public names and "
        f"{n_arguments} arguments (with their defaults), the layers of their models, the names of their "
        f"presets and the former names {aliases} were compared. All of them are here, but for these:",
        "",
        "| of keras-hub | where | here |",
        "|---|---|---|",
    ]
    for key, text in EXPLANATIONS.items():
        lines.append(f"| {key} | {_where(found[key])} | {text} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table as record and code have it now."""
    if BEGIN not in page:
        return page
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _where(classes: list[str]) -> str:
    kinds = {
        "preprocessors": [name for name in classes if name.endswith("Preprocessor")],
        "tokenizers": [name for name in classes if name.endswith("Tokenizer")],
    }
    words = [kind for kind, names in kinds.items() if len(names) > 1]
    in_words = [name for kind in words for name in kinds[kind]]
    return ", ".join([*words, *(f"`{name}`" for name in classes if name not in in_words)])


def _of_class(theirs: dict[str, Any], ours: type, instance: Any) -> list[str]:
    import keras

    arguments: dict[str, str] = {}
    for part in ours.__mro__:
        if part.__module__.startswith("sparkxlmr") and "__init__" in vars(part):
            arguments = {**_named(part.__init__), **arguments}
    keys = _of_arguments(theirs["arguments"], arguments, "{}")
    annotated = {name for part in ours.__mro__ for name in getattr(part, "__annotations__", {})}
    for name, parameters in theirs["members"].items():
        if not (hasattr(ours if instance is None else instance, name) or name in annotated):
            keys.append(f"name `{name}`")
        elif parameters and name not in ("build", "call", "compute_output_spec"):  # Keras calls these
            mine = _named(getattr(ours, name))
            if "kwargs" in mine and name in dir(keras.Model):
                mine = {**_named(getattr(keras.Model, name)), **mine}  # handed on to Keras
            keys += _of_arguments(parameters, mine, f"{name}({{}})")
    if instance is not None and "layers" in theirs:
        names = [layer.name for layer in instance.layers]
        keys += [f"layer `{name}`" for name in theirs["layers"] if name not in names]
    return keys


def _of_arguments(theirs: dict[str, str], ours: dict[str, str], form: str) -> list[str]:
    keys = []
    for name, default in theirs.items():
        if name not in ours:
            keys.append(f"argument `{form.format(name)}`")
        elif default not in ("required", ours[name]):
            keys.append(f"default of `{form.format(name)}`")
    return keys


def _named(function: Any) -> dict[str, str]:
    return {
        name: "required" if part.default is part.empty else repr(part.default)
        for name, part in inspect.signature(function).parameters.items()
    }


def _instances() -> dict[str, Any]:
    from sparkxlmr import models

    found: dict[str, Any] = {}
    for prefix, preset in (("XLMRoberta", "xlmr_text_classifier"), ("Albert", "albert_text_classifier")):
        folder = FIXTURES / preset
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the masked LM's head is new
            for kind, settings in (("TextClassifier", {"num_classes": 2}), ("MaskedLM", {})):
                task = getattr(models, kind).from_preset(folder, **settings)
                name = f"{prefix}{kind}"
                found |= {name: task, f"{name}Preprocessor": task.preprocessor}
        found |= {f"{prefix}Tokenizer": task.preprocessor.tokenizer, f"{prefix}Backbone": task.backbone}
    return found
