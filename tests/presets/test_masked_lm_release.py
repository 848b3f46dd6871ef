"""The shipped masked language model: its size, its card and what it puts into a few sentences."""

import json

import numpy as np
import pytest

from sparkxlmr.models import MaskedLM
from sparkxlmr.presets import builtin
from sparkxlmr.presets.preset import Preset

NAME = "xlm_roberta_tiny_masked_lm"
MEGABYTES = 1_000_000
PARTS = ("sib200", "ag_news", "whole")

# Written for this test: a sentence, and tokens of which one has to be among the five likeliest.
SENTENCES = {
    "The United <mask> has not answered yet.": {"Nations", "States"},
    "Oil prices <mask> to a record high on Friday.": {"rose", "fell", "climbed", "jumped", "rise"},
    "El presidente <mask> la república viaja mañana.": {"de"},
}


@pytest.fixture(scope="module")
def preset():
    return Preset.open(NAME)


@pytest.fixture(scope="module")
def metrics(preset):
    return json.loads((preset.path / "metrics.json").read_text())


@pytest.fixture(scope="module")
def model():
    return MaskedLM.from_preset(NAME)


def test_it_is_built_in_and_within_8_megabytes(preset, metrics):
    assert NAME in builtin.names()
    shipped = [*preset.path.glob("*.json"), *preset.path.glob("*.h5"), *(preset.path / "assets").rglob("*")]
    sizes = {path.name: path.stat().st_size for path in shipped if path.is_file()}
    assert sum(sizes.values()) <= 8 * MEGABYTES
    found_out = sizes["metrics.json"] + sizes["measured.json"]
    assert metrics["preset_bytes"] == sum(sizes.values()) - found_out


def test_the_numbers_were_measured_on_these_weights(preset, metrics):
    assert metrics["preset"] == preset.content_hash
    assert metrics["numbers"] == sum(array.size for array in preset.weights().values())
    assert metrics["checked"]["ranks_that_differ"] <= metrics["checked"]["asked"] // 100


def test_the_card_says_what_was_measured(preset, metrics):
    lines = (preset.path / "README.md").read_text().splitlines()
    shown = {"**this model**": "model", "Jelinek-Mercer": "trigram", "Kneser-Ney": "kneser_ney"}
    shown["both neighbours"] = "both_sides"
    for text, name in shown.items():
        row = next(line for line in lines if line.startswith("| ") and text in line)
        scores = [metrics["scores"][name][part][k] for part in PARTS for k in ("top_5", "top_1")]
        assert [cell.strip() for cell in row.split("|")[2:-1]] == [f"{score:.3f}" for score in scores]
    card = "\n".join(lines)
    assert "CC BY-SA 4.0" in card
    assert "non-commercial" in card


def test_the_whole_lies_between_the_parts(metrics):
    n = [metrics["asked"][part] for part in PARTS[:2]]
    for scores in metrics["scores"].values():
        mean = np.average([scores[part]["top_5"] for part in PARTS[:2]], weights=n)
        assert scores["whole"]["top_5"] == pytest.approx(mean)


def test_it_beats_the_trigram_models(metrics):
    top = {name: scores["whole"]["top_5"] for name, scores in metrics["scores"].items()}
    assert top["model"] > max(top["trigram"], top["kneser_ney"])


def test_it_fills_masks_sensibly(model):
    for (found,), sane in zip(model.fill_mask(list(SENTENCES)), SENTENCES.values(), strict=True):
        assert {mask.token for mask in found} & sane
        assert [mask.score for mask in found] == sorted((mask.score for mask in found), reverse=True)
