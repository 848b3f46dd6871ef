"""Weights with NaN that one text alone reads: an error that names the text's row, in every task and path.

The row of the token embedding that is spoilt is read by one of the texts only, the spoilt positions by the
long ones only.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparkxlmr.cli import main
from sparkxlmr.errors import NonFiniteOutputError
from sparkxlmr.light import LightPipeline
from sparkxlmr.models import MaskedLM, TextClassifier
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.standard_pipeline import standard_pipeline

BAD_TEXT = "Der Zug nach Leipzig hat heute Verspätung."
WORDS = ["a", "Ein Satz.", "rain and wind"]
LONG = "a " * 70
MASKED = ["a <mask>.", "Ein <mask> Satz.", f"<mask> {LONG}", "wind <mask>"]


@pytest.fixture(scope="module")
def classifier(fixtures, changed_checkpoint):
    tokenizer = Preset.open(fixtures / "hugging_face/xlmr_sequence_classification").text_tokenizer()
    bad, *others = (set(ids) for ids in tokenizer.encode([BAD_TEXT, *WORDS, LONG]).ids)
    token = min(bad.difference(*others))

    def spoil(weights):
        weights["roberta.embeddings.word_embeddings.weight"][token, 3] = np.nan
        return weights

    return changed_checkpoint("xlmr_sequence_classification", spoil)


@pytest.fixture(scope="module")
def masked_lm(changed_checkpoint):
    """The token matrix is the output matrix too, so that here the position of a long text is spoilt."""

    def spoil(weights):
        weights["roberta.embeddings.position_embeddings.weight"][62:, 3] = np.nan
        return weights

    return changed_checkpoint("xlmr_masked_lm", spoil)


def records(folder, **settings):
    found = standard_pipeline(Preset.open(folder))
    chosen = found[-1].chosen
    values, explicit = {**chosen.values, **settings}, chosen.explicit | settings.keys()
    changed = dataclasses.replace(chosen, values=values, explicit=explicit)
    return [*found[:-1], dataclasses.replace(found[-1], chosen=changed)]


def test_classifier_reports_every_bad_text(classifier):
    reader = open_model(bundle_for(Preset.open(classifier), "openvino"))
    with pytest.raises(NonFiniteOutputError) as caught:
        reader.logits([WORDS[0], BAD_TEXT, WORDS[1], BAD_TEXT], 64)
    assert (caught.value.task, caught.value.rows) == ("text_classifier", (1, 3))
    assert "Leipzig" not in str(caught.value)
    with pytest.raises(NonFiniteOutputError) as caught:
        reader.logits([LONG, BAD_TEXT, LONG], 16, stride=2)
    assert caught.value.rows == (1,)
    assert np.isfinite(reader.logits(WORDS, 64).logits).all()


@pytest.mark.parametrize("normalize", [False, True])
def test_encoder_reports_every_bad_text(classifier, normalize):
    reader = open_model(bundle_for(Encoder.of(Preset.open(classifier)), "openvino"))
    with pytest.raises(NonFiniteOutputError) as caught:
        reader.embed([*WORDS, BAD_TEXT], 64, normalize=normalize)
    assert (caught.value.task, caught.value.rows) == ("encoder", (3,))


def test_masked_lm_reports_every_bad_text(masked_lm):
    reader = open_model(bundle_for(Preset.open(masked_lm), "openvino"))
    with pytest.raises(NonFiniteOutputError) as caught:
        reader.fill([*MASKED, MASKED[2], "no mask"], 128, batch_size=1)
    assert (caught.value.task, caught.value.rows) == ("masked_lm", (2, 4))
    assert len(reader.fill([MASKED[0]], 128)[0][0].filled) == 5


@pytest.mark.parametrize("task", ["text_classifier", "masked_lm"])
def test_light_pipeline_names_stage_and_row(classifier, masked_lm, task):
    if task == "masked_lm":
        light, texts = LightPipeline._of(records(masked_lm, batchSize=1), False), MASKED
        stage = "XlmRoBertaForMaskedLM"
    else:
        light, texts = LightPipeline._of(records(classifier), False), ["", WORDS[0], BAD_TEXT]
        stage = "XlmRoBertaForSequenceClassification"
    with pytest.raises(NonFiniteOutputError, match=rf"^{stage}: .* for row 2 \(counted from 0\)"):
        light.annotate(texts)


def test_keras_names_the_text(classifier, masked_lm):
    model = TextClassifier.from_preset(classifier)
    with pytest.raises(NonFiniteOutputError) as caught:
        model.predict_labels([WORDS[0], BAD_TEXT], top_k=1)
    assert caught.value.rows == (1,)
    assert model.predict_labels(WORDS[0])
    filler = MaskedLM.from_preset(masked_lm)
    with pytest.raises(NonFiniteOutputError) as caught:
        filler.fill_mask([MASKED[2], MASKED[2]])
    assert caught.value.rows == (0, 1)
    assert len(filler.fill_mask(MASKED[0])[0]) == 5


def test_measure_ends_with_the_position_in_the_file(classifier, tmp_path, capsys):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*WORDS * 700, BAD_TEXT]), encoding="utf-8")
    assert main(["measure", str(classifier), str(path)]) == 1
    said = capsys.readouterr().err
    assert "output of the text classifier is NaN or infinite for text 2100 (counted from 0)" in said
    assert "Leipzig" not in said
    assert not (classifier / "measured.json").exists()
