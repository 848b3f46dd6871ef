"""The model's forward pass and one training step in JAX, on the package's canonical weight names.

It computes what `sparkxlmr.models.XLMRobertaMaskedLM` computes (`train.py` compares the two). The encoder has
one layer, and so every position of a text can be the masked one in the same pass: what position i asks is the
same in every text (`<mask>` and i), and of all that it sees only its own key and value change. A step thus
learns from all pieces of its texts, each guessed from the whole rest of the text, as in `fill_mask`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from batches import PAD, UNK, Batch
from recipe import Recipe

Arrays = Mapping[str, Any]
_EPSILON = 1e-5
_BETA_1, _BETA_2 = 0.9, 0.98
_NEVER = -1e9
_ATTENTION, _FORWARD = "layers.0.attention", "layers.0.feed_forward"


def _norm(x: Any, p: Arrays, name: str) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + _EPSILON)
    return scaled * p[f"{name}.gamma"] + p[f"{name}.beta"]


def _dense(x: Any, p: Arrays, name: str) -> Any:
    return x @ p[f"{name}.kernel"] + p[f"{name}.bias"]


def _gelu(x: Any) -> Any:
    return jax.nn.gelu(x, approximate=False)


def _heads(x: Any, p: Arrays, name: str, recipe: Recipe) -> Any:
    y = _dense(x, p, f"{_ATTENTION}.{name}")
    return y.reshape(*y.shape[:-1], recipe.num_heads, -1)


def _above(x: Any, mixed: Any, p: Arrays) -> Any:
    """From the attention's answer, `mixed`, to the vectors that are compared with the token embedding."""
    x = _norm(x + _dense(mixed, p, f"{_ATTENTION}.output"), p, f"{_ATTENTION}.norm")
    inner = _gelu(_dense(x, p, f"{_FORWARD}.up"))
    x = _norm(x + _dense(inner, p, f"{_FORWARD}.down"), p, f"{_FORWARD}.norm")
    return _norm(_gelu(_dense(x, p, "masked_lm.dense")), p, "masked_lm.norm")


def _embedded(ids: Any, width: int, p: Arrays) -> Any:
    return _norm(p["embeddings.token"][ids] + p["embeddings.position"][:width], p, "embeddings.norm")


def vectors(p: Arrays, ids: Any, recipe: Recipe) -> Any:
    """The head's vectors (b, w, h) at all positions of `ids` (b, w), masked or not, as any XLM-R has them."""
    b, width = ids.shape
    x = _embedded(ids, width, p)
    q, k, v = (_heads(x, p, name, recipe) for name in ("query", "key", "value"))
    scores = jnp.einsum("bqnd,bknd->bnqk", q, k) / np.sqrt(q.shape[-1])
    weights = jax.nn.softmax(scores + jnp.where(ids == PAD, _NEVER, 0.0)[:, None, None])
    return _above(x, jnp.einsum("bnqk,bknd->bqnd", weights, v).reshape(b, width, -1), p)


def each_masked(p: Arrays, shown: Any, recipe: Recipe) -> Any:
    """The same vectors (b, w, h), each as if `<mask>` stood at its position, and only there."""
    b, width = shown.shape
    x, mask = _embedded(shown, width, p), _embedded(np.array(-1), width, p)
    k, v = (_heads(x, p, name, recipe) for name in ("key", "value"))
    own_q, own_k, own_v = (_heads(mask, p, name, recipe) for name in ("query", "key", "value"))
    scores = jnp.einsum("qnd,bknd->bnqk", own_q, k)
    here = jnp.eye(width, dtype=bool)
    scores = jnp.where(here, jnp.einsum("qnd,qnd->nq", own_q, own_k)[None, :, :, None], scores)
    scores = scores / np.sqrt(k.shape[-1]) + jnp.where(shown == PAD, _NEVER, 0.0)[:, None, None]
    weights = jax.nn.softmax(scores)
    mixed = jnp.einsum("bnqk,bknd->bqnd", jnp.where(here, 0.0, weights), v)
    mixed += jnp.einsum("bnqq,qnd->bqnd", weights, own_v)
    return _above(mask, mixed.reshape(b, width, -1), p)


