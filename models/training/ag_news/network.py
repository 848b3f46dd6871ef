"""The models' forward passes and one training step in JAX, on the package's canonical weight names.

It computes what the package's classifiers compute (`preset.py` compares the two) in a fraction of the time:
the head reads the first token alone, so the last layer runs for that one query, and its key and value kernels
are applied to the query's side instead of to every token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .recipe import Recipe
from .rows import LABELS

Arrays = Mapping[str, Any]
WIDTHS = (40, 64, 96, 160, 256)
_BETA_1, _BETA_2 = 0.9, 0.99


def packed(ids: list[np.ndarray], recipe: Recipe) -> np.ndarray:
    """Rows of ids padded to the next of a few widths, so that few shapes are compiled."""
    longest = max(map(len, ids))
    out = np.full((len(ids), next(w for w in WIDTHS if longest <= w)), recipe.pad, np.int32)
    for row, of in zip(out, ids, strict=True):
        row[: len(of)] = of
    return out


def first_state(recipe: Recipe, vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Random weights, but for the token embedding: these vectors with a little noise."""
    rng, hidden = np.random.default_rng([recipe.seed, 2]), recipe.hidden_dim
    width = recipe.embedding_dim or hidden
    state: dict[str, np.ndarray] = {}

    def noise(name: str, *shape: int, scale: float) -> None:
        state[name] = (scale * rng.standard_normal(shape)).astype(np.float32)

    def dense(name: str, n_in: int, n_out: int, scale: float = 1.0) -> None:
        noise(f"{name}.kernel", n_in, n_out, scale=scale / np.sqrt(n_in))
        state[f"{name}.bias"] = np.zeros(n_out, np.float32)

    def norm(name: str, size: int) -> None:
        state[f"{name}.gamma"], state[f"{name}.beta"] = np.ones(size, np.float32), np.zeros(size, np.float32)

    noise("embeddings.token", recipe.n_ids, width, scale=recipe.embedding_noise)
    state["embeddings.token"] += vectors
    noise("embeddings.position", recipe.max_sequence_length, width, scale=0.02)
    norm("embeddings.norm", width)
    if recipe.is_albert:
        noise("embeddings.segment", 2, width, scale=0.0)
        dense("embeddings.projection", width, hidden)
    for name in dict.fromkeys(map(partial(_layer, recipe), range(recipe.num_layers))):
        for part, scale in (("query", 0.5), ("key", 0.5), ("value", 1.0), ("output", 1.0)):
            dense(f"{name}.attention.{part}", hidden, hidden, scale)
        norm(f"{name}.attention.norm", hidden)
        dense(f"{name}.feed_forward.up", hidden, recipe.ffn_dim)
        dense(f"{name}.feed_forward.down", recipe.ffn_dim, hidden, 0.5)
        norm(f"{name}.feed_forward.norm", hidden)
    dense(_pooler(recipe), hidden, hidden)
    dense("classifier.logits", hidden, len(LABELS), 0.5)
    return state


def _layer(recipe: Recipe, i: int) -> str:
    return "groups.0.layers.0" if recipe.is_albert else f"layers.{i}"


def _pooler(recipe: Recipe) -> str:
    return "pooler" if recipe.is_albert else "classifier.dense"


def _norm(x: Any, p: Arrays, name: str, epsilon: float) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + epsilon)
    return scaled * p[f"{name}.gamma"] + p[f"{name}.beta"]


def _dense(x: Any, p: Arrays, name: str) -> Any:
    return x @ p[f"{name}.kernel"] + p[f"{name}.bias"]


class _Dropout:
    """Leaves values out while training; without a key it does nothing."""

    def __init__(self, key: Any) -> None:
        self.key, self.n_used = key, 0

    def __call__(self, x: Any, rate: float) -> Any:
        if self.key is None:
            return x
        self.n_used += 1
        kept = jax.random.bernoulli(jax.random.fold_in(self.key, self.n_used), 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0.0)


def _attend(x: Any, p: Arrays, name: str, bias: Any, recipe: Recipe, drop: _Dropout) -> tuple[Any, Any]:
    """Attention of all tokens, (b, w, h), over all tokens."""
    b, _, hidden = x.shape
    size = hidden // recipe.num_heads
    q, k, v = (
        _dense(x, p, f"{name}.{n}").reshape(b, -1, recipe.num_heads, size) for n in ("query", "key", "value")
    )
    scores = jnp.einsum("bqnd,bknd->bnqk", q, k) / np.sqrt(size) + bias[:, None, None]
    weights = drop(jax.nn.softmax(scores), recipe.dropout)
    return x, jnp.einsum("bnqk,bknd->bqnd", weights, v).reshape(b, -1, hidden)


