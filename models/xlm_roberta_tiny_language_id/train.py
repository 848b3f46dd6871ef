"""Makes this model again from the data: vocabulary, evidence, training, preset.

    python train.py --data FOLDER --out FOLDER [--work FOLDER] [--hold-out 70]

`--data` holds `sib200/train.parquet`. `--work` (default `OUT/.training`) keeps the vocabulary and the last
checkpoint: a run that was broken off goes on from there and ends with the same weights. `--hold-out N` keeps
N sentences (all their translations) out and prints how well they are recognised; settings were chosen so.
Needs `jax` beside the package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import network
import numpy as np
from evidence import State, first_state, likeliest, token_tables
from recipe import Recipe
from rows import Rows, hold_out, read
from scores import accuracy, macro_f1
from spans import Spans
from vocabulary import first_sixths, hard_rows, train_vocabulary

from sparkxlmr.models import (
    XLMRobertaBackbone,
    XLMRobertaTextClassifier,
    XLMRobertaTextClassifierPreprocessor,
    XLMRobertaTokenizer,
)
from sparkxlmr.models.weights import assign
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

_PROBE = 64
_ABOVE_THE_VOCABULARY = (
    "steps",
    "learning_rate",
    "warm_up",
    "batch",
    "widths",
    "whole",
    "joined",
    "magnitude",
)
_SCALES = (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)


def main() -> None:
    args = _arguments()
    recipe = replace(Recipe(), **{n: getattr(args, n) for n in ("steps", "seed") if getattr(args, n)})
    work = args.work or args.out / ".training"
    rows, held = hold_out(read(args.data, "train"), args.hold_out)
    print(f"{len(rows)} rows, {len(held)} held out, {len(rows.languages)} languages", flush=True)
    vocabulary = work / f"vocabulary-{_fingerprint(rows, recipe)}.spm"
    if not vocabulary.exists():
        print("training the vocabulary", flush=True)
        train_vocabulary(hard_rows(rows, _first_guess(rows, recipe, vocabulary), recipe), recipe, vocabulary)
    tokenizer = XlmRobertaTokenizer(vocabulary)
    part = _parts(rows, recipe)
    ids = _bare_ids(tokenizer, rows, recipe)
    table, tables = token_tables(ids, rows.labels, part, len(rows.languages), recipe)
    checkpoint = work / f"checkpoint-{_fingerprint(rows, recipe, recipe.as_dict())}.npz"
    weights = fit(Spans(rows, part, recipe), tokenizer, table, tables, checkpoint, held)
    save({"embeddings.token": table, **weights}, vocabulary, rows, recipe, args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--hold-out", type=int, default=0, metavar="N")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


def _fingerprint(rows: Rows, recipe: Recipe, settings: object = None) -> str:
    """Tells runs apart that may not share a file."""
    kept = settings or {**recipe.as_dict(), **dict.fromkeys(_ABOVE_THE_VOCABULARY)}
    texts = hashlib.sha256("\n".join(rows.texts).encode()).hexdigest()
    return hashlib.sha256(json.dumps([texts, kept]).encode()).hexdigest()[:12]


def _parts(rows: Rows, recipe: Recipe) -> np.ndarray:
    """A part for each row, the same for all translations of a sentence."""
    sentences, of = np.unique(rows.sentence, return_inverse=True)
    shuffled = np.random.default_rng([recipe.seed, 1]).permutation(len(sentences))
    return (shuffled[of] % recipe.n_folds).astype(np.int32)


def _first_guess(rows: Rows, recipe: Recipe, vocabulary: Path) -> np.ndarray:
    """What a quick small model takes each row for, when counted without the row's part."""
    quick = replace(recipe, vocabulary_pieces=recipe.first_pieces)
    path = vocabulary.with_suffix(".first")
    train_vocabulary(rows.texts[:: recipe.first_rows], quick, path)
    ids, part = _bare_ids(XlmRobertaTokenizer(path), rows, quick), _parts(rows, quick)
    return likeliest(ids, part, token_tables(ids, rows.labels, part, len(rows.languages), quick)[1])


def _bare_ids(tokenizer: XlmRobertaTokenizer, rows: Rows, recipe: Recipe) -> list[np.ndarray]:
    """The rows' ids without `<s>` and `</s>`."""
    return [np.array(row[1:-1], np.int32) for row in network.encode(tokenizer, rows.texts, recipe)]


def fit(
    spans: Spans,
    tokenizer: XlmRobertaTokenizer,
    table: np.ndarray,
    tables: np.ndarray,
    checkpoint: Path,
    held: Rows,
) -> State:
    """Trains everything above the token embedding. Each block of batches has its own random numbers, so a run
    that goes on from a checkpoint sees what the unbroken run would have seen."""
    recipe, labels = spans.recipe, spans.rows.labels
    run, on_device = network.train_step(recipe), jnp.asarray(tables)
    state, done = _begin(spans, tokenizer, on_device, checkpoint)
    report = _Report(tokenizer, jnp.asarray(table), held, recipe)
    report(state[0], done, [])
    while done < recipe.steps:
        rng = np.random.default_rng([recipe.seed, 2, done])
        steps = min(recipe.block, recipe.steps - done)
        chosen, texts = spans.draw(rng, recipe.batch * recipe.widths * steps)
        ids = network.encode(tokenizer, texts, recipe)
        losses = []
        for step in rng.permutation(_by_length(ids, recipe)):
            done += 1
            batches = [
                (network.packed([ids[i] for i in batch]), spans.part[rows], labels[rows])
                for batch, rows in zip(step, chosen[step], strict=True)
            ]
            state, loss = run(state, done, on_device, batches)
            losses.append(loss)
        report(state[0], done, losses)
        _store(checkpoint, state, done)
    return {name: np.asarray(array) for name, array in state[0].items()}