def logits(p: Arrays, h: Any) -> Any:
    return h @ p["embeddings.token"].T + p["masked_lm.bias"]


def loss(p: Arrays, batch: tuple[Any, ...], recipe: Recipe) -> Any:
    """Mean cross-entropy of all pieces, with the sum over the vocabulary estimated from the candidates."""
    ids, shown, candidates, log_weights = batch
    groups = len(candidates)
    h = each_masked(p, shown, recipe).reshape(groups, -1, recipe.hidden_dim)
    true, table, bias = ids.reshape(groups, -1), p["embeddings.token"], p["masked_lm.bias"]
    right = (h * table[true]).sum(-1) + bias[true]
    wrong = jnp.einsum("gtd,gcd->gtc", h, table[candidates]) + (bias[candidates] + log_weights)[:, None]
    wrong = jnp.where(candidates[:, None] == true[:, :, None], _NEVER, wrong)
    highest = jax.lax.stop_gradient(jnp.maximum(wrong.max(-1), right))
    total = jnp.exp(wrong - highest[..., None]).sum(-1) + jnp.exp(right - highest)
    counted = true > UNK
    return jnp.where(counted, highest + jnp.log(total) - right, 0.0).sum() / counted.sum()


def train_step(recipe: Recipe) -> Callable[..., Any]:
    """One step of Adam: `(state, step, batch) -> (state, loss)`, where `state` is the triple (weights, first
    moments, second moments) and `step` counts from 1."""

    knots = np.array(recipe.rates, np.float32).T

    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, step: Any, batch: tuple[Any, ...]) -> Any:
        weights, first, second = state
        value, grads = jax.value_and_grad(loss)(weights, batch, recipe)
        left = (recipe.steps - step + 1) / (recipe.decay * recipe.steps)
        rate = jnp.interp(step, knots[0], knots[1]) * jnp.minimum(1.0, left)
        first = {n: _BETA_1 * first[n] + (1 - _BETA_1) * g for n, g in grads.items()}
        second = {n: _BETA_2 * second[n] + (1 - _BETA_2) * g * g for n, g in grads.items()}
        up, down = 1 - _BETA_1**step, 1 - _BETA_2**step

        def moved(n: str) -> Any:
            return weights[n] - rate * (first[n] / up) / (jnp.sqrt(second[n] / down) + 1e-8)

        return ({n: moved(n) for n in weights}, first, second), value

    def run(state: Any, step: int, batch: Batch) -> Any:
        arrays = batch.ids, batch.shown, batch.candidates, batch.log_weights
        return update(state, float(step), arrays)

    return run


class Ranks:
    """Where the true piece stands among all pieces, at positions masked one at a time."""

    def __init__(self, recipe: Recipe, rows: int = 64) -> None:
        self.rows = rows
        self._vectors = jax.jit(partial(each_masked, recipe=recipe))
        self._ranked = jax.jit(_ranked)

    def __call__(self, p: Arrays, ids: np.ndarray, row: np.ndarray, at: np.ndarray) -> np.ndarray:
        """`ids` (self.rows, w); the positions asked for are `ids[row, at]`."""
        h, size = np.asarray(self._vectors(p, ids)), 256
        true, found = ids[row, at], []
        for k in range(0, len(row), size):
            few = [np.resize(x, (size, *x.shape[1:])) for x in (h[row, at][k : k + size], true[k : k + size])]
            found.append(np.asarray(self._ranked(p, *few))[: len(true[k : k + size])])
        return np.concatenate(found) if found else np.empty(0, np.int64)


def _ranked(p: Arrays, h: Any, true: Any) -> Any:
    scores = logits(p, h)
    of_true = jnp.take_along_axis(scores, true[:, None], 1)
    before = jnp.arange(scores.shape[1]) < true[:, None]
    return ((scores > of_true) | ((scores == of_true) & before)).sum(1)
