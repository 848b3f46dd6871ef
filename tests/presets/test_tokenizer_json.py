"""A tokenizer.json becomes a SentencePiece model that gives the ids of the one it was made from."""

from __future__ import annotations

import base64
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, SparkxlmrError
from sparkxlmr.presets.tokenizer_json import sentencepiece_model
from sparkxlmr.text.families import tokenizer_for

FOLDERS = {"albert": "albert_tokenizer", "xlm_roberta": "xlmr_tokenizer"}
MODELS = {"albert": "spiece.model", "xlm_roberta": "sentencepiece.bpe.model"}
RAW = {"do_lower_case": True, "keep_accents": False, "remove_space": True}


@pytest.fixture(scope="module")
def real(fixtures):
    """What transformers itself wrote for a small vocabulary: ``real("albert", "tokenizer_5.json")``."""
    return lambda family, name="tokenizer.json": fixtures / "hugging_face" / FOLDERS[family] / name


def charsmap_of(proto: bytes) -> bytes:
    """Field 2 of the model's field 3; there is no reader of models in the package."""

    def fields(data: bytes):
        at = 0

        def varint() -> int:
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value

        while at < len(data):
            key = varint()
            if key & 7 == 0:
                varint()
            elif key & 7 == 5:
                at += 4
            else:
                n = varint()
                yield key >> 3, data[at : at + n]
                at += n

    normalizer = next(value for number, value in fields(proto) if number == 3)
    return next((value for number, value in fields(normalizer) if number == 2), b"")


