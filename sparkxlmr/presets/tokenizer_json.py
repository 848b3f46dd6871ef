"""A SentencePiece model out of Hugging Face's ``tokenizer.json``, for checkpoints that have nothing else.

The file (of the ``tokenizers`` library) holds the same Unigram table: ``convert_slow_tokenizer.py`` of
transformers 4 writes it from a SentencePiece model, transformers 5 always. What that conversion does
is undone here, so that ids are those of the SentencePiece model that once was. What such a model cannot say
is refused, since ids would differ without a word.
"""

from __future__ import annotations

import base64
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError
from sparkxlmr.presets.keras_hub import read_json
from sparkxlmr.presets.sentencepiece_proto import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    unigram_model,
)
from sparkxlmr.text.albert import CLS, SEP, AlbertNormalization, ends_in_digit_and_comma
from sparkxlmr.text.albert import MASK as ALBERT_MASK
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.tokenizer import SPACE_MARK
from sparkxlmr.text.xlm_roberta import BOS, EOS, MASK, PAD, UNK

MOST_BYTES = 256 << 20  # XLM-R's has 17 MB
_MOST_SCORE = 3.4e38  # float32
# transformers 4 takes 100 off the score of each of ALBERT's pieces such as "9,", so that none is chosen.
_COMMA_PENALTY = 100.0
_shown = reprlib.repr  # of what a file holds: as long and as deep as a message may be
_SPACE_RUNS = {("Regex", " {2,}"), ("Regex", " +")}
_QUOTES = {(("String", "``"), '"'), (("String", "''"), '"')}


@dataclass(frozen=True)
class _Told:
    """What the file tells: the table (its order is that of the ids), the index of its unknown piece, added
    tokens with their ids, and of the normaliser all but the compiled rules and what concerns spaces."""

    path: Path
    table: list[tuple[str, float]]
    unknown: int
    added: dict[str, int]
    steps: list[Mapping[str, Any]]


@dataclass(frozen=True)
class _Made:
    """What a family makes of it; ``names`` are its start, end and padding."""

    pieces: list[Piece]
    names: tuple[str, str, str]
    settings: dict[str, Any]


def sentencepiece_model(path: Path, family: str) -> tuple[bytes, dict[str, Any]]:
    """The SentencePiece model inside a ``tokenizer.json``.

    Args:
        path: the file.
        family: ``"xlm_roberta"`` or ``"albert"``.

    Returns:
        The bytes of a SentencePiece model, and for ALBERT the settings of its normalisation (the names of
        :class:`~sparkxlmr.text.albert.AlbertNormalization`; empty where it has none): with both, the family's
        tokenizer gives the ids of Hugging Face's slow one. XLM-R has no settings. Added tokens are those of
        :mod:`~sparkxlmr.presets.hugging_face_tokenizer`.

    Raises:
        PresetNotFoundError: there is no such file.
        NotAPresetError: it is no JSON, no Unigram table of that family, or says what a SentencePiece model
            cannot (another normaliser, other special tokens around a text).
        DamagedModelError: its table or its compiled rules cannot be read.
    """
    if family not in _FAMILIES:
        raise NotAPresetError(f"The family is {family!r}", f"one of {sorted(_FAMILIES)}", "use one of them")
    if not path.is_file():
        raise PresetNotFoundError(
            f"There is no file {path}", "a tokenizer.json", "fetch the checkpoint again"
        )
    if (size := path.stat().st_size) > MOST_BYTES:
        raise _not_sayable(path, f"it has {size} bytes, more than {MOST_BYTES}")
    document = read_json(path)
    check_post_processor(document, path)
    steps = _steps(document.get("normalizer"), "normalizers", path)
    charsmap = _charsmap(steps, path)
    told = _told(document, [step for step in steps if not _is_sayable(step)], path)
    made = _FAMILIES[family](told)
    prefix = _puts_a_space_before(document, path)
    try:
        proto = unigram_model(made.pieces, charsmap, prefix, *made.names)
    except UnicodeEncodeError as error:
        raise _damaged(path, f"a piece is no Unicode: {error}") from error
    tokenizer_for(family, proto, made.settings)  # refuses what it could not use
    return proto, made.settings


def _told(document: Mapping[str, Any], steps: list[Mapping[str, Any]], path: Path) -> _Told:
    model = document.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), list) or "unk_id" not in model:
        raise _not_sayable(path, "its model is no Unigram table")
    if model.get("byte_fallback"):
        raise _not_sayable(path, "its model falls back to bytes")
    table: list[tuple[str, float]] = []
    for entry in model["vocab"]:
        if not (isinstance(entry, list) and len(entry) == 2 and _is_piece(*entry)):
            raise _damaged(path, f"its table has the entry {_shown(entry)}")
        table.append((entry[0], float(entry[1])))
    unknown = model["unk_id"]
    if type(unknown) is not int or not 0 <= unknown < len(table):
        raise _damaged(path, f"of {len(table)} pieces the unknown one has the number {_shown(unknown)}")
    return _Told(path, table, unknown, _added(document, table, path), steps)


