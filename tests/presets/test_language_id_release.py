"""The shipped language model: its size, its labels, its card and what it says about a few sentences."""

import json
import re

import numpy as np
import pytest

from sparkxlmr.presets import builtin
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.predictor import Predictor

MEGABYTES = 1_000_000

# Written for this test.
SENTENCES = {
    "eng_Latn": "The train to the coast leaves at seven, so we should buy the tickets tonight.",
    "deu_Latn": "Der Zug an die Küste fährt um sieben Uhr ab, also sollten wir die Karten heute kaufen.",
    "fra_Latn": "Le train pour la côte part à sept heures, nous devrions donc acheter les billets ce soir.",
    "pol_Latn": "Pociąg nad morze odjeżdża o siódmej, więc powinniśmy kupić bilety dziś wieczorem.",
    "fin_Latn": "Juna rannikolle lähtee kello seitsemän, joten meidän pitäisi ostaa liput tänä iltana.",
    "tur_Latn": "Sahile giden tren saat yedide kalkıyor, bu yüzden biletleri bu akşam almalıyız.",
    "ell_Grek": "Το τρένο για την παραλία φεύγει στις επτά και πρέπει να αγοράσουμε τα εισιτήρια απόψε.",
    "ukr_Cyrl": "Потяг до узбережжя вирушає о сьомій, тому нам слід купити квитки сьогодні ввечері.",
    "kor_Hang": "해안으로 가는 기차는 일곱 시에 출발하므로 오늘 밤에 표를 사야 합니다.",
    "jpn_Jpan": "海岸行きの列車は七時に出発するので、今夜のうちに切符を買っておきましょう。",
    "tha_Thai": "รถไฟไปชายฝั่งออกตอนเจ็ดโมง เราควรซื้อตั๋วคืนนี้",
    "kat_Geor": "მატარებელი ზღვისკენ შვიდ საათზე გადის, ამიტომ ბილეთები დღესვე უნდა ვიყიდოთ.",
}


@pytest.fixture(scope="module")
def preset():
    return Preset.open("xlm_roberta_tiny_language_id")


@pytest.fixture(scope="module")
def metrics(preset):
    return json.loads((preset.path / "metrics.json").read_text())


def size(paths):
    return sum(path.stat().st_size for path in paths if path.is_file())


def test_it_is_built_in():
    assert "xlm_roberta_tiny_language_id" in builtin.names()


def test_preset_and_bundles_are_each_within_20_megabytes(preset):
    bundles = list((preset.path / "bundles").rglob("*"))
    shipped = [*preset.path.glob("*.json"), *preset.path.glob("*.h5"), *preset.path.glob("*.md")]
    shipped += [*preset.path.glob("*.png"), *(preset.path / "assets").rglob("*")]
    assert size(shipped) <= 20 * MEGABYTES
    assert 0 < size(bundles) <= 20 * MEGABYTES


def test_labels_are_the_205_flores_codes_in_order(preset):
    assert len(preset.labels) == len(set(preset.labels)) == 205
    assert list(preset.labels) == sorted(preset.labels)
    assert all(re.fullmatch("[a-z]{3}_[A-Z][a-z]{3}", label) for label in preset.labels)


def test_the_numbers_were_measured_on_these_weights(preset, metrics):
    assert metrics["preset"] == preset.content_hash
    assert Bundle.open(preset.path / "bundles" / "openvino").manifest.source == preset.content_hash


def test_it_reaches_its_goals(metrics):
    assert metrics["whole"]["macro_f1"] >= 0.968
    assert metrics["short"]["accuracy"] >= 0.83


def test_the_card_says_what_was_measured(preset, metrics):
    card = (preset.path / "README.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith("| **this model**"))
    cells = [cell.strip() for cell in row.split("|")[3:-1]]
    scores = [metrics[part][score] for part in ("whole", "short") for score in ("macro_f1", "accuracy")]
    assert cells == [f"{score:.3f}" for score in scores]
    listed = dict(re.findall(r"`([a-z]{3}_[A-Z][a-z]{3})` \| (\d\.\d{3})", card))
    assert listed == {name: f"{value:.3f}" for name, value in metrics["f1"].items()}
    assert set(listed) == set(preset.labels)
    assert np.mean(list(metrics["f1"].values())) == pytest.approx(metrics["whole"]["macro_f1"])
    assert "CC BY-SA 4.0" in card
    assert (preset.path / "confused.png").stat().st_size > 0


def test_it_recognises_sentences(preset):
    pytest.importorskip("openvino")
    predictor = Predictor(Bundle.open(preset.path / "bundles" / "openvino"))
    logits = predictor.logits(list(SENTENCES.values()), preset.sequence_length).logits
    assert [preset.labels[i] for i in logits.argmax(1)] == list(SENTENCES)
