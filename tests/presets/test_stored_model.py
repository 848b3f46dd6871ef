"""What of a model's folder a saved stage carries."""

from __future__ import annotations

import json
import shutil

import pytest

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.calibration import CALIBRATION
from sparkxlmr.presets.files import sha256_of, sha256_of_files
from sparkxlmr.presets.measured import MEASURED, Measured, Measurement, measured_in
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.stored_model import describe, files_of, kept


@pytest.mark.parametrize("layout", ["keras_hub", "hugging_face"])
def test_what_was_measured_travels_with_the_model(layout, tiny_preset, fixtures, tmp_path, monkeypatch):
    source = tiny_preset if layout == "keras_hub" else fixtures / "hugging_face/xlmr_sequence_classification"
    model = Preset.open(shutil.copytree(source, tmp_path / "model"))
    (model.path / "README.md").write_text("a card")
    plain = describe(model)
    assert not {MEASURED, CALIBRATION, "README.md"} & plain["files"].keys()
    row = Measurement(task="text_classifier", engine="openvino", precision="int8", quantization="dynamic",
                      source="0" * 64, answers=2000, agreement=0.9967, texts={"name": "a"})  # fmt: skip
    Measured(model.content_hash).with_rows([row]).write(model.path)
    (model.path / CALIBRATION).write_bytes(b"ranges")
    entry = describe(model)
    # It is still the same model, and its bundles stay valid.
    assert entry["hash"] == plain["hash"]
    assert entry["files"].keys() - plain["files"].keys() == {MEASURED, CALIBRATION}

    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    fetched = []

    def fetch(folder, sizes):
        fetched.append(set(sizes))
        for name, file in files_of(model):
            if name not in sizes:
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / name)

    # Saved before it was measured, then after: what is kept here is completed.
    for saved, wanted in ((plain, plain["files"].keys()), (entry, entry["files"].keys())):
        found = kept(saved, "there", fetch)
        assert fetched[-1] == set(wanted)
    assert measured_in(found.path, found.content_hash).rows == (row,)
    assert kept(plain, "there", fetch).path == found.path
    assert len(fetched) == 2


def checkpoint(fixtures, folder, tokenizer_config, **files):
    """An XLM-R classifier with its SentencePiece model and these JSON files."""
    shutil.copytree(fixtures / "hugging_face/xlmr_sequence_classification", folder)
    shutil.copy(fixtures / "hugging_face/xlmr_tokenizer/sentencepiece.bpe.model", folder)
    for name, content in {"tokenizer_config": tokenizer_config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return Preset.open(folder)


def fetch_from(source):
    """A function that copies the files of a folder, as a load from a saved stage does."""

    def fetch(folder, sizes):
        for name in sizes:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, folder / name)

    return fetch


TOKEN = {"content": "<user>", "special": True, "normalized": False}


@pytest.mark.parametrize(
    "files",
    [
        {"special_tokens_map": {"additional_special_tokens": [")"]}},
        {"added_tokens": {"<user>": 402}},
        {"tokenizer": {"added_tokens": [{"id": 402, **TOKEN}]}},
    ],
    ids=lambda files: next(iter(files)),
)
def test_saved_checkpoint_with_settings_outside_tokenizer_config_loads(
    files, fixtures, tmp_path, monkeypatch
):
    model = checkpoint(fixtures, tmp_path / "model", {}, **files)
    assert model.tokenizer_settings
    entry = describe(model)
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    loaded = kept(entry, "there", fetch_from(model.path))
    assert loaded.tokenizer_settings == model.tokenizer_settings
    assert loaded.content_hash == entry["hash"]


EARLIER_FILES = ("config.json", "tokenizer_config.json", "model.safetensors", "sentencepiece.bpe.model")


def earlier_entry(model):
    """The metadata entry of a release whose content hash is that of the files alone."""
    files = {
        name: {"size": (model.path / name).stat().st_size, "sha256": sha256_of(model.path / name)}
        for name in EARLIER_FILES
    }
    hashed = sha256_of_files(model.path, [model.path / name for name in EARLIER_FILES])
    return {"format": 1, "name": "model", "hash": hashed, "files": files}


@pytest.mark.parametrize(
    "tokenizer_config", [{"truncation_side": "left"}, {"additional_special_tokens": [")"]}]
)
def test_stage_of_an_earlier_release_with_settings_it_ignored_loads(
    tokenizer_config, fixtures, tmp_path, monkeypatch
):
    model = checkpoint(fixtures, tmp_path / "model", tokenizer_config)
    entry = earlier_entry(model)
    assert entry["hash"] != model.content_hash
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    fetch = fetch_from(model.path)
    loaded = kept(entry, "there", fetch)
    assert loaded.tokenizer_settings == model.tokenizer_settings
    (loaded.path / "config.json").write_text("{", "utf-8")
    assert kept(entry, "there", fetch).path == loaded.path
    assert (loaded.path / "config.json").read_bytes() == (model.path / "config.json").read_bytes()
    with pytest.raises(DamagedModelError, match="not what was saved"):
        kept({**entry, "hash": "0" * 64}, "there", fetch)


def test_earlier_hash_does_not_cover_settings_of_files_that_were_not_saved(fixtures, tmp_path, monkeypatch):
    model = checkpoint(fixtures, tmp_path / "model", {})
    tokens = '{"additional_special_tokens": [")"]}'
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    entry = earlier_entry(model)
    loaded = kept(entry, "there", fetch_from(model.path))
    (loaded.path / "special_tokens_map.json").write_text(tokens, "utf-8")
    assert kept(entry, "there", fetch_from(model.path)).tokenizer_settings == {}


def test_stored_model_that_this_release_refuses_names_the_setting(fixtures, tmp_path, monkeypatch):
    model = checkpoint(fixtures, tmp_path / "model", {})
    (model.path / "tokenizer_config.json").write_text('{"split_special_tokens": true}', "utf-8")
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    with pytest.raises(NotAPresetError, match=r"the stage/tokenizer_config\.json has split_special_tokens"):
        kept(earlier_entry(model), "the stage", fetch_from(model.path))
    assert [file.suffix for file in (tmp_path / "home" / "models").iterdir()] == [".lock"]
