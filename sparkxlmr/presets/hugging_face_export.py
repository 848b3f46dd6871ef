"""Writing a checkpoint folder that Hugging Face's transformers 4.57 and 5 load, head and tokenizer too."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr.errors import SettingError
from sparkxlmr.presets import hugging_face, hugging_face_tokenizer, hugging_face_weights, tables
from sparkxlmr.presets.config import AlbertConfig, MaskedLMConfig, TextClassifierConfig
from sparkxlmr.presets.contents import Contents, default_labels
from sparkxlmr.presets.output_function import IDENTITY, OUTPUT_FUNCTIONS, SIGMOID, output_function
from sparkxlmr.presets.writer import write_json, write_whole
from sparkxlmr.text.added_tokens import AddedToken
from sparkxlmr.text.families import ADDED_TOKENS, NORMALIZATION, TRUNCATION_SIDE, tokenizer_for

SPECIAL_TOKENS = hugging_face_tokenizer.SPECIAL_TOKENS_MAP
_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}


def _mask(content: str) -> dict[str, Any]:
    """A mask token takes the space before it with it, and is looked for in the text as it came."""
    return {"content": content, "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}


_TOKENS: dict[str, dict[str, Any]] = {
    family: {**tokens, "mask_token": _mask(tokens["mask_token"])}
    for family, tokens in hugging_face_tokenizer.SPECIAL_TOKENS.items()
}
_IDS = {
    "xlm_roberta": {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1},
    "albert": {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0},
}
# The nearest to raw texts that transformers' ALBERT tokenizer has.
_NEARLY_RAW = {"do_lower_case": False, "keep_accents": True, "remove_space": False}


def export_checkpoint(folder: str | PathLike[str], contents: Contents) -> Path:
    """Writes a model as a Hugging Face checkpoint folder; what stood there under the same names is replaced.

    ``config.json``, ``model.safetensors`` (float32), and for a model with a tokenizer its SentencePiece
    model, ``tokenizer_config.json`` and ``special_tokens_map.json``. transformers answers logits, whatever
    the head's activation is; ``"sigmoid"`` becomes the ``problem_type`` ``multi_label_classification``, and
    the output function ``"identity"`` becomes ``regression`` (and what cross-encoders read). An XLM-R encoder
    is written without the pooler that transformers has and nothing here reads.

    Returns:
        The folder.

    Warns:
        UserWarning: transformers cannot compute or tokenize quite the same: a masked language model's head
            with numbers of its own, a classifier's activation that transformers does not have, or ALBERT's
            tokenizer on raw texts.

    Raises:
        WeightsError: weights are missing, unused or of another shape.
        SettingError: a head that transformers does not have.
        OutputError: the folder cannot be written.
    """
    architecture = tables.of(contents.config)
    tables.check(contents.weights, tables.entries(contents.config, contents.task), "the given model")
    config = config_of(contents)
    arrays = _arrays(contents)
    if contents.proto is not None and isinstance(contents.config, AlbertConfig):
        _warn_of_raw_texts(contents)

    def write(staging: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        write_json(staging / hugging_face.CONFIG, config)
        try:
            save_file(arrays, staging / hugging_face_weights.WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # a disk that is full, for one
            raise OSError(str(error)) from error
        if contents.proto is not None:
            (staging / architecture.hf_vocabulary).write_bytes(contents.proto)
            write_json(staging / hugging_face_tokenizer.TOKENIZER_CONFIG, _tokenizer_config(contents))
            write_json(staging / SPECIAL_TOKENS, _special_tokens(contents))

    owned = (
        hugging_face.CONFIG,
        *hugging_face_tokenizer.FILES,
        architecture.hf_vocabulary,
        hugging_face_weights.WEIGHTS,
        hugging_face_weights.INDEX,
        hugging_face_weights.TORCH,
        hugging_face_weights.TORCH_INDEX,
    )
    return write_whole(Path(folder), write, owned)


def config_of(contents: Contents) -> dict[str, Any]:
    """The ``config.json`` of a model.

    Raises:
        SettingError: a head that transformers does not have.

    Warns:
        UserWarning: a masked language model's head with numbers of its own.
    """
    config, task = contents.config, contents.task
    architecture = tables.of(config)
    names = {**hugging_face.ENCODER_NUMBERS}
    numbers = config.arguments()
    if isinstance(config, AlbertConfig):
        names |= hugging_face.ALBERT_NUMBERS
    else:
        numbers["num_segments"], names["num_segments"] = 1, "type_vocab_size"
    numbers["max_sequence_length"] += hugging_face.POSITION_OFFSET[config.family]
    numbers["activation"] = _ACTIVATIONS[config.activation]
    if config.attention_dropout is None:
        numbers["attention_dropout"] = config.dropout
    endings = {kind: ending for ending, kind in reversed(hugging_face.TASK_CLASSES.items())}
    ending = endings[None if task is None else task.kind]
    document = {
        "architectures": [architecture.hf_class + ending],
        "model_type": architecture.hf_type,
        **{theirs: numbers[ours] for ours, theirs in names.items()},
        **_IDS[config.family],
        "dtype": "float32",
        "initializer_range": 0.02,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
    }
    if isinstance(task, TextClassifierConfig):
        document |= _classifier(contents, task)
    elif isinstance(task, MaskedLMConfig):
        _warn_of_the_head(contents, task)
    return document


def _classifier(contents: Contents, task: TextClassifierConfig) -> dict[str, Any]:
    pooled = isinstance(contents.config, AlbertConfig)
    if not pooled and task.hidden_dim not in (None, contents.config.hidden_dim):
        raise SettingError(
            f"The head's hidden_dim is {task.hidden_dim}",
            f"the encoder's, {contents.config.hidden_dim}, which transformers' heads have",
            "train a head of that width",
        )
    labels = default_labels(task.num_classes) if contents.labels is None else contents.labels
    found = {
        "id2label": {str(i): str(label) for i, label in enumerate(labels)},
        "label2id": {str(label): i for i, label in enumerate(labels)},
        "classifier_dropout_prob" if pooled else "classifier_dropout": task.dropout,
    }
    return found | _output_function(task)


def _output_function(task: TextClassifierConfig) -> dict[str, Any]:
    """The entries of ``config.json`` by which transformers and sentence-transformers choose the function."""
    usual = output_function(task.num_classes)
    if task.activation not in (None, *OUTPUT_FUNCTIONS):
        warnings.warn(
            f"The head's activation is {task.activation}, which transformers does not have: the checkpoint "
            f"is written without it, and its scores are the {usual} of the logits. To keep the activation, "
            "write a preset (save_to_preset).",
            stacklevel=5,
        )
        return {}
    function = output_function(task.num_classes, task.stated_function)
    if function == SIGMOID and (task.activation is not None or function != usual):
        return {"problem_type": hugging_face.MULTI_LABEL}
    if function == IDENTITY:
        section = {hugging_face.CROSS_ENCODER_FUNCTION: hugging_face.TORCH_IDENTITY}
        return {"problem_type": hugging_face.REGRESSION, hugging_face.CROSS_ENCODER: section}
    return {}


def _warn_of_the_head(contents: Contents, task: MaskedLMConfig) -> None:
    config = contents.config
    theirs = {
        "activation": config.activation if isinstance(config, AlbertConfig) else "gelu",
        "layer_norm_epsilon": config.layer_norm_epsilon,
    }
    for name, value in theirs.items():
        if getattr(task, name) != value:
            warnings.warn(
                f"The head's {name} is {getattr(task, name)}: transformers loads this checkpoint, but "
                f"computes with {value}, and so does not answer quite the same.",
                stacklevel=4,
            )


def _warn_of_raw_texts(contents: Contents) -> None:
    if not NORMALIZATION & contents.tokenizer_settings.keys():
        warnings.warn(
            "This ALBERT tokenizer reads raw texts, as keras-hub's. transformers' comes nearest with "
            f"{_NEARLY_RAW}; its ids differ where a text has doubled quotes or a comma behind digits.",
            stacklevel=3,
        )


def _tokenizer_config(contents: Contents) -> dict[str, Any]:
    family = contents.config.family
    settings: Mapping[str, Any] = {}
    if family == AlbertConfig.family:
        settings = {k: v for k, v in contents.tokenizer_settings.items() if k in NORMALIZATION} or _NEARLY_RAW
    if TRUNCATION_SIDE in contents.tokenizer_settings:
        settings = {**settings, TRUNCATION_SIDE: contents.tokenizer_settings[TRUNCATION_SIDE]}
    return {
        "tokenizer_class": f"{tables.of(contents.config).hf_class}Tokenizer",
        "model_max_length": min(contents.sequence_length, contents.config.max_sequence_length),
        **settings,
        **_TOKENS[family],
        "mask_token": {"__type": "AddedToken", **_TOKENS[family]["mask_token"], "special": True},
        **_added_tokens(contents),
    }


def _special_tokens(contents: Contents) -> dict[str, Any]:
    added = _added_tokens(contents).get("additional_special_tokens")
    further = {"additional_special_tokens": added} if added else {}
    return {**_TOKENS[contents.config.family], **further}


def _added_tokens(contents: Contents) -> dict[str, Any]:
    """The tokens beyond the family's own, as transformers writes them."""
    added = [AddedToken.from_json(one) for one in contents.tokenizer_settings.get(ADDED_TOKENS, [])]
    if not added:
        return {}
    assert contents.proto is not None
    tokenizer = tokenizer_for(contents.config.family, contents.proto)
    own = {tokenizer.id_to_token(i): i for i in tokenizer.special_ids}
    mask = tokenizer.mask_token
    tokens = {text: AddedToken(text, i, lstrip=text == mask, special=True) for text, i in own.items()}
    tokens |= {token.content: token for token in added}
    decoder = {str(t.id): asdict(t) for t in sorted(tokens.values(), key=lambda token: token.id)}
    for entry in decoder.values():
        del entry["id"]
    special = [token.content for token in added if token.special and token.content not in own]
    return {"added_tokens_decoder": decoder, "additional_special_tokens": special}


# --- weights ---


def _arrays(contents: Contents) -> dict[str, np.ndarray]:
    architecture = tables.of(contents.config)
    # A bare encoder's keys stand without prefix, as transformers writes them.
    prefix = "" if contents.task is None else architecture.hf_prefix
    left_out = _left_out(contents)
    arrays: dict[str, np.ndarray] = {}
    for entry in tables.entries(contents.config, contents.task):
        array = np.asarray(contents.weights[entry.name], np.float32)
        if entry.name in left_out:
            continue
        for key, theirs in zip(entry.hf_keys, entry.to_hf(array), strict=True):
            arrays[key if entry.hf_head else prefix + key] = np.ascontiguousarray(theirs)
    return arrays


def _left_out(contents: Contents) -> set[str]:
    """The weights that reading puts there where a checkpoint has none, as they are then.

    transformers' masked language models have no pooler. Its bare encoders have one, made up at random where
    a checkpoint has none, so theirs is written.
    """
    optional = [e for e in tables.entries(contents.config, contents.task) if e.hf_absent]
    same = all(np.array_equal(contents.weights[entry.name], entry.default()) for entry in optional)
    return {entry.name for entry in optional} if same and contents.task is not None else set()
