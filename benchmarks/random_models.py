"""Models of XLM-R base's shape with random weights: for speed and memory, where training plays no part.

    python benchmarks/random_models.py [--output build/benchmarks/models] [--size base|large]

Seeded: the same files on every machine. For each task (``classify``, five labels; ``fill-mask``) the same
weights twice, as this package's preset and as a Hugging Face checkpoint::

    <output>/classify/preset         <output>/classify/hugging_face
    <output>/fill-mask/preset        <output>/fill-mask/hugging_face

The vocabulary has XLM-R's 250,002 ids: the pieces of the tests' tokenizer (AG News' texts have about 92 of
them), and pieces that occur in no text for the rest.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
from measuring import BUILD, ROOT
from texts import generated

from sparkxlmr.presets import tables
from sparkxlmr.presets.config import BackboneConfig, MaskedLMConfig, TaskConfig, TextClassifierConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.sentencepiece_proto import Piece, piece_bytes
from sparkxlmr.presets.writer import write_preset
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.predictor import Predictor

MODELS = BUILD / "models"
LABELS = ("Business", "Sci/Tech", "Sports", "World", "Other")
VOCABULARY = 250_002
SIZES = {"base": (12, 12, 768, 3072), "large": (24, 16, 1024, 4096)}
_TOKENIZER = (
    ROOT / "tests" / "fixtures" / "hugging_face" / "xlmr_sequence_classification" / "sentencepiece.bpe.model"
)
# A classifier's head is drawn wider, so that texts get different labels.
_HEAD = {"classifier.dense.kernel": 0.05, "classifier.logits.kernel": 1.0}
_FAIRSEQ_IDS = 2  # <pad> and <mask>, which stand in no SentencePiece model
_PRIVATE_USE = (0xE000, 0xF8FF)  # characters that Unicode gives to nobody


def vocabulary() -> bytes:
    """The tests' SentencePiece model with as many pieces behind its own as XLM-R's has."""
    import sentencepiece

    proto = _TOKENIZER.read_bytes()
    own = sentencepiece.SentencePieceProcessor(model_proto=proto).get_piece_size()
    first, last = _PRIVATE_USE
    width = last - first + 1
    # A protocol buffer's repeated field goes on wherever more of it stands.
    more = [
        piece_bytes(Piece(chr(first + i // width) + chr(first + i % width), -20 - i / VOCABULARY))
        for i in range(VOCABULARY - _FAIRSEQ_IDS - own)
    ]
    return proto + b"".join(more)


def random_weights(config: BackboneConfig, task: TaskConfig, seed: int) -> dict[str, np.ndarray]:
    """Weights as Hugging Face begins training with them: normal with deviation 0.02, norms at one, biases 0.

    A classifier's head is drawn wider, so that texts get different labels.
    """
    generator = np.random.default_rng(seed)
    weights = {}
    for entry in tables.entries(config, task):
        if entry.name.endswith(("bias", "beta")):
            weights[entry.name] = np.zeros(entry.shape, np.float32)
        elif entry.name.endswith("gamma"):
            weights[entry.name] = np.ones(entry.shape, np.float32)
        else:
            scale = _HEAD.get(entry.name, 0.02)
            drawn = generator.standard_normal(entry.shape, dtype=np.float32)
            weights[entry.name] = drawn * np.float32(scale)
    return weights


def contents(task: str, size: str = "base", seed: int = 0) -> Contents:
    """A whole random model for ``"classify"`` or ``"fill-mask"``."""
    layers, heads, hidden, inner = SIZES[size]
    config = BackboneConfig(VOCABULARY, layers, heads, hidden, inner)
    head = TextClassifierConfig(len(LABELS), hidden) if task == "classify" else MaskedLMConfig()
    return Contents(
        config=config,
        weights=random_weights(config, head, seed),
        task=head,
        labels=LABELS if task == "classify" else None,
        proto=vocabulary(),
    )


def centred(model: Contents) -> Contents:
    """The classifier with the bias that lets no class win on all texts: made up texts' mean logits, negated.

    Random encoders answer nearly the same vector whatever they read. Rounded, so that the last bits of
    another machine's arithmetic do not show in the files.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_preset(f"{folder}/preset", model)
        bundle = compile_bundle(Preset.open(f"{folder}/preset"), "openvino", f"{folder}/bundle")
        logits = Predictor(bundle).logits(generated(64).texts, max_length=128).logits
    bias = np.round(-logits.mean(axis=0), 1).astype(np.float32)
    return dataclasses.replace(model, weights={**model.weights, "classifier.logits.bias": bias})


def make(folder: Path, tasks: tuple[str, ...] = ("classify", "fill-mask"), size: str = "base") -> Path:
    """The models in `folder`, made where they are not there whole."""
    for task in tasks:
        done = folder / task / "finished"
        if done.exists():
            continue
        shutil.rmtree(folder / task, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what other libraries do with a preset
            model = contents(task, size)
            if task == "classify":
                model = centred(model)
            write_preset(folder / task / "preset", model)
            export_checkpoint(folder / task / "hugging_face", model)
        done.touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=MODELS)
    parser.add_argument("--size", choices=sorted(SIZES), default="base")
    arguments = parser.parse_args()
    print(make(arguments.output, size=arguments.size))


if __name__ == "__main__":
    main()
