"""Trains the small encoder on what the teachers think of the rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from sparkxlmr.text.families import tokenizer_for

from . import network
from .recipe import VIEWS, Recipe
from .rows import LABELS, Rows
from .vectors import token_vectors

State = dict[str, np.ndarray]
_MOMENTS = 4  # weights, two moments, running mean
_AT_A_TIME = 16  # batches whose rows are sorted by length


class Texts:
    """The ids of all views, and the probabilities a student is to learn for them, (views, rows, classes)."""

    def __init__(
        self, proto: bytes, texts: list[list[str]], judged: np.ndarray, labels: np.ndarray, r: Recipe
    ):
        self.ids = [encode(proto, view, r) for view in texts]
        own = np.eye(len(LABELS), dtype=np.float32)[labels]
        self.wanted = r.own_label * own + (1 - r.own_label) * judged

    def __len__(self) -> int:
        return self.wanted.shape[1]

    def draw(self, rng: np.random.Generator, recipe: Recipe) -> tuple[list[np.ndarray], np.ndarray]:
        """One text of each row, some pieces left out of it."""
        shares = np.array(recipe.views) / sum(recipe.views)
        view = rng.choice(len(shares), len(self), p=shares)
        rates = 2 * recipe.drop_pieces * rng.random(len(self))
        ids = []
        for i, (v, rate) in enumerate(zip(view, rates, strict=True)):
            row = self.ids[v][i]
            kept = rng.random(len(row)) >= rate
            kept[0] = kept[-1] = True
            ids.append(row[kept])
        return ids, self.wanted[view, np.arange(len(self))]


def encode(proto: bytes, texts: list[str], recipe: Recipe) -> list[np.ndarray]:
    encoded = tokenizer_for(recipe.family, proto).encode(texts, recipe.max_sequence_length)
    return [np.array(row, np.int32) for row in encoded.ids]


def fit(texts: Texts, proto: bytes, checkpoint: Path, held: Rows, recipe: Recipe) -> State:
    """The running mean of the weights. Each epoch has its own random numbers, so a run that goes on from a
    checkpoint sees what the unbroken run would have seen."""
    per_epoch = len(texts) // recipe.batch
    run = network.train_step(recipe, per_epoch * recipe.epochs)
    state, done = _begin(checkpoint, texts, recipe)
    seen, started = encode(proto, held.texts, recipe), time.time()
    for epoch in range(done, recipe.epochs):
        rng = np.random.default_rng([recipe.seed, 3, epoch])
        ids, wanted = texts.draw(rng, recipe)
        losses = []
        for k, batch in enumerate(_batches(ids, rng, recipe)):
            step = jnp.float32(epoch * per_epoch + k + 1)
            state, loss = run(state, step, network.packed([ids[i] for i in batch], recipe), wanted[batch])
            losses.append(loss)
        _store(checkpoint, state, epoch + 1)
        line = f"epoch {epoch + 1} of {recipe.epochs}, loss {np.mean([float(x) for x in losses]):.4f}"
        if seen:
            right = network.predict(state[-1], seen, recipe).argmax(1) == held.labels
            line += f", held out: accuracy {right.mean():.4f}"
        print(f"{line}, {time.time() - started:.0f} s", flush=True)
    return {name: np.asarray(array) for name, array in state[-1].items()}


def _batches(ids: list[np.ndarray], rng: np.random.Generator, recipe: Recipe) -> list[np.ndarray]:
    """Places of rows; a batch's rows are alike long. Whole batches only."""
    order, lengths = rng.permutation(len(ids)), np.array([len(row) for row in ids])
    batches = []
    for start in range(0, len(order), _AT_A_TIME * recipe.batch):
        rows = order[start : start + _AT_A_TIME * recipe.batch]
        rows = rows[: len(rows) // recipe.batch * recipe.batch]
        batches += list(rows[np.argsort(lengths[rows], kind="stable")].reshape(-1, recipe.batch))
    return [batches[i] for i in rng.permutation(len(batches))]


def _begin(checkpoint: Path, texts: Texts, recipe: Recipe) -> tuple[Any, int]:
    if checkpoint.exists():
        with np.load(checkpoint) as stored:
            names = [n[2:] for n in stored.files if n.startswith("0/")]
            state = tuple({n: jnp.asarray(stored[f"{k}/{n}"]) for n in names} for k in range(_MOMENTS))
            return state, int(stored["done"])
    width = recipe.embedding_dim or recipe.hidden_dim
    whole, size = texts.ids[VIEWS.index("whole")], recipe.vector_size
    vectors = token_vectors(whole, recipe.n_ids, width, recipe.window, size, recipe.seed)
    first = network.first_state(recipe, vectors)
    states = [first, *({n: np.zeros_like(a) for n, a in first.items()} for _ in range(2)), first]
    return tuple({n: jnp.array(a) for n, a in of.items()} for of in states), 0


def _store(checkpoint: Path, state: Any, done: int) -> None:
    arrays = {f"{k}/{n}": np.asarray(a) for k, of in enumerate(state) for n, a in of.items()}
    part = checkpoint.with_suffix(".part.npz")
    np.savez(part, done=done, **arrays)
    part.replace(checkpoint)
