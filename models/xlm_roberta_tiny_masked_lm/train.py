"""Makes this model again from the data: vocabulary, first weights, training, preset.

    python train.py --data FOLDER --out FOLDER [--work FOLDER] [--steps N]

`--data` holds `sib200/train.parquet` and `ag_news/train.csv`. `--work` (default `OUT/.training`) keeps the
vocabulary and the last checkpoint: a run that was broken off goes on from there and ends with the same
weights. A share of the training sentences is never trained on; it shows how well pieces are guessed, and
settings were chosen by it. Needs `jax` and `scipy` beside the package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import network
import numpy as np
from batches import Batches, packed
from first_state import first_state
from recipe import Recipe
from rows import PARTS, Texts, hold_out, read
from vocabulary import train_vocabulary

from sparkxlmr.models import (
    XLMRobertaBackbone,
    XLMRobertaMaskedLM,
    XLMRobertaMaskedLMPreprocessor,
    XLMRobertaTokenizer,
)
from sparkxlmr.models.weights import assign
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

_VOCABULARYS = ("vocabulary_pieces", "vocabulary_share", "normalization", "character_coverage", "seed")
_MAY_CHANGE = ("steps", "rates", "decay", "block")  # for steps yet to come, a run may be given others
_PROBE = 64  # texts on which two forward passes are compared
_ASKED = 3000  # positions of held out sentences of each part


def main() -> None:
    args = _arguments()
    recipe = replace(Recipe(), **{n: getattr(args, n) for n in ("steps", "seed") if getattr(args, n)})
    work = args.work or args.out / ".training"
    everything = read(args.data, "train")
    texts, held = hold_out(everything, recipe.held_out)
    print(f"{len(texts)} texts, {len(held)} held out", flush=True)
    settings = recipe.as_dict()
    its_own = {n: settings[n] for n in _VOCABULARYS}
    vocabulary = work / f"vocabulary-{_fingerprint(everything, its_own)}.spm"
    if not vocabulary.exists():
        print("training the vocabulary", flush=True)
        train_vocabulary(everything, recipe, vocabulary)
    tokenizer = XlmRobertaTokenizer(vocabulary)
    fixed = {n: value for n, value in settings.items() if n not in _MAY_CHANGE}
    checkpoint = work / f"checkpoint-{_fingerprint(everything, fixed)}.npz"
    weights = fit(texts, held, tokenizer, checkpoint, recipe)
    save(weights, vocabulary, held.pieces(tokenizer)[:_PROBE], recipe, args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


def _fingerprint(texts: Texts, settings: object) -> str:
    """Tells runs apart that may not share a file."""
    read_from = hashlib.sha256("\n".join(texts.texts).encode()).hexdigest()
    return hashlib.sha256(json.dumps([read_from, settings]).encode()).hexdigest()[:12]


def fit(
    texts: Texts, held: Texts, tokenizer: XlmRobertaTokenizer, checkpoint: Path, recipe: Recipe
) -> dict[str, np.ndarray]:
    size, pieces = tokenizer.vocabulary_size, texts.pieces(tokenizer)
    batches, report = Batches(pieces, texts.language, size, recipe), _Report(held, tokenizer, recipe)
    state, done = _begin(pieces, size, checkpoint, recipe)
    run, losses = network.train_step(recipe), []
    for batch in batches.after(done):
        if done == recipe.steps:
            break
        done += 1
        state, loss = run(state, done, batch)
        losses.append(loss)
        if done % recipe.block == 0 or done == recipe.steps:
            report(state[0], done, losses)
            _store(checkpoint, state, done)
            losses = []
    return {name: np.asarray(array) for name, array in state[0].items()}


def _begin(pieces: list[np.ndarray], size: int, checkpoint: Path, recipe: Recipe) -> tuple:
    if checkpoint.exists():
        with np.load(checkpoint) as stored:
            names = [n[2:] for n in stored.files if n.startswith("0/")]
            state = tuple({n: jnp.asarray(stored[f"{k}/{n}"]) for n in names} for k in range(3))
            return state, int(stored["done"])
    weights = {n: jnp.asarray(a) for n, a in first_state(pieces, size, recipe).items()}
    return (weights, *({n: jnp.zeros_like(a) for n, a in weights.items()} for _ in range(2))), 0


def _store(checkpoint: Path, state: tuple, done: int) -> None:
    arrays = {f"{k}/{n}": np.asarray(a) for k, of in enumerate(state) for n, a in of.items()}
    part = checkpoint.with_suffix(".part.npz")
    np.savez(part, done=done, **arrays)
    part.replace(checkpoint)


class _Report:
    """Prints progress; every fifth block how many held-out pieces are among the five likeliest."""

    def __init__(self, held: Texts, tokenizer: XlmRobertaTokenizer, recipe: Recipe) -> None:
        self.recipe, self.ranks, self.started = recipe, network.Ranks(recipe), time.time()
        pieces, self.asked = held.pieces(tokenizer), []
        rng = np.random.default_rng([recipe.seed, 5])
        for part in range(len(PARTS)):
            rows = rng.permutation(np.flatnonzero(held.part == part))[: _ASKED // 20]
            self.asked.append([pieces[i] for i in rows])

    def __call__(self, weights: dict, done: int, losses: list) -> None:
        loss = f"loss {np.mean([float(x) for x in losses]):.4f}, {time.time() - self.started:.0f} s"
        line = f"step {done} of {self.recipe.steps}, {loss}"
        if done % (5 * self.recipe.block) == 0 or done == self.recipe.steps:
            for name, rows in zip(PARTS, self.asked, strict=True):
                line += f", {name} {np.mean(top(self.ranks, weights, rows)):.4f}"
        print(line, flush=True)


def top(ranks: network.Ranks, weights: dict, rows: list[np.ndarray], k: int = 5) -> np.ndarray:
    """Whether each third piece of the rows is among the `k` likeliest, all else being seen."""
    rows, found = sorted(rows, key=len), []
    for start in range(0, len(rows), ranks.rows):
        few = rows[start : start + ranks.rows]
        ids = packed(few + [few[-1]] * (ranks.rows - len(few)))
        row, at = np.nonzero(ids[: len(few)] > network.UNK)
        found.append(ranks(weights, ids, row[::3], at[::3]) < k)
    return np.concatenate(found)


def save(state: dict, vocabulary: Path, probe: list[np.ndarray], recipe: Recipe, out: Path) -> None:
    """Puts the weights into the package's classes, checks that they compute the same, writes the preset."""
    tokenizer = XLMRobertaTokenizer(vocabulary)
    backbone = XLMRobertaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=1,
        num_heads=recipe.num_heads,
        hidden_dim=recipe.hidden_dim,
        intermediate_dim=recipe.ffn_dim,
        max_sequence_length=recipe.max_sequence_length,
    )
    preprocessor = XLMRobertaMaskedLMPreprocessor(tokenizer, sequence_length=recipe.max_sequence_length)
    model = XLMRobertaMaskedLM(backbone, preprocessor=preprocessor)
    assign(model, state)
    ids = packed(probe)
    at = (np.arange(len(ids)) % (ids != network.PAD).sum(1))[:, None]
    whole = ids.copy()
    np.put_along_axis(ids, at, tokenizer.mask_token_id, 1)
    mask = (ids != network.PAD).astype("int32")
    features = {"token_ids": ids, "padding_mask": mask, "mask_positions": at.astype("int32")}
    says = model.predict_on_batch(features)
    for vectors in (network.vectors(state, ids, recipe), network.each_masked(state, whole, recipe)):
        own = network.logits(state, np.take_along_axis(np.asarray(vectors), at[..., None], 1))
        apart = float(np.abs(np.asarray(own) - np.asarray(says)).max())
        if apart > 1e-3:
            raise AssertionError(f"the model's logits are up to {apart} from those of the training step")
    model.save_to_preset(out, weights_dtype="float16")
    compile_bundle(Preset.open(out), "openvino", out / "bundles" / "openvino")
    print(f"wrote {out}; the forward passes agree to {apart:.1e}", flush=True)


if __name__ == "__main__":
    main()
