"""Presets between this package and keras-hub itself, both ways.

    PYTHONPATH=. python tests/environments/kerashub.py     # where keras-hub is installed: matrix.py kerashub

Every kind of model (two families; classifier, masked language model, bare encoder) is saved here and loaded
by keras-hub, changed there, saved by keras-hub and loaded here; some in shards, one in float16, some with
label names or a tokenizer's settings, which keras-hub does not know. Ids must be equal, answers within 1e-5.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
warnings.simplefilter("ignore", UserWarning)

import keras  # noqa: E402
import keras_hub  # noqa: E402
import numpy as np  # noqa: E402

from sparkxlmr import models  # noqa: E402

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
TEXTS = ["Stocks rise as oil falls to $60.", "¿Dónde está la biblioteca?", "x", "The far side of it " * 30]
# Just above the largest matrix of these models.
SHARDS = {"xlm-r": 1_200_000 / 2**30, "albert": 300_000 / 2**30}
TOLERANCE = 1e-5


def made_here() -> dict[str, Any]:
    """A model of each kind, by a name that ends in what is asked of the saving."""
    hub, checkpoints = FIXTURES / "keras_hub", FIXTURES / "hugging_face"
    albert = models.TextClassifier.from_preset(hub / "albert_text_classifier")
    tokenizer = models.AlbertTokenizer.from_preset(hub / "albert_text_classifier")
    masked = models.AlbertMaskedLM(
        models.AlbertBackbone.from_preset(hub / "albert_text_classifier"),
        preprocessor=models.AlbertMaskedLMPreprocessor(tokenizer, 64, mask_selection_length=6),
    )
    with_names = models.TextClassifier.from_preset(checkpoints / "xlmr_sequence_classification")
    return {
        "xlm-r classifier": models.TextClassifier.from_preset(hub / "xlmr_text_classifier"),
        "xlm-r classifier with label names, in shards": with_names,
        "xlm-r classifier in float16": with_names,
        "xlm-r masked language model": models.MaskedLM.from_preset(hub / "xlmr_masked_lm"),
        "xlm-r encoder": models.Backbone.from_preset(hub / "xlmr_text_classifier"),
        "albert classifier": albert,
        "albert classifier with a normalization of its own": models.TextClassifier.from_preset(
            checkpoints / "albert_sequence_classification"
        ),
        "albert masked language model, in shards": masked,
        "albert encoder, in shards": models.Backbone.from_preset(hub / "albert_text_classifier"),
    }


def inputs(model: Any, preprocessor: Any) -> dict[str, np.ndarray]:
    """Integers for a model of either package."""
    rng = np.random.default_rng(0)
    backbone = getattr(model, "backbone", model)
    ids = rng.integers(4, backbone.vocabulary_size, (3, 12))
    features = {"token_ids": ids, "padding_mask": np.array([[1] * 12, [1] * 5 + [0] * 7, [1] * 12])}
    if "albert" in backbone.name:
        features["segment_ids"] = np.array([[0] * 6 + [1] * 6] * 3)
    if "masked_lm" in model.name:
        features["mask_positions"] = np.array([[1, 2], [3, 4], [11, 0]])
    return {name: value.astype("int32") for name, value in features.items()}


def answers(model: Any) -> list[np.ndarray]:
    """What a model of either package answers, flat."""
    found = model(inputs(model, None), training=False)
    return [np.asarray(part, np.float32) for part in keras.tree.flatten(found)]


def ids(model: Any) -> np.ndarray | None:
    """The ids of the texts, by the tokenizer that came with the model."""
    preprocessor = getattr(model, "preprocessor", None)
    if preprocessor is None:
        return None
    tokenized = preprocessor.tokenizer(TEXTS)
    rows = [np.asarray(row).tolist() for row in tokenized]
    width = max(map(len, rows))
    tokens = np.array([row + [-1] * (width - len(row)) for row in rows])
    if "classifier" not in model.name:
        return tokens
    packed = np.asarray(preprocessor(TEXTS)["token_ids"])
    return np.concatenate([tokens.ravel(), packed.ravel()])


def compare(name: str, one: Any, two: Any) -> None:
    """Ends the program where two models do not agree."""
    pairs = zip(answers(one), answers(two), strict=True)
    far = max(float(np.abs(a - b).max()) for a, b in pairs)
    mine, theirs = ids(one), ids(two)
    same = (mine is None) == (theirs is None) and (mine is None or np.array_equal(mine, theirs))
    print(f"{name:75} answers within {far:.1e}, ids {'equal' if same else 'differ'}", flush=True)
    # keras-hub knows no normalization: it tokenizes raw texts.
    if not far <= TOLERANCE or same == ("normalization" in name):
        sys.exit(f"{name}: keras-hub does not agree")


def load(package: Any, model: Any, folder: Path) -> Any:
    """Loads a folder with the class of the other package that has the model's kind."""
    kinds = ("TextClassifier", "MaskedLM", "Backbone")
    kind = next(kind for kind in kinds if type(model).__name__.endswith(kind))
    return getattr(package, kind).from_preset(str(folder))


