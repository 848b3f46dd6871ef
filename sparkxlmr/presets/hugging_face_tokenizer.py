"""The tokenizer of a Hugging Face checkpoint: its vocabulary, and every setting that changes its ids.

transformers reads ``tokenizer_config.json``; where that has no ``added_tokens_decoder``, also
``special_tokens_map.json`` and ``added_tokens.json``; and ``tokenizer.json`` where it exists. Settings under
which ids would differ between its own versions, or that no text tokenizer here has, are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.config import AlbertConfig, BackboneConfig
from sparkxlmr.presets.contents import DEFAULT_SEQUENCE_LENGTH
from sparkxlmr.presets.keras_hub import read_json
from sparkxlmr.presets.tables import Architecture
from sparkxlmr.presets.tokenizer_json import MOST_BYTES, check_post_processor, normalization_of
from sparkxlmr.text.added_tokens import AddedToken
from sparkxlmr.text.families import ADDED_TOKENS, TRUNCATION_SIDE, tokenizer_for
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

TOKENIZER_CONFIG, FAST_TOKENIZER = "tokenizer_config.json", "tokenizer.json"
ADDED_TOKENS_FILE, SPECIAL_TOKENS_MAP = "added_tokens.json", "special_tokens_map.json"
#: files beside the vocabulary that ids depend on
FILES = (TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS_FILE, FAST_TOKENIZER)
# Hugging Face's defaults of its slow AlbertTokenizer.
ALBERT_NORMALIZATION = {"do_lower_case": True, "keep_accents": False, "remove_space": True}

#: The family's own special tokens, by the keys of ``tokenizer_config.json``.
SPECIAL_TOKENS = {
    "xlm_roberta": {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    },
    "albert": {
        "bos_token": "[CLS]",
        "cls_token": "[CLS]",
        "eos_token": "[SEP]",
        "mask_token": "[MASK]",
        "pad_token": "<pad>",
        "sep_token": "[SEP]",
        "unk_token": "<unk>",
    },
}
_FURTHER = ("additional_special_tokens", "extra_special_tokens")
_ANY_CLASS = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend")
_PIECES = "pieces of the vocabulary"  # no key of the file
_FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


def describe_tokenizer(
    folder: Path, architecture: Architecture, config: BackboneConfig, document: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Return the settings of a checkpoint's tokenizer, and the length at which transformers truncates.

    Args:
        document: the checkpoint's ``config.json``.

    Returns:
        The settings of :func:`~sparkxlmr.text.families.tokenizer_for`; empty where the checkpoint has no
        tokenizer.

    Raises:
        NotAPresetError: a setting that is not supported, or files that contradict each other.
    """
    told = _read(folder / TOKENIZER_CONFIG)
    length = _sequence_length(told, config)
    vocabulary = vocabulary_of(folder, architecture)
    if not vocabulary.is_file():
        return {}, length
    fast = _fast(folder / FAST_TOKENIZER)
    if "added_tokens_decoder" not in told:
        told = _with_special_tokens_map(told, _read(folder / SPECIAL_TOKENS_MAP))
    _refuse_settings({**told, "tokenizer_class": _class_of(told, document)}, architecture, folder)
    settings = _normalization(told, fast, folder, architecture)
    if _truncation_side(told, fast, folder) == "left":
        settings[TRUNCATION_SIDE] = "left"
    if tokens := _added_tokens(told, fast, folder, architecture):
        settings[ADDED_TOKENS] = [token.to_json() for token in tokens]
    return settings, length


def vocabulary_of(folder: Path, architecture: Architecture) -> Path:
    """The SentencePiece model of a checkpoint; ``tokenizer.json`` where that is all it has."""
    model, fast = folder / architecture.hf_vocabulary, folder / FAST_TOKENIZER
    return fast if fast.is_file() and not model.is_file() else model


def rebuilt_model(path: Path, family: str) -> tuple[bytes, dict[str, Any]]:
    """The SentencePiece model inside a ``tokenizer.json``, and the settings of its tokenizer."""
    from sparkxlmr.presets.tokenizer_json import sentencepiece_model

    return sentencepiece_model(path, family)


