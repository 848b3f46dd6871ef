"""Texts to logits, in the caller's order, whoever the batch mates are."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from sparkxlmr.errors import EngineError, NotAPresetError, SettingError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.predictor import Predictor


class CountingRunner:
    """An engine's own, with the shapes it is given noted and settings of the test's."""

    def __init__(self, runner, widths=None):
        self.runner, self.widths, self.batch_tokens = runner, widths, 512
        self.shapes: list[tuple[int, int]] = []

    def run(self, inputs):
        self.shapes.append(inputs["token_ids"].shape)
        return self.runner.run(inputs)


@pytest.fixture
def counting(golden_bundles):
    def make(**settings):
        predictor = Predictor(golden_bundles("openvino"), threads=1)
        predictor._runner = CountingRunner(predictor._runner, **settings)
        predictor._max_tokens = predictor._runner.batch_tokens
        return predictor, predictor._runner.shapes

    return make


def test_order_is_kept_and_batch_mates_do_not_matter(golden_predictor, golden):
    texts, max_length, _, _ = golden
    predictor = golden_predictor()
    whole = predictor.logits(texts, max_length)
    shuffled = np.random.default_rng(0).permutation(len(texts))
    again = predictor.logits([texts[row] for row in shuffled], max_length, batch_size=7)
    np.testing.assert_allclose(again.logits, whole.logits[shuffled], atol=1e-5)
    np.testing.assert_array_equal(again.truncated, whole.truncated[shuffled])
    for row in (0, 17, 100):
        np.testing.assert_allclose(
            predictor.logits([texts[row]], max_length).logits[0], whole.logits[row], atol=1e-5
        )


def test_equal_texts_are_computed_once(counting):
    predictor, shapes = counting()
    prediction = predictor.logits(["one", "two", "one", "one"], 32)
    assert sum(rows for rows, _ in shapes) == 2
    np.testing.assert_array_equal(prediction.logits[0], prediction.logits[2])


def test_batches_keep_to_rows_and_tokens(counting, golden):
    texts, max_length, _, _ = golden
    predictor, shapes = counting()
    predictor.logits(texts, max_length, batch_size=5)
    assert max(rows for rows, _ in shapes) <= 5
    shapes.clear()
    predictor.logits(texts, max_length)
    assert all(rows * width <= 512 or rows == 1 for rows, width in shapes)


def test_an_engine_that_compiles_for_shapes_meets_few(counting, golden):
    texts, max_length, logits, compared = golden
    predictor, shapes = counting(widths=(32, 64, 128))
    found = predictor.logits(texts, max_length).logits
    assert {width for _, width in shapes} <= {32, 64, 128}
    np.testing.assert_allclose(found[compared], logits[compared], atol=1e-4)


def test_nothing_and_empty_text(golden_predictor):
    predictor = golden_predictor()
    assert predictor.logits([], 16).logits.shape == (0, 4)
    prediction = predictor.logits(["", "\ud800", "a\0b"], 16)
    assert np.isfinite(prediction.logits).all()
    assert not prediction.truncated.any()


def test_truncation_is_told(golden_predictor):
    prediction = golden_predictor().logits(["short", "word " * 200_000], 16)
    assert prediction.truncated.tolist() == [False, True]
    assert prediction.truncated.dtype == bool


@pytest.mark.parametrize("max_length", [0, 1, 129])
def test_a_length_the_model_cannot_read_is_refused(golden_predictor, max_length):
    with pytest.raises(SettingError, match="2 to 128"):
        golden_predictor().logits(["a"], max_length)


def test_settings_are_checked_before_the_model_is_opened(golden_bundles):
    bundle = golden_bundles("openvino")
    with pytest.raises(SettingError, match="precision is 'int2'"):
        Predictor(bundle, "int2")
    with pytest.raises(SettingError, match="threads is 0"):
        Predictor(bundle, threads=0)
    unknown = replace(bundle.manifest, tokenizer={"family": "other", "file": "vocabulary.spm"})
    with pytest.raises(NotAPresetError, match="'other'"):
        Predictor(Bundle(bundle.folder, unknown))
    with pytest.raises(SettingError, match="engine is 'abacus'"):
        Predictor(Bundle(bundle.folder, replace(bundle.manifest, engine="abacus")))


def test_a_graph_that_openvino_cannot_read(golden_bundles, tmp_path):
    folder = shutil.copytree(golden_bundles("openvino").folder, tmp_path / "broken")
    (folder / "model.xml").write_text("<net>")
    with pytest.raises(EngineError, match="cannot open"):
        Predictor(Bundle.open(folder))


def test_lower_case_where_asked_for(golden_predictor):
    """XLM-R has no setting of its own: all but the mask token is lower-cased."""
    predictor = golden_predictor()
    asked, spelled = ["ÄB <mask> <S> X"], ["äb <mask> <s> x"]
    lowered = predictor.logits(asked, 16, None, True).logits
    np.testing.assert_array_equal(lowered, predictor.logits(spelled, 16).logits)
    for lower_case in (None, False):
        assert not np.allclose(predictor.logits(asked, 16, None, lower_case).logits, lowered)


def test_case_overrides_the_tokenizers_own_setting(opened):
    """ALBERT's lower-cases; whatever else it does to a text it does in either case."""
    predictor = opened("hugging_face/albert_sequence_classification")
    upper, lower = ["The Quick  É"], ["the quick  é"]

    def logits(texts, lower_case=None):
        return predictor.logits(texts, 16, None, lower_case).logits

    np.testing.assert_array_equal(logits(upper), logits(lower))
    np.testing.assert_array_equal(logits(upper, True), logits(upper))
    assert not np.allclose(logits(upper, False), logits(upper))
    np.testing.assert_array_equal(logits(["the quick e"], False), logits(upper))


def test_a_bundle_is_opened_by_what_it_is(golden_bundles, opened):
    bundle = golden_bundles("openvino")
    assert type(opened("hugging_face/albert_sequence_classification")) is Predictor
    other = Bundle(bundle.folder, replace(bundle.manifest, task="other"))
    for opening in (open_model, Predictor):
        with pytest.raises(NotAPresetError, match="is a other"):
            opening(other)


def test_a_model_with_more_positions_reads_longer_texts(golden_preset, tiny, tmp_path):
    """More than the usual 512, where the model has them: here of 700 positions, each its own."""
    there = golden_preset.contents()
    config = replace(there.config, max_sequence_length=700)
    table = np.random.default_rng(1).normal(0, 0.3, (700, config.hidden_dim)).astype(np.float32)
    weights = {**there.weights, "embeddings.position": table}
    longer = replace(there, config=config, weights=weights, sequence_length=700)
    preset = Preset.open(write_preset(tmp_path / "long", longer))
    predictor = Predictor(compile_bundle(preset, "openvino", tmp_path / "bundle"), threads=2)
    assert predictor.bundle.max_length == 700
    text = "one two three " * 400
    ids = np.array(predictor._tokenizer.encode([text], 650).ids, np.int32)
    assert ids.shape == (1, 650)
    expected = tiny.Reference(weights, config, preset.task).logits(ids, np.ones_like(ids))
    np.testing.assert_allclose(predictor.logits([text, "one"], 650).logits[:1], expected, atol=1e-4)
    with pytest.raises(SettingError, match="2 to 700"):
        predictor.logits([text], 701)
