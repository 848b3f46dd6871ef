"""Tiny random models in canonical names, and the same in plain NumPy to hold engines to."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sparkxlmr.presets.config import AlbertConfig, BackboneConfig, TextClassifierConfig
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries
from sparkxlmr.runtime.bundle import MANIFEST, Bundle, Manifest, describe_files
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.reader import Reader

NUMBERS = {
    "vocabulary_size": 60, "num_layers": 3, "num_heads": 4, "hidden_dim": 16, "intermediate_dim": 40,
    "max_sequence_length": 50,
}  # fmt: skip
XLM_R = BackboneConfig(**NUMBERS)
ALBERT = AlbertConfig(**{**NUMBERS, "num_layers": 4}, embedding_dim=12, num_groups=2, num_inner_repetitions=2)


def random_weights(config=XLM_R, task=None, seed: int = 0, half: bool = False) -> dict[str, np.ndarray]:
    """Weights of that shape, by default of a classifier; with `half` every number is one that float16
    holds."""
    random = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for entry in entries(config, task or classifier_of(config)):
        around = 1.0 if entry.name.endswith(".gamma") else 0.0
        array = (around + random.normal(0, 0.3, entry.shape)).astype(np.float16 if half else np.float32)
        weights[entry.name] = array.astype(np.float32)
    return weights


def classifier_of(config) -> TextClassifierConfig:
    return TextClassifierConfig(5, None if config.family == "albert" else config.hidden_dim)


class Reference:
    """The same models in float64, each text alone and without its padding."""

    def __init__(self, weights, config, task) -> None:
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}
        self.config, self.task = config, task

    def logits(self, token_ids, padding_mask, segment_ids=None, mask_positions=None) -> np.ndarray:
        segment_ids = np.zeros_like(token_ids) if segment_ids is None else segment_ids
        texts = [
            self.encoded(ids[mask == 1], segments[mask == 1])
            for ids, segments, mask in zip(token_ids, segment_ids, padding_mask, strict=True)
        ]
        if mask_positions is None:
            head = "pooler" if self.config.family == "albert" else "classifier.dense"
            return np.stack([self.dense(np.tanh(self.dense(x[0], head)), "classifier.logits") for x in texts])
        x = np.stack([texts[row][column] for row, column in mask_positions])
        x = self.activate(self.dense(x, "masked_lm.dense"), self.task.activation)
        x = self.norm(x, "masked_lm.norm", self.task.layer_norm_epsilon)
        return x @ self.weights["embeddings.token"].T + self.weights["masked_lm.bias"]

    def encoded(self, ids, segments) -> np.ndarray:
        config, table = self.config, self.weights
        x = table["embeddings.token"][ids] + table["embeddings.position"][: len(ids)]
        names = [f"layers.{i}" for i in range(config.num_layers)]
        if config.family == "albert":
            x = x + table["embeddings.segment"][segments]
            group_of = np.repeat(range(config.num_groups), config.num_layers // config.num_groups)
            repeated = range(config.num_inner_repetitions)
            names = [f"groups.{group}.layers.{inner}" for group in group_of for inner in repeated]
        x = self.norm(x, "embeddings.norm")
        if config.family == "albert":
            x = self.dense(x, "embeddings.projection")
        for name in names:
            x = self.layer(x, name)
        return x

    def layer(self, x, name) -> np.ndarray:
        heads, size = self.config.num_heads, self.config.head_dim
        query, key, value = (
            self.dense(x, f"{name}.attention.{part}").reshape(len(x), heads, size).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(size))
        attended = (scores / scores.sum(-1, keepdims=True)) @ value
        attended = attended.transpose(1, 0, 2).reshape(len(x), heads * size)
        x = self.norm(x + self.dense(attended, f"{name}.attention.output"), f"{name}.attention.norm")
        wide = self.activate(self.dense(x, f"{name}.feed_forward.up"), self.config.activation)
        return self.norm(x + self.dense(wide, f"{name}.feed_forward.down"), f"{name}.feed_forward.norm")

    def dense(self, x, name) -> np.ndarray:
        return x @ self.weights[f"{name}.kernel"] + self.weights[f"{name}.bias"]

    def norm(self, x, name, epsilon=None) -> np.ndarray:
        epsilon = self.config.layer_norm_epsilon if epsilon is None else epsilon
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        return scaled * self.weights[f"{name}.gamma"] + self.weights[f"{name}.beta"]

    @staticmethod
    def activate(x, activation) -> np.ndarray:
        if activation == "relu":
            return np.maximum(x, 0)
        if activation == "gelu":
            return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
        # Hendrycks and Gimpel 2016
        return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.fixture(scope="session")
def token_batch():
    """Rows of 2 to 17 random ids, padded to 17: an engine's inputs, all int32; the last is a mask on each
    row."""
    random = np.random.default_rng(3)
    lengths = np.array([2, 17, 9, 3, 12, 17, 5])
    mask = (np.arange(17)[None] < lengths[:, None]).astype(np.int32)
    ids = random.integers(3, NUMBERS["vocabulary_size"], mask.shape).astype(np.int32)
    return {
        "token_ids": np.where(mask == 1, ids, 1).astype(np.int32),
        "padding_mask": mask,
        "segment_ids": (random.random(mask.shape) < 0.5).astype(np.int32) * mask,
        "mask_positions": np.array([(1, 16), (0, 0), (0, 1), (6, 4), (1, 3)], np.int32),
    }


@pytest.fixture
def plain_bundle(tmp_path):
    """A bundle whose files are a few bytes of nothing: enough to pack, verify and damage."""
    return make_plain_bundle(tmp_path / "plain")


@pytest.fixture
def host_home(tmp_path, monkeypatch):
    """This test's own host folder."""
    folder = tmp_path / "host"
    monkeypatch.setenv("SPARKXLMR_HOST_FOLDER", str(folder))
    return folder


