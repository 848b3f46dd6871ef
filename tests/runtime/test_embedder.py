"""Vectors of texts: those of Hugging Face's encoder, on every engine, whatever the order and the batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime.child import ChildPredictor
from sparkxlmr.runtime.compiler import bundle_for, compile_bundle
from sparkxlmr.runtime.embedder import Embedder
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.row_embedder import EmbedOptions, embed_rows

XLM_R, ALBERT = "hugging_face/xlmr_sequence_classification", "hugging_face/albert_masked_lm"
TEXTS = [
    "One, two",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. " * 3,
    "x",
    "One, two",
    "🙂 é",
]


class CountingRunner:
    """An engine's own, with the number of texts that it is given noted."""

    def __init__(self, runner):
        self.runner, self.widths, self.batch_tokens, self.texts = runner, None, runner.batch_tokens, []

    def run(self, inputs):
        self.texts.append(len(inputs["token_ids"]))
        return self.runner.run(inputs)


@pytest.fixture(scope="module")
def bundles(fixtures, tmp_path_factory):
    made = {}

    def compiled(folder, engine="openvino"):
        if (folder, engine) not in made:
            place = tmp_path_factory.mktemp("encoders") / engine
            made[folder, engine] = compile_bundle(Encoder.of(Preset.open(fixtures / folder)), engine, place)
        return made[folder, engine]

    return compiled


@pytest.fixture(scope="module")
def embedder(bundles):
    return open_model(bundles(XLM_R), threads=2)


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_the_head_makes_hugging_faces_logits_of_the_first_tokens_vectors(
    bundles, golden, golden_preset, engine
):
    texts, max_length, logits, compared = golden
    vectors = open_model(bundles(XLM_R, engine), threads=2).embed(texts, max_length, "cls").vectors
    weights = golden_preset.weights()

    def dense(x, name):
        return x @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]

    found = dense(np.tanh(dense(vectors, "classifier.dense")), "classifier.logits")
    np.testing.assert_allclose(found[compared], logits[compared], atol=1e-4)


@pytest.mark.parametrize(
    ("folder", "engine"), [(XLM_R, "openvino"), (XLM_R, "tensorflow"), (ALBERT, "openvino")]
)
@pytest.mark.filterwarnings("ignore:.* has no pooler")
def test_vectors_are_pooled_from_what_the_keras_encoder_answers(bundles, fixtures, folder, engine):
    from sparkxlmr.models.backbone import Backbone

    model = open_model(bundles(folder, engine), threads=2)
    encoded = model._encode(TEXTS, 40, None)
    width = max(map(len, encoded.ids))
    inputs = model._inputs(encoded, range(len(TEXTS)), width)
    backbone = Backbone.from_preset(fixtures / folder)
    sequence = np.asarray(backbone.unpack(backbone.predict(inputs, verbose=0))[0], np.float64)
    counted = inputs["padding_mask"][..., None]
    mean = (sequence * counted).sum(1) / counted.sum(1)
    for pooling, expected in (("cls", sequence[:, 0]), ("mean", mean)):
        np.testing.assert_allclose(model.embed(TEXTS, 40, pooling).vectors, expected, atol=1e-5)
        lengths = np.linalg.norm(expected, axis=1, keepdims=True)
        unit = model.embed(TEXTS, 40, pooling, normalize=True)
        np.testing.assert_allclose(unit.vectors, expected / lengths, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(unit.vectors, axis=1), 1, atol=1e-6)
    assert unit.truncated.tolist() == [False, True, False, False, False]


def test_order_batches_and_repetition_do_not_matter(embedder, golden, monkeypatch):
    texts = [*golden[0][:40], *golden[0][:3]]
    whole = embedder.embed(texts, 128)
    counting = CountingRunner(embedder._runner)
    monkeypatch.setattr(embedder, "_runner", counting)
    again = embedder.embed(texts[::-1], 128, batch_size=7)
    np.testing.assert_allclose(whole.vectors, again.vectors[::-1], atol=1e-5)
    assert (sum(counting.texts), max(counting.texts)) == (len(set(texts)), 7)
    assert embedder.embed([], 128).vectors.shape[0] == 0
    assert sum(counting.texts) == len(set(texts))


def test_lower_casing_and_lengths(embedder):
    lower = embedder.embed(["ONE TWO"], 16, lower_case=True).vectors
    np.testing.assert_array_equal(lower, embedder.embed(["one two"], 16).vectors)
    for settings, message in (
        ({"max_length": 1}, "2 to 128"),
        ({"max_length": 129}, "2 to 128"),
        ({"max_length": 9, "pooling": "max"}, "pooling is 'max'"),
    ):
        with pytest.raises(SettingError, match=message):
            embedder.embed(["a"], **settings)


def test_blank_texts_have_no_vector_and_shift_nothing(embedder):
    texts = ["One", "", None, " \n", "two"]
    rows = embed_rows([None, texts, [], ["", None], ["two"]], embedder.embed, EmbedOptions(16))
    assert rows.source.lists() == [[], [0, 4], [], [], [0]]
    assert rows.truncated.lists() == [[], [False, False], [], [], [False]]
    expected = embedder.embed(["One", "two"], 16).vectors
    np.testing.assert_allclose(rows.vectors, expected[[0, 1, 1]], atol=1e-6)
    nothing = embed_rows([None, [""]], None, EmbedOptions(16))  # no model is asked
    assert nothing.source.lists() == nothing.truncated.lists() == [[], []]
    assert nothing.vectors.size == 0


def test_a_child_embeds_too(bundles, embedder):
    child = ChildPredictor(bundles(XLM_R), "float32", 1, "")
    found = child.embed(["a", "b c"], 16, "cls", True)
    child.close()
    np.testing.assert_allclose(
        found.vectors, embedder.embed(["a", "b c"], 16, "cls", True).vectors, atol=1e-6
    )


def test_an_encoder_is_compiled_once_beside_the_whole_models_bundle(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path))
    shipped = Preset.open("xlm_roberta_tiny_language_id")
    with caplog.at_level("INFO"):
        first, again = (bundle_for(Encoder.of(shipped), "openvino") for _ in range(2))
    assert [record.message.split(";")[0] for record in caplog.records] == [
        "Compiling xlm_roberta_tiny_language_id for openvino"
    ]
    assert first == again
    whole = bundle_for(shipped, "openvino")
    assert (whole.manifest.task, first.manifest.task) == ("text_classifier", "encoder")
    assert (first.manifest.labels, first.manifest.activation) == ((), None)
    assert first.manifest.source not in (whole.manifest.source, shipped.content_hash)
    assert isinstance(open_model(first, threads=1), Embedder)


def test_a_bare_encoder_answers_as_the_classifier_that_it_is_of(embedder, golden_preset, tmp_path):
    contents = golden_preset.contents()
    weights = golden_preset.weights(head=False)
    write_preset(tmp_path / "bare", replace(contents, weights=weights, task=None, labels=None))
    bare = Preset.open(tmp_path / "bare")
    assert bare.task is None
    bundle = compile_bundle(Encoder.of(bare), "openvino", tmp_path / "bundle")
    found = open_model(bundle, threads=2).embed(TEXTS, 64)
    np.testing.assert_allclose(found.vectors, embedder.embed(TEXTS, 64).vectors, atol=1e-6)
    # A preset that nobody asked for vectors still has to have a head.
    with pytest.raises(NotAPresetError, match="has no head"):
        compile_bundle(bare, "openvino", tmp_path / "other")