def _read(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _fast(path: Path) -> Mapping[str, Any]:
    """``tokenizer.json`` without its vocabulary; empty where there is none."""
    if not path.is_file():
        return {}
    status = path.stat()
    if status.st_size > MOST_BYTES:
        raise NotAPresetError(f"{path} has {status.st_size} bytes", f"at most {MOST_BYTES}", "remove it")
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)  # of XLM-R 17 MB are parsed
def _parsed(path: Path, changed: int, size: int) -> Mapping[str, Any]:
    document = read_json(path)
    check_post_processor(document, path)
    slim = {key: value for key, value in document.items() if key != "model"}
    vocab = (document.get("model") or {}).get("vocab")
    if isinstance(vocab, list):
        slim[_PIECES] = (len(vocab), _digest(str(entry[0]) for entry in vocab))
    return slim


def _digest(pieces: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(pieces).encode("utf-8", "surrogatepass")).hexdigest()


def check_same_vocabulary(folder: Path, tokenizer: SentencePieceTokenizer) -> None:
    """Check that ``tokenizer.json``, where there is one beside a SentencePiece model, has the same pieces.

    Raises:
        NotAPresetError: it has others; fast tokenizers of transformers read one file, slow ones the other.
    """
    n_pieces, digest = _fast(folder / FAST_TOKENIZER).get(_PIECES, (0, ""))
    if not n_pieces:
        return
    size = min(n_pieces, tokenizer.vocabulary_size)
    if n_pieces > size or _digest(map(tokenizer.id_to_token, range(size))) != digest:
        raise NotAPresetError(
            f"{folder} has another vocabulary in {FAST_TOKENIZER} ({n_pieces} pieces) than in its "
            f"SentencePiece model ({tokenizer.vocabulary_size} ids)",
            "one vocabulary in both, since each kind of tokenizer of transformers reads another file",
            "remove the one that the model was not trained with",
        )


def check_mask_id(folder: Path, tokenizer: SentencePieceTokenizer) -> None:
    """Check that the checkpoint's files, where they give the mask an id, give it that of the vocabulary.

    Raises:
        NotAPresetError: they give it another one.
    """
    declared = _declared(_read(folder / TOKENIZER_CONFIG), _fast(folder / FAST_TOKENIZER), folder)
    if tokenizer.mask_token in declared:
        token_id, flags = declared[tokenizer.mask_token]
        _token(tokenizer.mask_token, token_id, flags, tokenizer, folder)


# --- settings ---


def _sequence_length(told: Mapping[str, Any], config: BackboneConfig) -> int:
    """``model_max_length``, where transformers truncates; without it as keras-hub, and what fits at most."""
    length = told.get("model_max_length", told.get("max_len"))
    # transformers writes an enormous number where there is no limit, and some versions as a float.
    if isinstance(length, bool) or not isinstance(length, (int, float)) or not 1 <= length < 10**9:
        length = DEFAULT_SEQUENCE_LENGTH
    return min(int(length), config.max_sequence_length)


