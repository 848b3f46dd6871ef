"""Checkpoint folders whose JSON files change what a tokenizer does. Imported by path; needs no other package.

Each case has a family, the files beside the vocabulary, and which vocabulary there is: the SentencePiece
model (``"model"``), ``tokenizer.json`` (``"json"``), or both. In ``tokenizer.json`` only top-level keys are
replaced; tokens in ``"added_tokens"`` come in addition to those that are there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "hugging_face"
RECORDED = FIXTURES / "tokenizer_settings.json"
MODELS = {"xlm_roberta": "sentencepiece.bpe.model", "albert": "spiece.model"}
FOLDERS = {"xlm_roberta": "xlmr_tokenizer", "albert": "albert_tokenizer"}
#: numbers of ids, those of the special tokens included
SIZES = {"xlm_roberta": 402, "albert": 400}
CLASSES = {"xlm_roberta": "XLMRobertaTokenizer", "albert": "AlbertTokenizer"}
MAX_LENGTH = 12
TEXTS = [
    "The <user> of the<user>sea <e1>station</e1> .",
    "<user>",
    "  <user>   <user> ",
    "x<user> <user>y (<user>) <user>",
    "the <USER> and ＜user＞ Café",
    "CAFÉ naïve café <mask> [MASK] the",
    "<s> the </s> sea",
    "of the sea and the station of the land " * 3,
]
PAIRS = [("of the sea and the land " * 3, "the station"), ("the sea", "of the station and the land " * 3)]


def token(content: str, **flags: bool) -> dict[str, Any]:
    """A token as files describe it."""
    plain = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word", "special"), False)
    return {"content": content, **plain, **flags}


def _cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for family, size in SIZES.items():
        user = token("<user>", special=True)

        def add(name: str, vocabulary: str = "model", family: str = family, **files: Any) -> None:
            names = {key.replace("__", "."): value for key, value in files.items()}
            found[f"{family}-{name}"] = {"family": family, "vocabulary": vocabulary, "files": names}

        def decoder(*tokens: dict[str, Any], size: int = size) -> dict[str, Any]:
            return {"added_tokens_decoder": {str(size + i): one for i, one in enumerate(tokens)}}

        add("plain", tokenizer_config__json={})
        add("truncation_side", tokenizer_config__json={"truncation_side": "left"})
        add("max_len", tokenizer_config__json={"model_max_length": None, "max_len": 8})
        add("special_tokens_map", special_tokens_map__json={"additional_special_tokens": ["<user>", "<e1>"]})
        add("additional_special_tokens", tokenizer_config__json={"additional_special_tokens": ["<user>"]})
        add("added_tokens", added_tokens__json={"<user>": size, "<e1>": size + 1, "</e1>": size + 2})
        add("decoder", tokenizer_config__json=decoder(user, token("<e1>", special=True)))
        for flag in ("lstrip", "rstrip", "single_word"):
            flagged = token("<user>", special=True, **{flag: True})
            add(flag, tokenizer_config__json=decoder(flagged))
        add("normalized", tokenizer_config__json=decoder(token("<user>", normalized=True)))
        # A piece of the vocabulary.
        add("piece", tokenizer_config__json={"additional_special_tokens": ["the"]})
        add("json_token", "json", tokenizer__json={"added_tokens": [{"id": size, **user}]})
        add("json_token_beside_model", "both", tokenizer__json={"added_tokens": [{"id": size, **user}]})
        truncation = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
        add("json_truncation", "json", tokenizer__json={"truncation": truncation})
        for key, value in WITHOUT_EFFECT.items():
            add(f"without_effect-{key}", tokenizer_config__json={key: value})
    for name in ("do_lower_case", "keep_accents"):
        found[f"albert-{name}"] = {
            "family": "albert",
            "vocabulary": "model",
            "files": {"tokenizer_config.json": {name: name != "do_lower_case"}},
        }
    for key in ("do_lower_case", "keep_accents", "remove_space"):
        found[f"xlm_roberta-without_effect-{key}"] = {
            "family": "xlm_roberta",
            "vocabulary": "model",
            "files": {"tokenizer_config.json": {key: key != "remove_space"}},
        }
    return found


#: keys of ``tokenizer_config.json`` that leave the ids of a text as they are
WITHOUT_EFFECT: dict[str, Any] = {
    "padding_side": "left",
    "legacy": False,
    "clean_up_tokenization_spaces": True,
    "use_fast": False,
    "trim_offsets": False,
    "truncation_strategy": "only_first",
    "max_length": 6,
    "stride": 2,
    "pad_to_multiple_of": 8,
    "pad_token_type_id": 1,
    "strip_accents": True,
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    "chat_template": "{{ messages }}",
    "errors": "replace",
    "name_or_path": "somewhere",
    "special_tokens_map_file": "special_tokens_map.json",
    "processor_class": "Processor",
}
CASES = _cases()


def write(name: str, folder: Path) -> Path:
    """Write the tokenizer's files of a case into a folder."""
    case = CASES[name]
    family, source = case["family"], FIXTURES / FOLDERS[case["family"]]
    folder.mkdir(parents=True, exist_ok=True)
    if case["vocabulary"] != "json":
        shutil.copy(source / MODELS[family], folder)
    files = dict(case["files"])
    if case["vocabulary"] != "model":
        document = json.loads((source / "tokenizer.json").read_text("utf-8"))
        changes = files.pop("tokenizer.json")
        added = [*document["added_tokens"], *changes.get("added_tokens", [])]
        (folder / "tokenizer.json").write_text(
            json.dumps({**document, **changes, "added_tokens": added}), "utf-8"
        )
    config = {"tokenizer_class": CLASSES[family], "model_max_length": MAX_LENGTH}
    merged = {**config, **files.get("tokenizer_config.json", {})}
    files["tokenizer_config.json"] = {key: value for key, value in merged.items() if value is not None}
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content), "utf-8")
    return folder