def _is_piece(text: Any, score: Any) -> bool:
    return isinstance(text, str) and type(score) in (int, float) and abs(score) <= _MOST_SCORE


def _added(document: Mapping[str, Any], table: list[tuple[str, float]], path: Path) -> dict[str, int]:
    """Tokens that are matched in a text before anything else; one that is in the table has its id there."""
    entries = document.get("added_tokens") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _damaged(path, "its added tokens are no list of objects")
    added: dict[str, int] = {}
    for entry in entries:
        text, token_id = entry.get("content"), entry.get("id")
        if not isinstance(text, str) or type(token_id) is not int:
            raise _damaged(path, f"it adds the token {_shown(entry)}")
        added[text] = token_id
    ids = {text: i for i, (text, _) in enumerate(table)}
    if BOS in ids:
        ids.setdefault(MASK, len(table))  # XLM-R's is always last, in the table or behind it
    strange = [text for text, i in added.items() if ids.get(text, max(i, len(ids))) != i]
    if strange:
        raise _not_sayable(path, f"it adds tokens with ids of others: {_shown(strange)}")
    return added


# --- the two families ---


def _xlm_roberta(told: _Told) -> _Made:
    """Hugging Face's ids to SentencePiece's: <unk> <s> </s> in front, neither <pad> nor <mask>."""
    if told.steps:
        raise _not_sayable(told.path, f"its normalizer has the step {_shown(told.steps[0])}")
    texts = [text for text, _ in told.table]
    if (
        texts[:4] != [BOS, PAD, EOS, UNK]
        or told.unknown != 3
        or (MASK not in told.added and texts[-1] != MASK)
    ):
        raise NotAPresetError(
            f"{told.path} has a table that begins with {_shown(texts[:4])} and ends with {_shown(texts[-1])}",
            f"{[BOS, PAD, EOS, UNK]} and {MASK}, as every XLM-R has",
            "check that the checkpoint is an XLM-R",
        )
    inner = told.table[4:-1] if texts[-1] == MASK else told.table[4:]
    pieces = [Piece(UNK, 0.0, UNKNOWN), Piece(BOS, 0.0, CONTROL), Piece(EOS, 0.0, CONTROL)]
    pieces += [Piece(text, score, _kind(text, score, told)) for text, score in inner]
    return _Made(pieces, (BOS, EOS, PAD), {})


def _albert(told: _Told) -> _Made:
    pieces = []
    for i, (text, score) in enumerate(told.table):
        if i == told.unknown:
            pieces.append(Piece(text, score, UNKNOWN))
        elif text in (CLS, SEP, PAD, ALBERT_MASK):
            pieces.append(Piece(text, score, CONTROL))
        else:
            if ends_in_digit_and_comma(text) and score <= -_COMMA_PENALTY:
                score += _COMMA_PENALTY
            pieces.append(Piece(text, score, _kind(text, score, told)))
    return _Made(pieces, (CLS, SEP, PAD), _albert_settings(told))


def _kind(text: str, score: float, told: _Told) -> int:
    # Only what a user defined has the score 0; older files do not list it among the added tokens.
    return USER_DEFINED if score == 0.0 or text in told.added else NORMAL


def _albert_settings(told: _Told) -> dict[str, Any]:
    if not told.steps:
        return {}
    kinds = [step["type"] for step in told.steps]
    quotes = {_replacement(step) for step in told.steps if step["type"] == "Replace"}
    strange = set(kinds) - {"Replace", "NFKD", "StripAccents", "Lowercase"}
    if quotes != _QUOTES or strange or ("NFKD" in kinds) != ("StripAccents" in kinds):
        raise _not_sayable(told.path, f"its normalizer has the steps {_shown(kinds)}")
    return asdict(AlbertNormalization("Lowercase" in kinds, "StripAccents" not in kinds))