def change(model: Any) -> None:
    """Other weights, so that a loader which leaves them as they are is found out."""
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if variable.dtype == "float32":
            variable.assign(variable + rng.normal(0, 0.02, variable.shape).astype("float32"))


def compare_layers() -> None:
    """Ends the program where tokenizers, packers and preprocessors of the two packages do not agree."""
    segments = (["Stocks rise", "x " * 9], ["as oil falls to", "y"], ["$60. " * 5, ""])
    for preset, kind in (("xlmr", "TextClassifier"), ("albert", "TextClassifier")):
        folder = str(FIXTURES / "keras_hub" / f"{preset}_text_classifier")
        packages = (models, keras_hub.models)
        for truncate in ("round_robin", "waterfall"):
            for length in (8, 11, 13, 40):
                mine, theirs = (
                    getattr(package, f"{kind}Preprocessor").from_preset(
                        folder, sequence_length=length, truncate=truncate
                    )
                    for package in packages
                )
                for n in (1, 2, 3):
                    x = tuple(map(list, segments[:n]))
                    found, expected = mine(x=x), theirs(x=x)
                    for name in expected:
                        assert np.array_equal(found[name], np.asarray(expected[name])), (preset, n, name)
                ids = tuple(mine.tokenizer(list(column)) for column in segments[:2])
                for one, two in zip(mine.packer(ids), theirs.packer(ids), strict=True):
                    assert np.array_equal(one, np.asarray(two)), (preset, truncate, length)
        mine, theirs = (package.Tokenizer.from_preset(folder) for package in packages)
        assert mine.proto == theirs.proto
        for name in keras_hub_attributes(theirs):
            assert getattr(mine, name) == getattr(theirs, name), (preset, name)
    print("tokens, packers and preprocessors of one to three segments agree", flush=True)


def keras_hub_attributes(tokenizer: Any) -> list[str]:
    """The names of a tokenizer's special tokens and their ids."""
    return [name for name in vars(tokenizer) if name.endswith(("_token", "_token_id")) and name[0] != "_"]


def main() -> None:
    """All kinds, there and back."""
    compare_layers()
    for name, mine in made_here().items():
        with tempfile.TemporaryDirectory(prefix="sparkxlmr-kerashub-") as folder:
            here, there = Path(folder) / "here", Path(folder) / "there"
            size = SHARDS[name.split()[0]] if "in shards" in name else 10
            change(mine)
            dtype = "float16" if "float16" in name else "float32"
            mine.save_to_preset(here, weights_dtype=dtype, max_shard_size=size)
            assert ("in shards" in name) == (len(list(here.glob("model_*.weights.h5"))) > 1), name
            if dtype == "float16":
                mine = load(models, mine, here)
            theirs = load(keras_hub.models, mine, here)
            compare(f"{name}: from here to keras-hub", mine, theirs)
            change(theirs)
            theirs.save_to_preset(str(there), max_shard_size=size)
            assert ("in shards" in name) == (len(list(there.glob("model_*.weights.h5"))) > 1), name
            # Saved there, a normalization is lost, and ids are keras-hub's.
            name = name.replace("normalization", "setting")
            compare(f"{name}: from keras-hub to here", theirs, load(models, theirs, there))


if __name__ == "__main__":
    main()