def _class_of(told: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    return told.get("tokenizer_class") or document.get("tokenizer_class")


def _refuse_settings(told: Mapping[str, Any], architecture: Architecture, folder: Path) -> None:
    path = folder / TOKENIZER_CONFIG
    own = f"{architecture.hf_class}Tokenizer"
    classes = (None, own, f"{own}Fast", *_ANY_CLASS)
    if told["tokenizer_class"] not in classes:
        raise NotAPresetError(
            f"{path} has tokenizer_class {told['tokenizer_class']!r:.100}",
            f"{own}, whose ids are computed here",
            f"save the tokenizer again as an {own}, or use a checkpoint that has one",
        )
    for key, plain, why in (
        ("auto_map", None, "Python code of the publisher, which is never run here"),
        ("sp_model_kwargs", {}, "ids that SentencePiece may sample at random"),
        ("split_special_tokens", False, "special tokens that are read as ordinary text"),
        ("add_prefix_space", True, "ids that differ between versions of transformers"),
    ):
        if told.get(key) not in (None, plain):
            raise NotAPresetError(
                f"{path} has {key} {told[key]!r:.100}: {why}",
                f"{key} {plain!r}, or none",
                f"remove {key} if the model was trained without it, else use another checkpoint",
            )
    for key, standard in SPECIAL_TOKENS[architecture.family].items():
        value = told.get(key)
        content = value.get("content") if isinstance(value, Mapping) else value
        if content not in (None, standard):
            raise NotAPresetError(
                f"{folder} has the {key} {content!r:.100}",
                f"{standard!r}, the {key} of every {architecture.hf_class}",
                "use a checkpoint with the family's own special tokens",
            )


def _normalization(
    told: Mapping[str, Any], fast: Mapping[str, Any], folder: Path, architecture: Architecture
) -> dict[str, Any]:
    if architecture.family != AlbertConfig.family:
        return {}
    settings = {name: told[name] for name in ALBERT_NORMALIZATION if told.get(name) is not None}
    if not all(isinstance(value, bool) for value in settings.values()):
        raise NotAPresetError(
            f"{folder / TOKENIZER_CONFIG} has {settings}", "true or false for each", "mend the file"
        )
    if not fast:
        return {**ALBERT_NORMALIZATION, **settings}
    rebuilt = normalization_of(fast, folder / FAST_TOKENIZER)
    other = {k: v for k, v in settings.items() if k != "remove_space" and rebuilt and rebuilt[k] != v}
    if other:
        raise NotAPresetError(
            f"{folder / TOKENIZER_CONFIG} has {other}, and {FAST_TOKENIZER} normalizes texts otherwise",
            "files that agree, since each version of transformers reads another of the two",
            f"remove the wrong one: {FAST_TOKENIZER}, or {', '.join(other)}",
        )
    return {**ALBERT_NORMALIZATION, **rebuilt, **settings}


def _truncation_side(told: Mapping[str, Any], fast: Mapping[str, Any], folder: Path) -> str:
    side = told.get("truncation_side")
    if side is None:
        side = str((fast.get("truncation") or {}).get("direction", "right")).lower()
    if side not in ("right", "left"):
        raise NotAPresetError(
            f"{folder / TOKENIZER_CONFIG} has truncation_side {side!r:.100}",
            "'right' or 'left'",
            "mend the file",
        )
    return str(side)


# --- added tokens ---


def _with_special_tokens_map(told: Mapping[str, Any], tokens: Mapping[str, Any]) -> dict[str, Any]:
    """``tokenizer_config.json`` with what ``special_tokens_map.json`` says; tokens of both are retained."""
    both = [*(told.get(_FURTHER[0]) or []), *(tokens.get(_FURTHER[0]) or [])]
    return {**told, **tokens, **({_FURTHER[0]: both} if both else {})}


def _added_tokens(
    told: Mapping[str, Any], fast: Mapping[str, Any], folder: Path, architecture: Architecture
) -> list[AddedToken]:
    """The tokens of the checkpoint that the family's tokenizer does not have by itself, in order of ids."""
    declared = _declared(told, fast, folder)
    further = [token for key in _FURTHER for token in _listed(told.get(key))]
    standard = set(SPECIAL_TOKENS[architecture.family].values())
    # White space beside a token is removed in any case, and the slow tokenizers match the family's own tokens
    # in the text as it is whatever `normalized` says: of these only the last flag changes ids. The id of
    # XLM-R's mask is the vocabulary's last: it is checked where the vocabulary is read anyway.
    unusual = {
        text: (token_id, flags)
        for text, (token_id, flags) in declared.items()
        if text not in standard or flags.get("single_word") or not _is_usual(text, token_id, architecture)
    }
    names = [text for text, _ in further if text not in unusual and text not in standard]
    if not unusual and not names:
        return []
    tokenizer = _plain_tokenizer(folder, architecture)
    found = {text: _token(text, i, flags, tokenizer, folder) for text, (i, flags) in unusual.items()}
    found = {text: token for text, token in found.items() if text not in standard or token.single_word}
    free = max([tokenizer.vocabulary_size - 1, *(token.id for token in found.values())]) + 1
    for text, flags in further:
        if text in found or text in standard:
            continue
        token_id = tokenizer.token_to_id(text) if tokenizer.has_token(text) else free
        free += token_id == free
        found[text] = AddedToken(text, token_id, **{**flags, "special": True})
    tokens = sorted(found.values(), key=lambda token: token.id)
    behind = [token.id for token in tokens if token.id >= tokenizer.vocabulary_size]
    if behind != list(range(tokenizer.vocabulary_size, tokenizer.vocabulary_size + len(behind))):
        raise NotAPresetError(
            f"{folder} adds tokens with the ids {behind[:10]}",
            f"ids from {tokenizer.vocabulary_size} on without a gap",
            "save the checkpoint's tokenizer again",
        )
    return tokens


def _is_usual(text: str, token_id: int, architecture: Architecture) -> bool:
    """Whether a special token has its id of every published checkpoint, if known without vocabulary."""
    usual: tuple[str, ...] = ("<s>", "<pad>", "</s>", "<unk>")
    if architecture.family == AlbertConfig.family:
        usual = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    return usual.index(text) == token_id if text in usual else token_id >= len(usual)


def _declared(
    told: Mapping[str, Any], fast: Mapping[str, Any], folder: Path
) -> dict[str, tuple[int, dict[str, bool]]]:
    """Tokens with their ids and flags, by their text."""
    found: dict[str, tuple[int, dict[str, bool]]] = {}
    for source, entries in _sources(told, fast, folder):
        for token_id, entry in entries:
            text, flags = _content_of(entry, source, special=False)
            if text in found and found[text][0] != token_id:
                raise NotAPresetError(
                    f"{source} gives the token {text!r:.100} the id {token_id}, and another file of {folder} "
                    f"{found[text][0]}",
                    "one id for each token",
                    "save the checkpoint's tokenizer again",
                )
            found[text] = (token_id, flags)
    return found


def _sources(
    told: Mapping[str, Any], fast: Mapping[str, Any], folder: Path
) -> Iterator[tuple[Path, list[tuple[int, Any]]]]:
    """Files that give tokens an id, with these; flags of a later one replace those of an earlier one."""
    yield folder / FAST_TOKENIZER, [(int(e["id"]), e) for e in fast.get("added_tokens") or []]
    decoder = told.get("added_tokens_decoder")
    if decoder is not None:
        yield folder / TOKENIZER_CONFIG, [(int(i), entry) for i, entry in decoder.items()]
        return
    special = {text for key in _FURTHER for text, _ in _listed(told.get(key))}
    listed = {entry["content"]: entry for entry in fast.get("added_tokens") or []}
    entries = []
    for text, token_id in _read(folder / ADDED_TOKENS_FILE).items():
        flags = {"special": text in special, "normalized": text not in special}
        entries.append((int(token_id), listed.get(text, {"content": text, **flags})))
    yield folder / ADDED_TOKENS_FILE, entries


def _listed(tokens: Any) -> list[tuple[str, dict[str, bool]]]:
    """Special tokens that are named without ids: a list, or in transformers 5 also an object."""
    values = list(tokens.values()) if isinstance(tokens, Mapping) else tokens or []
    return [_content_of(value, Path(SPECIAL_TOKENS_MAP), special=True) for value in values]


def _content_of(entry: Any, source: Path, special: bool) -> tuple[str, dict[str, bool]]:
    """A token's text and flags; flags that are left out have the defaults of transformers."""
    if isinstance(entry, str):
        entry = {"content": entry}
    text = entry["content"]
    flags = {name: entry[name] for name in _FLAGS if entry.get(name) is not None}
    if not isinstance(text, str) or not text or not all(isinstance(flag, bool) for flag in flags.values()):
        raise NotAPresetError(
            f"{source} describes a token by {entry!r:.200}", "its content and flags", "mend the file"
        )
    flags = {"special": special, **flags}
    return text, {"normalized": not flags["special"], **flags}


def _token(
    text: str, token_id: int, flags: Mapping[str, bool], tokenizer: SentencePieceTokenizer, folder: Path
) -> AddedToken:
    known = tokenizer.token_to_id(text) if tokenizer.has_token(text) else None
    if known not in (None, token_id) or (known is None and token_id < tokenizer.vocabulary_size):
        raise NotAPresetError(
            f"{folder} gives the added token {text!r:.100} the id {token_id}",
            f"{known}, its id in the vocabulary" if known is not None else "an id behind the vocabulary's",
            "save the checkpoint's tokenizer again; vocabulary and added tokens are of two models",
        )
    return AddedToken(text, token_id, **flags)


def _plain_tokenizer(folder: Path, architecture: Architecture) -> SentencePieceTokenizer:
    """The tokenizer without added tokens."""
    vocabulary = vocabulary_of(folder, architecture)
    proto: bytes | Path = vocabulary
    if vocabulary.name == FAST_TOKENIZER:
        proto = rebuilt_model(vocabulary, architecture.family)[0]
    return tokenizer_for(architecture.family, proto)
