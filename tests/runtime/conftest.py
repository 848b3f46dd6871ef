"""A tiny random model in canonical names, and the same classifier in plain NumPy to hold engines to."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import MANIFEST, Bundle, Manifest, describe_files
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.predictor import Predictor

SHAPE = {
    "vocabulary": 60,
    "hidden": 16,
    "layers": 3,
    "heads": 4,
    "intermediate": 40,
    "positions": 50,
    "classes": 5,
}


def random_weights(seed: int = 0, half: bool = False) -> dict[str, np.ndarray]:
    """Weights of the SHAPE above; with `half` every number is one that float16 holds."""
    random = np.random.default_rng(seed)
    hidden, wide = SHAPE["hidden"], SHAPE["intermediate"]
    weights: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int, around: float = 0.0) -> None:
        array = (around + random.normal(0, 0.3, shape)).astype(np.float16 if half else np.float32)
        weights[name] = array.astype(np.float32)

    def dense(name: str, n_in: int, n_out: int) -> None:
        add(f"{name}.kernel", n_in, n_out)
        add(f"{name}.bias", n_out)

    def norm(name: str) -> None:
        add(f"{name}.gamma", hidden, around=1.0)
        add(f"{name}.beta", hidden)

    add("embeddings.token", SHAPE["vocabulary"], hidden)
    add("embeddings.position", SHAPE["positions"], hidden)
    norm("embeddings.norm")
    for index in range(SHAPE["layers"]):
        for part in ("query", "key", "value", "output"):
            dense(f"layers.{index}.attention.{part}", hidden, hidden)
        norm(f"layers.{index}.attention.norm")
        dense(f"layers.{index}.feed_forward.up", hidden, wide)
        dense(f"layers.{index}.feed_forward.down", wide, hidden)
        norm(f"layers.{index}.feed_forward.norm")
    dense("classifier.dense", hidden, hidden)
    dense("classifier.logits", hidden, SHAPE["classes"])
    return weights


def reference_logits(
    weights: dict[str, np.ndarray], token_ids: np.ndarray, padding_mask: np.ndarray, epsilon: float = 1e-5
) -> np.ndarray:
    """The classifier in float64, each text alone and without its padding."""
    erf = np.vectorize(math.erf)

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.kernel"].astype(np.float64) + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
        return scaled * weights[f"{name}.gamma"] + weights[f"{name}.beta"]

    def one(ids: np.ndarray) -> np.ndarray:
        x = weights["embeddings.token"][ids].astype(np.float64) + weights["embeddings.position"][: len(ids)]
        x = norm(x, "embeddings.norm")
        n_heads, size = SHAPE["heads"], SHAPE["hidden"] // SHAPE["heads"]
        for index in range(SHAPE["layers"]):
            layer = f"layers.{index}"
            query, key, value = (
                dense(x, f"{layer}.attention.{part}").reshape(len(ids), n_heads, size).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(size))
            attended = (scores / scores.sum(-1, keepdims=True)) @ value
            attended = attended.transpose(1, 0, 2).reshape(len(ids), SHAPE["hidden"])
            x = norm(x + dense(attended, f"{layer}.attention.output"), f"{layer}.attention.norm")
            wide = dense(x, f"{layer}.feed_forward.up")
            wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
            x = norm(x + dense(wide, f"{layer}.feed_forward.down"), f"{layer}.feed_forward.norm")
        return dense(np.tanh(dense(x[0], "classifier.dense")), "classifier.logits")

    return np.stack([one(ids[mask.astype(bool)]) for ids, mask in zip(token_ids, padding_mask, strict=True)])


@pytest.fixture(scope="session")
def tiny_shape():
    return SHAPE


@pytest.fixture(scope="session")
def tiny_weights():
    return random_weights


@pytest.fixture(scope="session")
def numpy_logits():
    return reference_logits


@pytest.fixture(scope="session")
def token_batch():
    """Rows of 2 to 17 random ids, padded to 17: int32 ids and mask."""
    random = np.random.default_rng(3)
    lengths = np.array([2, 17, 9, 3, 12, 17, 5])
    mask = (np.arange(17)[None] < lengths[:, None]).astype(np.int32)
    ids = random.integers(3, SHAPE["vocabulary"], mask.shape).astype(np.int32)
    return np.where(mask == 1, ids, 1).astype(np.int32), mask


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


HUGGING_FACE = Path(__file__).parents[1] / "fixtures" / "hugging_face" / "xlmr_sequence_classification"


@pytest.fixture(scope="session")
def golden():
    """Texts and what Hugging Face's own model says about them (see the NOTICE for where they come from)."""
    expected = json.loads((HUGGING_FACE / "expected.json").read_text(encoding="utf-8"))
    # The recorded logits of a text that spells `<pad>` are of another attention mask: only its ids count.
    compared = np.array(["<pad>" not in text for text in expected["texts"]])
    return expected["texts"], expected["max_length"], np.array(expected["logits"], np.float32), compared


@pytest.fixture(scope="session")
def golden_preset():
    return Preset.open(HUGGING_FACE)


@pytest.fixture(scope="session")
def golden_bundles(golden_preset, tmp_path_factory):
    """`golden_bundles(engine)`: the golden model compiled for the engine, once for all tests."""
    folder = tmp_path_factory.mktemp("bundles")

    def compiled(engine: str) -> Bundle:
        if not (folder / engine).exists():
            return compile_bundle(golden_preset, engine, folder / engine)
        return Bundle.open(folder / engine)

    return compiled


@pytest.fixture(scope="session")
def golden_predictor(golden_bundles):
    """`golden_predictor(engine, precision)`: the golden model, open."""
    opened: dict[tuple[str, str], Predictor] = {}

    def predictor(engine: str = "openvino", precision: str = "float32") -> Predictor:
        key = engine, precision
        if key not in opened:
            opened[key] = Predictor(golden_bundles(engine), precision, threads=2)
        return opened[key]

    return predictor