def _attend_first(x: Any, p: Arrays, name: str, bias: Any, recipe: Recipe, drop: _Dropout) -> tuple[Any, Any]:
    """Attention of the first token, (b, 1, h), over all tokens."""
    b, _, hidden = x.shape
    heads, size = recipe.num_heads, hidden // recipe.num_heads
    q = _dense(x[:, :1], p, f"{name}.query").reshape(b, heads, size)
    key = p[f"{name}.key.kernel"].reshape(hidden, heads, size)
    value = p[f"{name}.value.kernel"].reshape(hidden, heads, size)
    scores = jnp.einsum("bnh,bkh->bnk", jnp.einsum("bnd,hnd->bnh", q, key), x)
    scores += (q * p[f"{name}.key.bias"].reshape(heads, size)).sum(-1)[..., None]
    weights = drop(jax.nn.softmax(scores / np.sqrt(size) + bias[:, None]), recipe.dropout)
    mixed = jnp.einsum("bnh,hnd->bnd", jnp.einsum("bnk,bkh->bnh", weights, x), value)
    mixed += weights.sum(-1)[..., None] * p[f"{name}.value.bias"].reshape(heads, size)
    return x[:, :1], mixed.reshape(b, 1, hidden)


def logits(p: Arrays, ids: Any, recipe: Recipe, key: Any = None) -> Any:
    """Logits of ids, (b, w); with a random key, as while training."""
    drop, epsilon = _Dropout(key), recipe.epsilon
    bias = jnp.where(ids != recipe.pad, 0.0, -1e9)
    x = p["embeddings.token"][ids] + p["embeddings.position"][: ids.shape[1]]
    if recipe.is_albert:
        x = x + p["embeddings.segment"][0]
    x = _norm(x, p, "embeddings.norm", epsilon)
    if recipe.is_albert:
        x = _dense(x, p, "embeddings.projection")
    for i in range(recipe.num_layers):
        name = _layer(recipe, i)
        attend = _attend_first if i == recipe.num_layers - 1 else _attend
        query, mixed = attend(x, p, f"{name}.attention", bias, recipe, drop)
        mixed = drop(_dense(mixed, p, f"{name}.attention.output"), recipe.dropout)
        x = _norm(query + mixed, p, f"{name}.attention.norm", epsilon)
        inner = jax.nn.gelu(_dense(x, p, f"{name}.feed_forward.up"), approximate=recipe.is_albert)
        inner = drop(_dense(inner, p, f"{name}.feed_forward.down"), recipe.dropout)
        x = _norm(x + inner, p, f"{name}.feed_forward.norm", epsilon)
    x = jnp.tanh(_dense(drop(x[:, 0], recipe.head_dropout), p, _pooler(recipe)))
    return _dense(drop(x, recipe.head_dropout), p, "classifier.logits")


def train_step(recipe: Recipe, steps: int) -> Callable[..., Any]:
    """One step of Adam with warm-up and a cosine to zero.

    Returns: `(state, step, ids, wanted) -> (state, loss)`, where `state` is (weights, first moments, second
    moments, running mean of the weights), `step` counts from 1, `wanted` are probabilities.
    """

    def cross_entropy(p: Arrays, ids: Any, wanted: Any, key: Any) -> Any:
        return -(wanted * jax.nn.log_softmax(logits(p, ids, recipe, key))).sum(1).mean()

    @partial(jax.jit, donate_argnums=0)
    def run(state: Any, step: Any, ids: Any, wanted: Any) -> Any:
        weights, first, second, mean = state
        key = jax.random.fold_in(jax.random.PRNGKey(recipe.seed), step.astype(int))
        loss, grads = jax.value_and_grad(cross_entropy)(weights, ids, wanted, key)
        rate = recipe.learning_rate * jnp.minimum(1.0, step / recipe.warm_up)
        rate *= 0.5 + 0.5 * jnp.cos(np.pi * jnp.minimum(1.0, step / steps))
        first = {n: _BETA_1 * first[n] + (1 - _BETA_1) * g for n, g in grads.items()}
        second = {n: _BETA_2 * second[n] + (1 - _BETA_2) * g * g for n, g in grads.items()}
        up, down = 1 - _BETA_1**step, 1 - _BETA_2**step
        weights = {
            n: w - rate * (first[n] / up) / (jnp.sqrt(second[n] / down) + 1e-8) for n, w in weights.items()
        }
        kept = jnp.minimum(recipe.averaging, step / (step + 20.0))
        mean = {n: kept * mean[n] + (1 - kept) * w for n, w in weights.items()}
        return (weights, first, second, mean), loss

    return run


def predict(p: Arrays, ids: list[np.ndarray], recipe: Recipe) -> np.ndarray:
    """Logits of each row, (rows, classes)."""
    run = _compiled(recipe)
    order = np.argsort([len(row) for row in ids], kind="stable")
    out = np.empty((len(ids), len(LABELS)), np.float32)
    for start in range(0, len(order), recipe.batch):
        chosen = order[start : start + recipe.batch]
        full = np.resize(chosen, recipe.batch)  # the last batch repeats rows: one shape less to compile
        out[chosen] = np.asarray(run(p, packed([ids[i] for i in full], recipe)))[: len(chosen)]
    return out


@lru_cache
def _compiled(recipe: Recipe) -> Callable[..., Any]:
    return jax.jit(lambda p, ids: logits(p, ids, recipe))