def normalization_of(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """ALBERT's settings of its normaliser that a ``tokenizer.json`` has; empty where it has no steps.

    Raises:
        NotAPresetError: other steps than transformers writes for ALBERT.
    """
    steps = _steps(document.get("normalizer"), "normalizers", path)
    return _albert_settings(_Told(path, [], 0, {}, [step for step in steps if not _is_sayable(step)]))


def check_post_processor(document: Mapping[str, Any], path: Path) -> None:
    """Check that a ``tokenizer.json`` puts a family's own special tokens around a text.

    Raises:
        NotAPresetError: others, or segments other than the family's.
    """
    template = document.get("post_processor")
    if template is None:
        return
    kind = template.get("type") if isinstance(template, dict) else template
    if kind == "RobertaProcessing":
        return
    if kind != "TemplateProcessing":
        raise _not_sayable(path, f"its post_processor is {_shown(kind)}")
    laid_out = tuple(_pieces_of(template.get(name), path) for name in ("single", "pair"))
    if laid_out not in _TEMPLATES:
        raise _not_sayable(path, f"its post_processor lays texts out as {_shown(laid_out)}")


def _pieces_of(template: Any, path: Path) -> tuple[tuple[str, int], ...]:
    try:
        parts = [next(iter(part.values())) for part in template]
        return tuple((str(part["id"]), int(part["type_id"])) for part in parts)
    except (TypeError, KeyError, ValueError, AttributeError, StopIteration) as error:
        raise _damaged(path, f"its post_processor has the template {_shown(template)}") from error


# Special tokens and segments around a text and a pair, as both families have them.
_TEMPLATES = (
    (
        ((BOS, 0), ("A", 0), (EOS, 0)),
        ((BOS, 0), ("A", 0), (EOS, 0), (EOS, 0), ("B", 0), (EOS, 0)),
    ),
    (
        ((CLS, 0), ("A", 0), (SEP, 0)),
        ((CLS, 0), ("A", 0), (SEP, 0), ("B", 1), (SEP, 1)),
    ),
)

_FAMILIES: dict[str, Callable[[_Told], _Made]] = {"xlm_roberta": _xlm_roberta, "albert": _albert}


# --- the normaliser and what cuts a text into words ---


def _steps(told: Any, parts: str, path: Path) -> list[Mapping[str, Any]]:
    """The steps of a normaliser or pre-tokenizer, sequences within sequences laid out flat."""
    steps: list[Mapping[str, Any]] = []
    todo = [told] if told is not None else []
    while todo:
        step = todo.pop()
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            raise _damaged(path, f"among its {parts} is {_shown(step)}")
        if step["type"] != "Sequence":
            steps.append(step)
            continue
        inner = step.get(parts)
        if not isinstance(inner, list):
            raise _damaged(path, f"its sequence of {parts} is {_shown(inner)}")
        todo += reversed(inner)
    return steps


def _charsmap(steps: list[Mapping[str, Any]], path: Path) -> bytes:
    maps = [step.get("precompiled_charsmap") for step in steps if step["type"] == "Precompiled"]
    if not maps:
        return b""
    try:
        if len(maps) > 1 or not isinstance(maps[0], str):
            raise ValueError(f"there are {len(maps)} of them, or it is no text")
        return base64.b64decode(maps[0], validate=True)
    except ValueError as error:
        raise _damaged(path, f"its compiled rules are no base64: {error}") from error


def _is_sayable(step: Mapping[str, Any]) -> bool:
    """Whether any SentencePiece model does this: its compiled rules, and one space for a run of them."""
    if step["type"] == "Replace":
        found, content = _replacement(step)
        return found in _SPACE_RUNS and content in (" ", SPACE_MARK)
    return step["type"] in ("Precompiled", "Strip")


def _replacement(step: Mapping[str, Any]) -> tuple[tuple[str, str], str]:
    """What a step replaces, as ("String" or "Regex", pattern), and by what."""
    pattern, content = step.get("pattern"), step.get("content")
    if isinstance(pattern, dict) and len(pattern) == 1 and isinstance(content, str):
        kind, text = next(iter(pattern.items()))
        if isinstance(text, str):
            return (kind, text), content
    return ("", ""), ""


def _puts_a_space_before(document: Mapping[str, Any], path: Path) -> bool:
    steps = _steps(document.get("pre_tokenizer"), "pretokenizers", path)
    marks = [step for step in steps if step["type"] == "Metaspace"]
    others = [step["type"] for step in steps if step["type"] not in ("Metaspace", "WhitespaceSplit")]
    if len(marks) != 1 or others or marks[0].get("replacement") != SPACE_MARK:
        raise _not_sayable(path, f"it cuts words by {_shown([step['type'] for step in steps])}")
    # "add_prefix_space" is what older files have
    mark = marks[0]
    return mark.get("prepend_scheme", "always") != "never" and mark.get("add_prefix_space", True) is not False


def _not_sayable(path: Path, what: str) -> NotAPresetError:
    return NotAPresetError(
        f"{path} cannot become a SentencePiece model: {what}",
        "the Unigram table of an XLM-R or ALBERT, as transformers writes it",
        "put its SentencePiece model (sentencepiece.bpe.model, spiece.model) beside it",
    )


def _damaged(path: Path, what: str) -> DamagedModelError:
    return DamagedModelError(
        f"{path} cannot be read: {what}", "a tokenizer.json", "fetch the checkpoint again"
    )
