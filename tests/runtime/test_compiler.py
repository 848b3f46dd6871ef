"""A preset is compiled once for each engine and found again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, NotAPresetError, OutputError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime import compiler
from sparkxlmr.runtime.archive import pack
from sparkxlmr.runtime.bundle import MANIFEST
from sparkxlmr.runtime.compiler import bundle_for, compile_bundle
from sparkxlmr.runtime.predictor import Predictor


@pytest.fixture
def preset(golden_preset, tmp_path, monkeypatch):
    """The golden model as a preset folder, and an empty cache."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    return Preset.open(write_preset(tmp_path / "preset", golden_preset.contents()))


@pytest.fixture
def compilations(monkeypatch):
    made = []

    def counted(preset, engine, folder, *form, compile_bundle=compiler.compile_bundle):
        made.append(folder)
        return compile_bundle(preset, engine, folder, *form)

    monkeypatch.setattr(compiler, "compile_bundle", counted)
    return made


def test_what_a_bundle_says_of_its_preset(preset, tmp_path):
    bundle = compile_bundle(preset, "openvino", tmp_path / "bundle").verify()
    manifest = bundle.manifest
    assert (manifest.family, manifest.task, manifest.engine) == ("xlm_roberta", "text_classifier", "openvino")
    assert (manifest.max_length, manifest.source) == (128, preset.content_hash)
    assert bundle.labels == ("World", "Sports", "Business", "Sci/Tech")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "preset"]
    # The same preset gives the same bundle, wherever it is made.
    assert compile_bundle(preset, "openvino", tmp_path / "again").hash == bundle.hash


def test_a_preset_without_bundle_is_compiled_once_into_the_cache(preset, compilations, tmp_path):
    first, second = bundle_for(preset, "openvino"), bundle_for(preset, "openvino")
    assert len(compilations) == 1
    assert first.hash == second.hash
    assert first.folder.is_relative_to(tmp_path / "home" / "bundles")
    # The cache needs the preset no more.
    shutil.rmtree(preset.path)
    assert first.verify().tokenizer_file.is_file()


@pytest.mark.parametrize("harm", ["a file is gone", "the manifest is torn", "a folder in its place"])
def test_a_cached_bundle_that_was_harmed_is_made_again(preset, compilations, harm):
    first = bundle_for(preset, "openvino")
    manifest = first.folder / "manifest.json"
    if harm == "a file is gone":
        first.file("model.bin").unlink()
    else:
        manifest.write_bytes(manifest.read_bytes()[:100])
    if harm == "a folder in its place":
        manifest.unlink()
        manifest.mkdir()
    again = bundle_for(preset, "openvino").verify()
    assert (again.folder, again.hash, len(compilations)) == (first.folder, first.hash, 2)
    assert bundle_for(preset, "openvino").hash == first.hash
    assert len(compilations) == 2


def edits(manifest):
    """Manifests of the same files that would turn the same numbers into other answers."""
    yield replace(manifest, labels=(*manifest.labels[1:], manifest.labels[0]))
    yield replace(manifest, max_length=manifest.max_length + 1)
    yield replace(manifest, activation="sigmoid")
    yield replace(manifest, tokenizer={**manifest.tokenizer, "settings": {"do_lower_case": True}})


def test_bundle_for_edited_manifest_in_the_cache(preset, compilations):
    first = bundle_for(preset, "openvino")
    for edited in edits(first.manifest):
        (first.folder / MANIFEST).write_bytes(edited.to_bytes())
        compilations.clear()
        assert bundle_for(preset, "openvino").hash == first.hash
        assert len(compilations) == 1


def test_bundle_for_edited_manifest_beside_the_preset(preset, compilations):
    own = compile_bundle(preset, "openvino", compiler.own_folder(preset, "openvino"))
    for edited in edits(own.manifest):
        (own.folder / MANIFEST).write_bytes(edited.to_bytes())
        found = bundle_for(preset, "openvino")
        assert found.folder != own.folder
        assert found.hash == own.hash


def test_what_killed_processes_left_is_removed_after_a_day(preset, tmp_path):
    cache = tmp_path / "home" / "bundles"
    old, new, other = cache / f".compiling-{'a' * 32}", cache / f".compiling-{'b' * 32}", cache / ".mine-1"
    for folder in (old, new, other):
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(b"half")
    for folder in (old, other):
        os.utime(folder, (time.time() - 90_000,) * 2)
    bundle_for(preset, "openvino")
    assert not old.exists()
    assert new.exists()
    assert other.exists()


def test_a_preset_without_tokenizer_is_refused_before_it_is_compiled(preset, tmp_path, monkeypatch):
    for name in ("tokenizer.json", "preprocessor.json", "assets/tokenizer/vocabulary.spm"):
        (preset.path / name).unlink()
    monkeypatch.setattr(Preset, "weights", lambda self, dtype="float32": pytest.fail("was compiled"))
    with pytest.raises(NotAPresetError, match="no tokenizer"):
        compile_bundle(Preset.open(preset.path), "openvino", tmp_path / "b")


def test_a_vocabulary_larger_than_the_embeddings_is_refused(preset, tmp_path):
    smaller = replace(preset.config, vocabulary_size=preset.config.vocabulary_size - 1)
    with pytest.raises(NotAPresetError, match=str(smaller.vocabulary_size)):
        compile_bundle(replace(preset, config=smaller), "openvino", tmp_path / "bundle")


