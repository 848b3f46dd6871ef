"""Every key of a checkpoint's JSON files that transformers reads for XLM-R and ALBERT, and its treatment.

Ids are those that transformers 4.57 (its slow tokenizers where there are such) and 5 gave for the same
folders; ``tests/peers/tokenizer_settings.py`` recorded them.
"""

from __future__ import annotations

import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sparkxlmr.errors import NotAPresetError, SparkxlmrError
from sparkxlmr.presets import hugging_face_tokenizer
from sparkxlmr.presets.config import AlbertConfig, BackboneConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.hugging_face_tokenizer import describe_tokenizer, rebuilt_model, vocabulary_of
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import ARCHITECTURES, entries
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.text.families import tokenizer_for

PEERS = runpy.run_path(str(Path(__file__).resolve().parents[1] / "peers" / "tokenizer_cases.py"))
CASES, TEXTS, PAIRS, WITHOUT_EFFECT = (PEERS[name] for name in ("CASES", "TEXTS", "PAIRS", "WITHOUT_EFFECT"))
RECORDED = json.loads(PEERS["RECORDED"].read_text("utf-8"))
CONFIGS = {
    "xlm_roberta": BackboneConfig(500, 1, 1, 4, 4, max_sequence_length=64),
    "albert": AlbertConfig(500, 1, 1, 4, 4, embedding_dim=4, max_sequence_length=64),
}
# The slow tokenizers lower-case "<USER>" before they look for tokens and know no `normalized`; version 5 does
# the contrary. Here the family's rule for its own tokens holds for all, and the flag is honoured.
USER_IN_CAPITALS = 4
OTHERWISE = {
    ("albert-added_tokens", USER_IN_CAPITALS): ("5", "albert-added_tokens"),
    ("albert-normalized", USER_IN_CAPITALS): ("5", "albert-normalized"),
    ("albert-json_token", USER_IN_CAPITALS): ("4-slow", "albert-json_token_beside_model"),
}


def described(folder: Path, family: str):
    """The tokenizer of a folder without ``config.json``, and its truncation length."""
    settings, length = describe_tokenizer(folder, ARCHITECTURES[family], CONFIGS[family], {})
    vocabulary = vocabulary_of(folder, ARCHITECTURES[family])
    is_json = vocabulary.suffix == ".json"
    proto = rebuilt_model(vocabulary, family)[0] if is_json else vocabulary.read_bytes()
    return proto, settings, length


def ids_of(tokenizer, length: int) -> list[list[int]]:
    return tokenizer.encode(TEXTS, length).ids + tokenizer.encode_pairs(PAIRS, length).ids


def recorded(name: str) -> list[list[int]]:
    kind = "4-slow" if name in RECORDED["4-slow"] else "5"
    expected = list(RECORDED[kind][name])
    for (case, row), (other_kind, other_case) in OTHERWISE.items():
        if case == name:
            expected[row] = RECORDED[other_kind][other_case][row]
    return expected


# --- tokenizer_config.json, special_tokens_map.json, added_tokens.json, tokenizer.json ---


@pytest.mark.parametrize("name", CASES)
def test_ids_are_those_of_transformers(name, tmp_path):
    family = CASES[name]["family"]
    proto, settings, length = described(PEERS["write"](name, tmp_path), family)
    assert ids_of(tokenizer_for(family, proto, settings), length) == recorded(name)


@pytest.mark.parametrize("name", CASES)
def test_settings_change_ids_unless_they_are_without_effect(name):
    family = CASES[name]["family"]
    plain = f"{family}-plain"
    if "without_effect" in name or name == plain:
        for kind in ("4-slow", "4-fast", "5"):
            assert RECORDED[kind][name] == RECORDED[kind][plain]
    else:
        assert recorded(name) != recorded(plain)