def make_plain_bundle(folder: Path, content: bytes = b"graph") -> Bundle:
    (folder / "saved" / "variables").mkdir(parents=True)
    files = {"graph.bin": content, "saved/variables/index": b"\x00" * 300, "vocabulary.spm": b"pieces"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = Manifest(
        family="xlm_roberta",
        task="text_classifier",
        engine="openvino",
        precisions=("float32",),
        max_length=50,
        labels=("a", "ß"),
        tokenizer={"family": "xlm_roberta", "file": "vocabulary.spm"},
        source="0" * 64,
        files=describe_files(folder, files),
    )
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return Bundle.open(folder)


@pytest.fixture(scope="session")
def tiny():
    """What makes tiny models: two shapes, random weights for them, and what NumPy says."""
    return SimpleNamespace(
        XLM_R=XLM_R, ALBERT=ALBERT, weights=random_weights, classifier_of=classifier_of, Reference=Reference
    )


GOLDEN = "hugging_face/xlmr_sequence_classification"


@pytest.fixture(scope="session")
def golden(fixtures):
    """Texts and what Hugging Face's own model says about them (see the NOTICE for where they come from)."""
    expected = json.loads((fixtures / GOLDEN / "expected.json").read_text(encoding="utf-8"))
    # The recorded logits of a text that spells `<pad>` are of another attention mask: only its ids count.
    compared = np.array(["<pad>" not in text for text in expected["texts"]])
    return expected["texts"], expected["max_length"], np.array(expected["logits"], np.float32), compared


@pytest.fixture(scope="session")
def golden_preset(fixtures):
    return Preset.open(fixtures / GOLDEN)


@pytest.fixture(scope="session")
def bundle_of(fixtures, tmp_path_factory):
    """`bundle_of(folder, engine)`: the model of a fixture's folder compiled for the engine, once for all
    tests."""
    made: dict[tuple[str, str], Bundle] = {}

    def compiled(folder: str, engine: str = "openvino") -> Bundle:
        if (folder, engine) not in made:
            place = tmp_path_factory.mktemp("bundles") / engine
            made[folder, engine] = compile_bundle(Preset.open(fixtures / folder), engine, place)
        return made[folder, engine]

    return compiled


@pytest.fixture(scope="session")
def opened(bundle_of):
    """`opened(folder, engine, precision)`: the model of a fixture's folder, open."""
    models: dict[tuple[str, str, str], Reader] = {}

    def model(folder: str, engine: str = "openvino", precision: str = "float32") -> Reader:
        key = folder, engine, precision
        if key not in models:
            models[key] = open_model(bundle_of(folder, engine), precision, threads=2)
        return models[key]

    return model


@pytest.fixture(scope="session")
def golden_bundles(bundle_of):
    """`golden_bundles(engine)`: the golden classifier compiled for the engine."""
    return lambda engine: bundle_of(GOLDEN, engine)


@pytest.fixture(scope="session")
def golden_predictor(opened):
    """`golden_predictor(engine, precision)`: the golden classifier, open."""
    return lambda engine="openvino", precision="float32": opened(GOLDEN, engine, precision)