def _by_length(ids: list[list[int]], recipe: Recipe) -> np.ndarray:
    """Places of rows, (steps, widths, batch): a batch's rows are alike long, and each step has batches of all
    lengths, as short and long text pull the weights in different directions."""
    order = np.argsort([len(row) for row in ids], kind="stable")
    return order.reshape(recipe.widths, -1, recipe.batch).swapaxes(0, 1)


def _begin(spans: Spans, tokenizer: XlmRobertaTokenizer, tables: jax.Array, checkpoint: Path) -> tuple:
    """The stored state, or the first one with the scale of its logits fitted on a few rows."""
    if checkpoint.exists():
        with np.load(checkpoint) as stored:
            names = [n[2:] for n in stored.files if n.startswith("0/")]
            state = tuple({n: jnp.asarray(stored[f"{k}/{n}"]) for n in names} for k in range(3))
            return state, int(stored["done"])
    recipe = spans.recipe
    weights = {n: jnp.asarray(a) for n, a in first_state(recipe, len(spans.rows.languages)).items()}
    chosen, texts = spans.draw(np.random.default_rng([recipe.seed, 3]), 4 * recipe.batch)
    ids = network.packed(network.encode(tokenizer, texts, recipe))
    given = tables, ids, spans.part[chosen], spans.rows.labels[chosen]
    kernel = weights["classifier.logits.kernel"]

    def loss(scale: float) -> float:
        scaled = {**weights, "classifier.logits.kernel": scale * kernel}
        return float(network.cross_entropy(scaled, *given, recipe))

    weights["classifier.logits.kernel"] = min(_SCALES, key=loss) * kernel
    zeros = [{n: jnp.zeros_like(a) for n, a in weights.items()} for _ in range(2)]
    return (weights, *zeros), 0


def _store(checkpoint: Path, state: tuple, done: int) -> None:
    arrays = {f"{k}/{n}": np.asarray(a) for k, of in enumerate(state) for n, a in of.items()}
    part = checkpoint.with_suffix(".part.npz")
    np.savez(part, done=done, **arrays)
    part.replace(checkpoint)


class _Report:
    """Prints progress; on held-out sentences every fourth block."""

    def __init__(self, tokenizer: XlmRobertaTokenizer, table: jax.Array, held: Rows, recipe: Recipe) -> None:
        self.tokenizer, self.table, self.held, self.recipe = tokenizer, table, held, recipe
        self.short = first_sixths(tokenizer.proto, held.texts)
        self.started = time.time()

    def __call__(self, weights: dict, done: int, losses: list) -> None:
        spent = f"{time.time() - self.started:.0f} s"
        loss = f", loss {np.mean([float(x) for x in losses]):.4f}" if losses else ""
        line = f"step {done} of {self.recipe.steps}{loss}, {spent}"
        if len(self.held) and (done % (4 * self.recipe.block) == 0 or done == self.recipe.steps):
            best = [self._best(weights, texts) for texts in (self.held.texts, self.short)]
            right, n = self.held.labels, len(self.held.languages)
            line += f", held out: macro F1 {macro_f1(right, best[0], n):.4f}"
            line += f", first sixths {accuracy(right, best[1]):.4f}"
        print(line, flush=True)

    def _best(self, weights: dict, texts: list[str]) -> np.ndarray:
        return network.predict(weights, self.table, self.tokenizer, texts, self.recipe)


def save(state: State, vocabulary: Path, rows: Rows, recipe: Recipe, out: Path) -> None:
    """Puts the weights into the package's classes, checks that they compute the same, writes the preset."""
    tokenizer = XLMRobertaTokenizer(vocabulary)
    backbone = XLMRobertaBackbone(
        vocabulary_size=recipe.vocabulary_pieces + 2,
        num_layers=recipe.num_layers,
        num_heads=recipe.num_heads,
        hidden_dim=recipe.hidden_dim,
        intermediate_dim=recipe.ffn_dim,
        max_sequence_length=recipe.max_sequence_length,
    )
    model = XLMRobertaTextClassifier(
        backbone,
        num_classes=len(rows.languages),
        hidden_dim=recipe.hidden_dim,
        preprocessor=XLMRobertaTextClassifierPreprocessor(
            tokenizer, sequence_length=recipe.max_sequence_length
        ),
    )
    assign(model, state)
    ids = network.packed(network.encode(XlmRobertaTokenizer(vocabulary), rows.texts[:_PROBE], recipe))
    own = network.logits(state, state["embeddings.token"][ids], ids != network.PAD, recipe)
    mask = (ids != network.PAD).astype("int32")
    keras_says = model.predict_on_batch({"token_ids": ids, "padding_mask": mask})
    apart = float(np.abs(np.asarray(own) - np.asarray(keras_says)).max())
    if apart > 1e-3:
        raise AssertionError(f"the model's logits are up to {apart} from those of the training step")
    model.save_to_preset(out, classes=list(rows.languages), weights_dtype="float16")
    print(f"wrote {out}; the two forward passes agree to {apart:.1e}", flush=True)


if __name__ == "__main__":
    main()
