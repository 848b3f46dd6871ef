"""The shipped AG News models: their sizes, labels, cards and what they say about a few sentences."""

import json
import re

import numpy as np
import pytest

from sparkxlmr.presets import builtin
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.predictor import Predictor

MEGABYTES = 1_000_000
GOALS = {"xlm_roberta_tiny_ag_news": 0.90, "albert_tiny_ag_news": 0.89}
SIZES = {"xlm_roberta_tiny_ag_news": 8, "albert_tiny_ag_news": 5}
LABELS = ("World", "Sports", "Business", "Sci/Tech")

# Written for this test.
SENTENCES = [
    ("World", "The president told parliament that troops will leave the border region after the ceasefire."),
    ("World", "Rebels and government envoys met again on Sunday to talk about peace after the bombing."),
    ("Sports", "The striker scored twice in the last minutes and her team won the cup final."),
    ("Sports", "He pitched seven innings and the home side took the series four games to two."),
    ("Business", "Shares fell after the bank said its quarterly profit would miss what analysts expected."),
    ("Business", "Crude oil prices rose and the airline said it would cut jobs to lower its costs."),
    ("Sci/Tech", "The new version of the browser closes a security hole through which a virus could get in."),
    ("Sci/Tech", "The spacecraft sent back its first pictures of the moon of Saturn, scientists said."),
]
TEXTS = [text for _, text in SENTENCES]


@pytest.fixture(scope="module", params=sorted(GOALS))
def preset(request):
    return Preset.open(request.param)


@pytest.fixture(scope="module")
def metrics(preset):
    return json.loads((preset.path / "metrics.json").read_text())


def size(paths):
    return sum(path.stat().st_size for path in paths if path.is_file())


def test_it_is_built_in_and_small(preset):
    name = preset.path.name
    assert name in builtin.names()
    shipped = [p for pattern in ("*.json", "*.h5", "*.md") for p in preset.path.glob(pattern)]
    assert 0 < size([*shipped, *(preset.path / "assets").rglob("*")]) <= SIZES[name] * MEGABYTES
    assert size((preset.path / "bundles").rglob("*")) <= SIZES[name] * MEGABYTES


def test_its_labels_are_the_four_topics(preset):
    assert tuple(preset.labels) == LABELS


def test_it_reaches_its_goal_and_beats_what_one_would_try_first(preset, metrics):
    assert metrics["whole"]["accuracy"] >= GOALS[preset.path.name]
    assert metrics["whole"]["accuracy"] > metrics["baselines"]["logistic_regression"]["accuracy"]


def test_the_numbers_were_measured_on_these_weights(preset, metrics):
    assert metrics["preset"] == preset.content_hash
    if metrics["bundle"] is not None:
        assert Bundle.open(preset.path / "bundles" / "openvino").manifest.source == preset.content_hash


def test_the_numbers_fit_together(metrics):
    table = np.array(metrics["confusions"])
    assert table.sum() == metrics["rows"]
    assert table.trace() / table.sum() == pytest.approx(metrics["whole"]["accuracy"])
    assert np.mean(list(metrics["f1"].values())) == pytest.approx(metrics["whole"]["macro_f1"])


def test_the_card_says_what_was_measured(preset, metrics):
    card = (preset.path / "README.md").read_text()
    lines = [line for line in card.splitlines() if re.search(r"^\| .* million \|", line)]
    cells = [[cell.strip() for cell in line.split("|")[3:-1]] for line in lines]
    measured = [metrics["whole"], *metrics["baselines"].values()]
    assert cells == [[f"{of['accuracy']:.4f}", f"{of['macro_f1']:.4f}"] for of in measured]
    for label, counts in zip(LABELS, metrics["confusions"], strict=True):
        assert f"| {label} | {' | '.join(map(str, counts))} | {metrics['f1'][label]:.4f} |" in card
    *earlier, last = metrics["looks"]
    assert last == {"preset": preset.content_hash, "accuracy": metrics["whole"]["accuracy"]}
    assert all(f"{look['accuracy']:.4f}" in card for look in earlier)
    assert "non-commercial" in card
    assert "NIPS 2015" in card


def test_the_classifier_names_topics(preset):
    from sparkxlmr.models import TextClassifier

    labels = TextClassifier.from_preset(preset.path).predict_labels(TEXTS)
    assert list(labels) == [label for label, _ in SENTENCES]


def test_the_bundle_names_topics():
    pytest.importorskip("openvino")
    preset = Preset.open("xlm_roberta_tiny_ag_news")
    predictor = Predictor(Bundle.open(preset.path / "bundles" / "openvino"))
    logits = predictor.logits(TEXTS, preset.sequence_length).logits
    assert [preset.labels[i] for i in logits.argmax(1)] == [label for label, _ in SENTENCES]
