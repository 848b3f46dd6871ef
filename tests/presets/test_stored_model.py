"""What of a model's folder a saved stage carries."""

from __future__ import annotations

import shutil

import pytest

from sparkxlmr.presets.calibration import CALIBRATION
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