REFUSED_SETTINGS = {
    "tokenizer_class": ("BertTokenizer", "CamembertTokenizer"),
    "auto_map": ({"AutoTokenizer": ["tokenization.Tokenizer", None]},),
    "sp_model_kwargs": ({"enable_sampling": True, "nbest_size": -1, "alpha": 0.1},),
    "split_special_tokens": (True,),
    "add_prefix_space": (False,),
    "truncation_side": ("middle",),
    "bos_token": ("<bos>",),
    "eos_token": ("<eos>",),
    "cls_token": ("the",),
    "sep_token": ({"content": "the"},),
    "unk_token": ("of",),
    "pad_token": ("of",),
    "mask_token": ("<blank>",),
}


@pytest.mark.parametrize("family", ARCHITECTURES)
@pytest.mark.parametrize("key", REFUSED_SETTINGS)
def test_tokenizer_settings_that_are_refused(key, family, tmp_path):
    PEERS["write"](f"{family}-plain", tmp_path)
    path = tmp_path / "tokenizer_config.json"
    document = json.loads(path.read_text("utf-8"))
    for value in REFUSED_SETTINGS[key]:
        path.write_text(json.dumps({**document, key: value}), "utf-8")
        with pytest.raises(NotAPresetError, match=key):
            described(tmp_path, family)


def test_a_token_of_two_files_has_one_id(tmp_path):
    PEERS["write"]("xlm_roberta-json_token_beside_model", tmp_path)
    token = PEERS["token"]("<user>", special=True)
    document = {"added_tokens_decoder": {"403": token}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(NotAPresetError, match=r"gives the token '<user>' the id 403, .* 402"):
        described(tmp_path, "xlm_roberta")


ORDINARY = {"xlm_roberta": ("<s>", "<pad>", "</s>", "<unk>"), "albert": ("<pad>", "<unk>", "[CLS]", "[SEP]")}
MASKS = {"xlm_roberta": ("<mask>", 401), "albert": ("[MASK]", 4)}


def ordinary_checkpoint(family: str, fixtures: Path, folder: Path, mask_id: int) -> Path:
    """A classifier whose ``tokenizer_config.json`` lists the family's tokens, as transformers saves it."""
    shutil.copytree(fixtures / "hugging_face" / GOLDENS[family], folder)
    shutil.copy(fixtures / "hugging_face" / PEERS["FOLDERS"][family] / PEERS["MODELS"][family], folder)
    mask = PEERS["token"](MASKS[family][0], special=True, lstrip=True)
    tokens = [PEERS["token"](text, special=True) for text in ORDINARY[family]]
    decoder = {**{str(i): token for i, token in enumerate(tokens)}, str(mask_id): mask}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}), "utf-8")
    return folder


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_opening_an_ordinary_checkpoint_does_not_read_its_vocabulary(family, fixtures, tmp_path, monkeypatch):
    folder = ordinary_checkpoint(family, fixtures, tmp_path / "checkpoint", MASKS[family][1])
    read = []
    monkeypatch.setattr(
        hugging_face_tokenizer, "tokenizer_for", lambda *given: read.append(given) or tokenizer_for(*given)
    )
    preset = Preset.open(folder)
    assert read == []
    assert preset.tokenizer_settings.keys().isdisjoint({"added_tokens"})
    assert preset.text_tokenizer().mask_id == MASKS[family][1]


def test_mask_with_another_id_than_in_the_vocabulary_is_refused(fixtures, tmp_path):
    preset = Preset.open(ordinary_checkpoint("xlm_roberta", fixtures, tmp_path / "checkpoint", 400))
    for read in (preset.text_tokenizer, preset.contents):
        with pytest.raises(NotAPresetError, match=r"'<mask>' the id 400.*401, its id in"):
            read()