def test_a_copied_preset_brings_its_bundle(preset, compilations, tmp_path, monkeypatch):
    """As git, a wheel or another machine copies it: other paths, other times of change, no right to write."""
    own = compile_bundle(preset, "openvino", preset.path / "bundles" / "openvino")
    compilations.clear()
    folder = shutil.copytree(preset.path, tmp_path / "other" / "name", copy_function=shutil.copyfile)
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "unused"))
    copied = Preset.open(folder)
    assert copied.content_hash == preset.content_hash
    found = bundle_for(copied, "openvino").verify()
    assert (found.folder, found.hash) == (folder / "bundles" / "openvino", own.hash)
    assert compilations == []
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("later", [{"format": 2}, {"revision": 99}])
def test_a_bundle_of_a_later_release_is_left_alone_and_compiled_anew(preset, compilations, later):
    own = compile_bundle(preset, "openvino", preset.path / "bundles" / "openvino")
    compilations.clear()
    manifest = own.folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | later))
    before = manifest.read_bytes()
    found = bundle_for(preset, "openvino")
    assert len(compilations) == 1
    assert found.folder != own.folder
    assert manifest.read_bytes() == before


def test_the_bundle_beside_the_preset_is_taken_and_shares_its_vocabulary(preset, compilations, golden):
    own = compile_bundle(preset, "openvino", preset.path / "bundles" / "openvino").verify()
    assert not (own.folder / "vocabulary.spm").exists()
    assert own.tokenizer_file == preset.vocabulary_path
    found = bundle_for(Preset.open(preset.path), "openvino")
    assert (found.folder, found.hash) == (own.folder, own.hash)
    assert compilations == []
    texts, max_length, logits, compared = golden
    answers = Predictor(found).logits(texts, max_length).logits
    np.testing.assert_allclose(answers[compared], logits[compared], atol=1e-4)


def test_a_bundle_of_other_weights_is_not_taken(preset, compilations, golden_preset):
    own = compile_bundle(preset, "openvino", preset.path / "bundles" / "openvino")
    there = golden_preset.contents()
    weights = {**there.weights, "classifier.logits.bias": there.weights["classifier.logits.bias"] + 1}
    write_preset(preset.path, replace(there, weights=weights))
    found = bundle_for(Preset.open(preset.path), "openvino")
    assert found.hash != own.hash
    assert len(compilations) == 1
    # Compiled again in its place, it is taken again.
    compile_bundle(Preset.open(preset.path), "openvino", own.folder)
    assert bundle_for(Preset.open(preset.path), "openvino").folder == own.folder


def test_a_bundle_beside_the_preset_that_lost_a_file_is_an_error(preset):
    own = compile_bundle(preset, "openvino", preset.path / "bundles" / "openvino")
    own.file("model.bin").unlink()
    with pytest.raises(DamagedModelError, match=r"model\.bin is missing"):
        bundle_for(preset, "openvino")


def test_a_failure_leaves_nothing(preset, tmp_path, monkeypatch):
    (tmp_path / "bundles").mkdir()
    monkeypatch.setattr(Preset, "weights", lambda self: {})
    with pytest.raises(ValueError, match=r"embeddings\.token"):
        compile_bundle(preset, "openvino", tmp_path / "bundles" / "b")
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_place_that_cannot_be_written(preset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        compile_bundle(preset, "openvino", tmp_path / "file" / "b")
    bundle = compile_bundle(preset, "openvino", tmp_path / "b")
    with pytest.raises(OutputError, match="cannot be written"):
        pack(bundle, tmp_path / "file")


def test_a_preset_without_head_is_refused(preset, tmp_path):
    with pytest.raises(NotAPresetError, match="has no head"):
        compile_bundle(replace(preset, task=None), "openvino", tmp_path / "b")


def test_float16_presets_keep_small_bundles(golden_preset, tmp_path, preset, golden):
    folder = write_preset(tmp_path / "half", golden_preset.contents(), weights_dtype="float16")
    half = compile_bundle(Preset.open(folder), "openvino", tmp_path / "half_bundle")
    full = compile_bundle(preset, "openvino", tmp_path / "full_bundle")
    assert half.file("model.bin").stat().st_size < 0.6 * full.file("model.bin").stat().st_size
    texts, max_length, logits, compared = golden
    answers = Predictor(half).logits(texts, max_length).logits
    np.testing.assert_allclose(answers[compared], logits[compared], atol=5e-3)


# --- disks that are full ---


def openvino_full(monkeypatch, preset):
    import openvino as ov

    def fail(graph, path, **settings):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(ov, "save_model", fail)


def openvino_cut_short(monkeypatch, preset):
    """Without an error: a stream that could not be flushed."""
    import openvino as ov

    def cut(graph, path, save_model=ov.save_model, **settings):
        save_model(graph, path, **settings)
        weights = path.with_suffix(".bin")
        weights.write_bytes(weights.read_bytes()[:-1000])

    monkeypatch.setattr(ov, "save_model", cut)


def keras_full(monkeypatch, preset):
    import safetensors.numpy

    def fail(arrays, path):
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)


def tensorflow_full(monkeypatch, preset):
    stderr = "Traceback\nUnknownError: part-00000; No space left on device [Op:SaveV2]\n"
    done = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr("sparkxlmr.runtime.engines.tensorflow._backend_here", lambda: None)
    monkeypatch.setattr("sparkxlmr.runtime.engines.tensorflow.subprocess.run", lambda *_, **__: done)


@pytest.mark.parametrize("full", [openvino_full, openvino_cut_short, keras_full, tensorflow_full])
def test_compile_bundle_full_disk(preset, tmp_path, monkeypatch, full):
    full(monkeypatch, preset)
    with pytest.raises(OutputError, match=r"bundle cannot be written to .*set SPARKXLMR_HOME"):
        compile_bundle(preset, full.__name__.partition("_")[0], tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preset"]