def converted(model: Path, family: str, normalization: dict[str, bool] = RAW) -> dict:
    """The parts that are read, as convert_slow_tokenizer.py of transformers 4.57 writes them."""
    proto = model.read_bytes()
    old = sentencepiece.SentencePieceProcessor(model_proto=proto)
    pieces = [(old.id_to_piece(i), old.get_score(i)) for i in range(old.get_piece_size())]
    rules = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap_of(proto)).decode()}
    if family == "xlm_roberta":
        table = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")] + pieces[3:] + [("<mask>", 0.0)]
        special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": len(table) - 1}
        steps = [rules, {"type": "Strip", "strip_left": False, "strip_right": True},
                 {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]  # fmt: skip
    else:
        table = [(piece, score - 100 * bool(re.search(r"\d,$", piece))) for piece, score in pieces]
        special = {name: old.piece_to_id(name) for name in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")}
        steps = [{"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
                 {"type": "Replace", "pattern": {"String": "''"}, "content": '"'}]  # fmt: skip
        if not normalization["keep_accents"]:
            steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
        if normalization["do_lower_case"]:
            steps.append({"type": "Lowercase"})
        steps += [rules, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
    return {
        "added_tokens": [{"id": i, "content": name, "special": True} for name, i in special.items()],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "model": {"type": "Unigram", "unk_id": special["<unk>"], "vocab": table, "byte_fallback": False},
    }


def written(folder: Path, document: object) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def golden_texts(folder: Path) -> list[str]:
    found = json.loads((folder / "expected.json").read_text("utf-8"))
    return found["texts"] if isinstance(found, dict) else [row["text"] for row in found]


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("xlm_roberta", "xlmr_sequence_classification"),
        ("xlm_roberta", "xlmr_masked_lm"),
        ("albert", "albert_sequence_classification"),
        ("albert", "albert_masked_lm"),
    ],
)
def test_ids_of_all_golden_texts_are_those_of_the_original(family, name, fixtures, tmp_path):
    folder = fixtures / "hugging_face" / name
    original = folder / MODELS[family]
    proto, told = sentencepiece_model(written(tmp_path, converted(original, family)), family)
    texts = golden_texts(folder)
    rebuilt = tokenizer_for(family, proto, told).encode(texts)
    assert rebuilt == tokenizer_for(family, original, told).encode(texts)
    assert told == ({} if family == "xlm_roberta" else RAW)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_5.json"])
@pytest.mark.parametrize("family", ["albert", "xlm_roberta"])
def test_what_transformers_wrote_gives_the_original_back(family, name, real):
    """Written by transformers 4.57 and 5.23 from the model beside it."""
    proto, told = sentencepiece_model(real(family, name), family)
    new = sentencepiece.SentencePieceProcessor(model_proto=proto)
    old = sentencepiece.SentencePieceProcessor(model_file=str(real(family, MODELS[family])))
    for ask in ("id_to_piece", "get_score", "is_control", "is_unknown"):
        ids = list(range(old.get_piece_size()))
        assert getattr(new, ask)(ids) == getattr(old, ask)(ids)
    assert [getattr(new, f"{name}_id")() for name in ("unk", "bos", "eos", "pad")] == [
        getattr(old, f"{name}_id")() for name in ("unk", "bos", "eos", "pad")
    ]
    answers = json.loads(real(family, "expected.json").read_text("utf-8"))
    wanted = answers.get("input_ids") or next(
        answer["input_ids"] for answer in answers["answers"] if answer["settings"] == told
    )
    assert tokenizer_for(family, proto, told).encode(answers["texts"]).ids == wanted


@pytest.mark.parametrize("keep_accents", [True, False])
@pytest.mark.parametrize("do_lower_case", [True, False])
def test_albert_s_settings_are_found_in_its_normaliser(do_lower_case, keep_accents, real, tmp_path):
    normalization = {"do_lower_case": do_lower_case, "keep_accents": keep_accents, "remove_space": True}
    document = converted(real("albert", "spiece.model"), "albert", normalization)
    assert sentencepiece_model(written(tmp_path, document), "albert")[1] == normalization


def test_older_and_barer_files(real, tmp_path):
    """XLM-R's first files had no sequence and a flag; some leave <mask> to the added tokens."""
    document = converted(real("xlm_roberta", MODELS["xlm_roberta"]), "xlm_roberta")
    document["normalizer"] = document["normalizer"]["normalizers"][0]
    document["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
        ],
    }
    document["model"]["vocab"].pop()
    proto, _ = sentencepiece_model(written(tmp_path, document), "xlm_roberta")
    assert proto == sentencepiece_model(real("xlm_roberta"), "xlm_roberta")[0]


def test_a_text_may_begin_without_a_space(real, tmp_path):
    document = converted(real("xlm_roberta", MODELS["xlm_roberta"]), "xlm_roberta")
    document["pre_tokenizer"]["prepend_scheme"] = "never"
    proto, _ = sentencepiece_model(written(tmp_path, document), "xlm_roberta")
    tokenizer = tokenizer_for("xlm_roberta", proto)
    assert "".join(map(tokenizer.id_to_token, tokenizer.tokenize(["the sea"])[0])) == "the▁sea"


SPOILED = [
    (("model", "type"), {"vocab": {"a": 1}}, NotAPresetError, "Unigram"),
    (("model",), None, NotAPresetError, "Unigram"),
    (("model", "byte_fallback"), True, NotAPresetError, "bytes"),
    (("model", "unk_id"), None, DamagedModelError, "unknown"),
    (("model", "unk_id"), 10**9, DamagedModelError, "unknown"),
    (("model", "vocab"), {"a": 1}, NotAPresetError, "Unigram"),
    (("model", "vocab"), [], DamagedModelError, "unknown"),
    (("model", "vocab", 7), ["x"], DamagedModelError, "entry"),
    (("model", "vocab", 7), ["x", float("nan")], DamagedModelError, "entry"),
    (("model", "vocab", 7), ["x", 10**400], DamagedModelError, "entry"),
    (("model", "vocab", 7), ["\ud800", -1.0], DamagedModelError, "Unicode"),
    (("model", "vocab", 7), ["", -1.0], DamagedModelError, None),
    (("model", "vocab", 7), ["▁and", -1.0], DamagedModelError, None),
    (("normalizer", "normalizers"), 5, DamagedModelError, "normalizers"),
    (("normalizer",), {"type": "NFC"}, NotAPresetError, "NFC"),
    (("normalizer", "normalizers", 0, "precompiled_charsmap"), "?", DamagedModelError, "base64"),
    (("normalizer", "normalizers", 0, "precompiled_charsmap"), "AAAA", DamagedModelError, None),
    (("pre_tokenizer",), None, NotAPresetError, "words"),
    (("pre_tokenizer",), {"type": "ByteLevel"}, NotAPresetError, "ByteLevel"),
    (("added_tokens",), [{"id": 7, "content": "<user>"}], NotAPresetError, "<user>"),
    (("post_processor",), {"type": "BertProcessing"}, NotAPresetError, "BertProcessing"),
    (("post_processor", "single"), [{"Sequence": {"id": "A", "type_id": 0}}], NotAPresetError, "lays texts"),
    (("post_processor", "pair"), [7], DamagedModelError, "template"),
    (("added_tokens",), "?", DamagedModelError, "added"),
    (("added_tokens",), [{"id": "0", "content": "<s>"}], DamagedModelError, "adds"),
]


@pytest.mark.parametrize(("place", "value", "error", "says"), SPOILED)
def test_what_cannot_be_a_model_is_refused(place, value, error, says, real, tmp_path):
    document = json.loads(real("xlm_roberta").read_text("utf-8"))
    if place == ("model", "type"):
        document["model"] = value
    else:
        inner = document
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value
    with pytest.raises(error, match=says):
        sentencepiece_model(written(tmp_path, document), "xlm_roberta")


def test_another_family_or_none_is_refused(real, tmp_path):
    with pytest.raises(NotAPresetError, match="normalizer"):
        sentencepiece_model(real("albert"), "xlm_roberta")
    with pytest.raises(NotAPresetError, match=r"\[CLS\]"):
        sentencepiece_model(real("xlm_roberta"), "albert")
    with pytest.raises(NotAPresetError, match="'bert'"):
        sentencepiece_model(real("albert"), "bert")
    with pytest.raises(PresetNotFoundError):
        sentencepiece_model(tmp_path / "none.json", "albert")
    document = json.loads(real("albert").read_text("utf-8"))
    document["normalizer"]["normalizers"].pop(3)
    with pytest.raises(NotAPresetError, match="NFKD"):
        sentencepiece_model(written(tmp_path, document), "albert")
    (tmp_path / "deep.json").write_text("[" * 100_000, "utf-8")
    with pytest.raises(NotAPresetError):
        sentencepiece_model(tmp_path / "deep.json", "albert")


def test_a_file_too_large_is_not_read(real, tmp_path):
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: no disk is used
    with pytest.raises(NotAPresetError, match="bytes"):
        sentencepiece_model(path, "albert")


@pytest.mark.skipif(
    version("sentencepiece") in ("0.2.0", "0.2.1"), reason="these crash by themselves on spoilt rules"
)
@settings(deadline=None, derandomize=True, max_examples=120)
@given(data=st.data(), family=st.sampled_from(sorted(FOLDERS)))
def test_mutated_files_raise_only_errors_of_the_package(real, tmp_path_factory, data, family):
    """Cut short, with other bytes, or with another value somewhere in the document."""
    whole = real(family).read_bytes()
    path = tmp_path_factory.getbasetemp() / "mutated_tokenizer.json"
    how = data.draw(st.sampled_from(["cut", "bytes", "value"]))
    if how == "value":
        document = json.loads(whole)
        inner, key = document, None
        while isinstance(inner, (dict, list)) and inner and (key is None or data.draw(st.booleans())):
            holder = inner
            keys = sorted(inner) if isinstance(inner, dict) else range(min(len(inner), 20))
            key = data.draw(st.sampled_from(keys))
            inner = holder[key]
        holder[key] = data.draw(
            st.sampled_from([None, True, -1, 2.5, 1e300, "", "x", [], {}, [[]], {"type": "Sequence"}, 10**30])
        )
        path.write_text(json.dumps(document), "utf-8")
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        new = b"" if how == "cut" else data.draw(st.binary(min_size=1, max_size=6))
        path.write_bytes(whole[:at] + new + (b"" if how == "cut" else whole[at + len(new) :]))
    try:
        proto, told = sentencepiece_model(path, family)
    except SparkxlmrError:
        return
    tokenizer_for(family, proto, told).encode(["the ① sea 12, café\u3000🙂"])