def test_albert_files_that_normalize_differently_are_refused(tmp_path):
    PEERS["write"]("albert-json_token_beside_model", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}), "utf-8")
    with pytest.raises(NotAPresetError, match=r"tokenizer\.json normalizes texts otherwise"):
        described(tmp_path, "albert")


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_files_of_two_vocabularies_are_refused(family, fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face" / GOLDENS[family], folder)
    source = fixtures / "hugging_face" / PEERS["FOLDERS"][family]
    shutil.copy(source / PEERS["MODELS"][family], folder)
    shutil.copy(source / "tokenizer.json", folder)
    assert Preset.open(folder).text_tokenizer().vocabulary_size == PEERS["SIZES"][family]
    document = json.loads((source / "tokenizer.json").read_text("utf-8"))
    table = document["model"]["vocab"]
    table[50], table[51] = table[51], table[50]
    (folder / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(NotAPresetError, match=r"another vocabulary in tokenizer\.json"):
        Preset.open(folder).text_tokenizer()


# --- through presets, exports and bundles ---


def model_of(name: str, folder: Path) -> Contents:
    """A small random encoder with the tokenizer of a case."""
    family = CASES[name]["family"]
    proto, settings, length = described(PEERS["write"](name, folder), family)
    config = replace(CONFIGS[family], vocabulary_size=tokenizer_for(family, proto, settings).vocabulary_size)
    rng = np.random.default_rng(0)
    weights = {e.name: rng.normal(size=e.shape).astype(np.float32) for e in entries(config)}
    return Contents(
        config=config, weights=weights, proto=proto, sequence_length=length, tokenizer_settings=settings
    )


KEPT = [
    f"{family}-{name}"
    for family in ARCHITECTURES
    for name in ("truncation_side", "decoder", "single_word", "normalized", "piece", "json_token")
]


@pytest.mark.parametrize("name", KEPT)
def test_tokenizer_settings_survive_a_preset_and_an_export(name, tmp_path):
    contents = model_of(name, tmp_path / "source")
    with pytest.warns(UserWarning, match="tokenizer changes texts"):
        write_preset(tmp_path / "preset", contents)
    export_checkpoint(tmp_path / "export", contents)
    for folder in ("preset", "export"):
        preset = Preset.open(tmp_path / folder)
        assert preset.tokenizer_settings == contents.tokenizer_settings
        assert ids_of(preset.text_tokenizer(), preset.sequence_length) == recorded(name)


def test_settings_that_earlier_releases_ignored_make_another_model(tmp_path, fixtures):
    """A bundle that was compiled without them is not taken for this checkpoint."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face/xlmr_sequence_classification", folder)
    vocabulary = fixtures / "hugging_face/xlmr_tokenizer/sentencepiece.bpe.model"
    shutil.copy(vocabulary, folder)
    before = Preset.open(folder).content_hash
    (folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["<user>"]}', "utf-8")
    assert Preset.open(folder).tokenizer_settings["added_tokens"][0]["content"] == "<user>"
    assert Preset.open(folder).content_hash != before


# --- config.json ---

SAME, OTHER, REFUSED = "no effect", "honoured", "refused"
SHARED_KEYS = {
    "architectures": (OTHER, ["{class}Model"]),
    "model_type": (REFUSED, "bert"),
    "vocab_size": (OTHER, 7000),
    "hidden_size": (OTHER, 96),
    "num_hidden_layers": (OTHER, 6),
    "num_attention_heads": (OTHER, 8),
    "intermediate_size": (OTHER, 64),
    "hidden_act": (OTHER, "relu"),
    "hidden_dropout_prob": (OTHER, 0.3),
    "attention_probs_dropout_prob": (OTHER, 0.3),
    "max_position_embeddings": (OTHER, 66),
    "layer_norm_eps": (OTHER, 1e-6),
    "id2label": (OTHER, {"0": "a", "1": "b"}),
    "problem_type": (OTHER, "multi_label_classification"),
    "tokenizer_class": (REFUSED, "BertTokenizer"),
    "pad_token_id": (REFUSED, 7),
    "position_embedding_type": (REFUSED, "relative_key"),
    "pruned_heads": (REFUSED, {"0": [1]}),
    "is_decoder": (REFUSED, True),
    "is_encoder_decoder": (REFUSED, True),
    "add_cross_attention": (REFUSED, True),
    "task_specific_params": (REFUSED, {"text-classification": {"function_to_apply": "none"}}),
    "quantization_config": (REFUSED, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "auto_map": (REFUSED, {"AutoModel": "modeling.Model"}),
    "function_to_apply": (REFUSED, "none"),
    # Only `id2label` names classes, or their number.
    "label2id": (SAME, {"x": 0, "y": 1}),
    "num_labels": (SAME, 7),
    # An encoder's matrix stands for itself; masked language models are below.
    "tie_word_embeddings": (SAME, False),
    # Feed-forward layers over parts of a text, one after the other: the same sums.
    "chunk_size_feed_forward": (SAME, 8),
    # The dtype that weights are stored in is read from the weights' own file.
    "dtype": (SAME, "float16"),
    "torch_dtype": (SAME, "float16"),
    # What new weights begin as.
    "initializer_range": (SAME, 1.0),
    # Of decoders, which these models are not.
    "use_cache": (SAME, False),
    "tie_encoder_decoder": (SAME, True),
    "cross_attention_hidden_size": (SAME, 8),
    "decoder_start_token_id": (SAME, 3),
    "prefix": (SAME, "a"),
    # Ids in the config are read by text generation; those of a text come from the tokenizer.
    "bos_token_id": (SAME, 5),
    "eos_token_id": (SAME, 5),
    "sep_token_id": (SAME, 5),
    # What transformers returns beside the logits, and how it runs.
    "output_attentions": (SAME, True),
    "output_hidden_states": (SAME, True),
    "return_dict": (SAME, False),
    "torchscript": (SAME, True),
    "use_bfloat16": (SAME, True),
    "tf_legacy_loss": (SAME, True),
    "finetuning_task": (SAME, "mnli"),
    "transformers_version": (SAME, "2.0"),
    "_name_or_path": (SAME, "somewhere"),
    "gradient_checkpointing": (SAME, True),
    "output_past": (SAME, True),
    # ALBERT's first configs; transformers reads none of these.
    "net_structure_type": (SAME, 1),
    "gap_size": (SAME, 1),
    "num_memory_blocks": (SAME, 1),
    "down_scale_factor": (SAME, 2),
}
# Settings of text generation, which reads them from here where there is no generation_config.json.
GENERATION = {
    "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
    "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "forced_bos_token_id",
    "forced_eos_token_id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_return_sequences", "output_scores", "remove_invalid_values",
    "repetition_penalty", "return_dict_in_generate", "suppress_tokens", "temperature", "top_k", "top_p",
    "typical_p",
}  # fmt: skip
KEYS = {
    "xlm_roberta": {
        **SHARED_KEYS,
        "classifier_dropout": (OTHER, 0.4),
        # Its tokenizer gives every token the first segment.
        "type_vocab_size": (SAME, 2),
    },
    "albert": {
        **SHARED_KEYS,
        "classifier_dropout_prob": (OTHER, 0.4),
        "type_vocab_size": (OTHER, 3),
        "embedding_size": (OTHER, 32),
        "num_hidden_groups": (OTHER, 1),
        "inner_group_num": (OTHER, 1),
    },
}
GOLDENS = {"xlm_roberta": "xlmr_sequence_classification", "albert": "albert_sequence_classification"}


def said(preset: Preset) -> tuple:
    parts = (preset.config, preset.task, preset.labels, preset.sequence_length, preset.tokenizer_settings)
    return parts


@pytest.mark.parametrize("family", KEYS)
def test_the_table_names_every_key_of_config_json(family):
    for major in ("4", "5"):
        assert set(RECORDED["config_keys"][major][family]) <= KEYS[family].keys() | GENERATION


@pytest.mark.parametrize(("family", "key"), [(family, key) for family in KEYS for key in KEYS[family]])
def test_keys_of_config_json(family, key, fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face" / GOLDENS[family], folder)
    before = Preset.open(folder)
    treatment, value = KEYS[family][key]
    if key == "architectures":
        value = [name.format(**{"class": ARCHITECTURES[family].hf_class}) for name in value]
    document = {**json.loads((folder / "config.json").read_text("utf-8")), key: value}
    (folder / "config.json").write_text(json.dumps(document), "utf-8")
    if treatment == REFUSED:
        with pytest.raises(SparkxlmrError, match=key):
            Preset.open(folder)
        return
    after = Preset.open(folder)
    assert (said(after) == said(before)) == (treatment == SAME)
    if treatment == SAME:
        weights = before.weights()
        assert all(np.array_equal(array, weights[name]) for name, array in after.weights().items())


def test_settings_of_generation_are_without_effect(fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face/xlmr_masked_lm", folder)
    before = said(Preset.open(folder))
    document = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**document, **dict.fromkeys(GENERATION, 1)}), "utf-8")
    (folder / "generation_config.json").write_text('{"max_length": 3, "pad_token_id": 5}', "utf-8")
    (folder / "preprocessor_config.json").write_text('{"do_lower_case": true}', "utf-8")
    assert said(Preset.open(folder)) == before


def test_an_untied_masked_language_model_is_refused(fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face/xlmr_masked_lm", folder)
    document = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**document, "tie_word_embeddings": False}), "utf-8")
    with pytest.raises(NotAPresetError, match="tie_word_embeddings"):
        Preset.open(folder)


# --- the class of a model, and wrapped weights ---


@pytest.mark.parametrize(
    "name",
    [
        "xlmr_sequence_classification",
        "albert_sequence_classification",
        "xlmr_masked_lm",
        "albert_masked_lm",
    ],
)
@pytest.mark.parametrize("missing", [None, []])
def test_a_missing_class_name_is_inferred(name, missing, fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face" / name, folder)
    before = said(Preset.open(folder))
    document = {**json.loads((folder / "config.json").read_text("utf-8")), "architectures": missing}
    (folder / "config.json").write_text(json.dumps(document), "utf-8")
    assert said(Preset.open(folder)) == before


@pytest.mark.parametrize("name", ["xlmr_sequence_classification", "albert_sequence_classification"])
def test_a_class_name_that_weights_do_not_tell_is_named(name, fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face" / name, folder)
    document = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**document, "architectures": None}), "utf-8")
    tensors = load_file(folder / "model.safetensors")
    encoder = {key: array for key, array in tensors.items() if not key.startswith("classifier")}
    save_file(encoder, folder / "model.safetensors")
    assert Preset.open(folder).task is None
    # As in token classification: a head of one layer, and no pooler.
    head = {key: array for key, array in encoder.items() if "pooler" not in key}
    save_file({**head, "classifier.weight": np.zeros((3, 4), np.float32)}, folder / "model.safetensors")
    with pytest.raises(NotAPresetError, match=r"names no architectures.*classifier\.weight"):
        Preset.open(folder)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module.model._orig_mod."])
@pytest.mark.parametrize("name", ["xlmr_sequence_classification", "albert_masked_lm"])
def test_wrappers_of_a_model_are_stripped_from_keys(name, prefix, fixtures, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(fixtures / "hugging_face" / name, folder)
    expected = Preset.open(folder).weights()
    tensors = load_file(folder / "model.safetensors")
    if name.startswith("xlmr"):  # buffers of older versions of transformers
        tensors["roberta.embeddings.position_ids"] = np.arange(130)[None]
        tensors["roberta.embeddings.token_type_ids"] = np.zeros((1, 130), np.int64)
    save_file({prefix + key: array for key, array in tensors.items()}, folder / "model.safetensors")
    weights = Preset.open(folder).weights()
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(array, expected[name]) for name, array in weights.items())
