"""The model's forward pass and one training step in JAX, on the package's canonical weight names.

It computes what `sparkxlmr.models.XLMRobertaTextClassifier` computes (`train.py` compares the two) in a
fraction of the time: the classifier reads `<s>` alone, so the last layer runs for that one query, and its key
and value kernels are applied to the query's side instead of to every token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from evidence import READS_TOKENS
from recipe import Recipe

from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

Arrays = Mapping[str, Any]
WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 256)
PAD = 1
_EPSILON = 1e-5
_BETA_1, _BETA_2 = 0.9, 0.99


def packed(ids: list[list[int]]) -> np.ndarray:
    """Rows of ids padded to the next of a few widths, so that few shapes are compiled."""
    longest = max(map(len, ids))
    width = next((w for w in WIDTHS if longest <= w), WIDTHS[-1])
    out = np.full((len(ids), width), PAD, np.int32)
    for row, of in zip(out, ids, strict=True):
        row[: len(of)] = of[:width]
    return out


def encode(tokenizer: XlmRobertaTokenizer, texts: list[str], recipe: Recipe) -> list[list[int]]:
    return tokenizer.encode(texts, recipe.max_sequence_length).ids


def _norm(x: Any, p: Arrays, name: str) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + _EPSILON)
    return scaled * p[f"{name}.gamma"] + p[f"{name}.beta"]


def _dense(x: Any, p: Arrays, name: str) -> Any:
    return x @ p[f"{name}.kernel"] + p[f"{name}.bias"]


def _attend(query: Any, x: Any, p: Arrays, name: str, bias: Any, heads: int) -> Any:
    """Attention of all queries, (b, q, h), over all tokens, (b, w, h)."""
    b, _, hidden = x.shape
    split = partial(jnp.reshape, shape=(b, -1, heads, hidden // heads))
    q, k, v = (split(_dense(of, p, f"{name}.{n}")) for of, n in ((query, "query"), (x, "key"), (x, "value")))
    scores = jnp.einsum("bqnd,bknd->bnqk", q, k) / np.sqrt(hidden // heads) + bias[:, None, None]
    return jnp.einsum("bnqk,bknd->bqnd", jax.nn.softmax(scores), v).reshape(b, -1, hidden)


def _attend_once(query: Any, x: Any, p: Arrays, name: str, bias: Any, heads: int) -> Any:
    """The same for one query, (b, 1, h)."""
    b, _, hidden = x.shape
    size = hidden // heads
    q = _dense(query, p, f"{name}.query").reshape(b, heads, size)
    key = p[f"{name}.key.kernel"].reshape(hidden, heads, size)
    value = p[f"{name}.value.kernel"].reshape(hidden, heads, size)
    scores = jnp.einsum("bnh,bkh->bnk", jnp.einsum("bnd,hnd->bnh", q, key), x)
    scores += (q * p[f"{name}.key.bias"].reshape(heads, size)).sum(-1)[..., None]
    weights = jax.nn.softmax(scores / np.sqrt(size) + bias[:, None])
    pooled = jnp.einsum("bnk,bkh->bnh", weights, x)
    return jnp.einsum("bnh,hnd->bnd", pooled, value).reshape(b, 1, hidden) + p[f"{name}.value.bias"]


def logits(p: Arrays, vectors: Any, mask: Any, recipe: Recipe) -> Any:
    """Logits of token vectors, (b, w, hidden), already looked up; `mask` is true at real tokens."""
    x = _norm(vectors + p["embeddings.position"][: vectors.shape[1]], p, "embeddings.norm")
    bias = jnp.where(mask, 0.0, -1e9)
    for i in range(recipe.num_layers):
        layer, last = f"layers.{i}", i == recipe.num_layers - 1
        query, attend = (x[:, :1], _attend_once) if last else (x, _attend)
        mixed = attend(query, x, p, f"{layer}.attention", bias, recipe.num_heads)
        x = _norm(query + _dense(mixed, p, f"{layer}.attention.output"), p, f"{layer}.attention.norm")
        inner = jax.nn.gelu(_dense(x, p, f"{layer}.feed_forward.up"), approximate=False)
        x = _norm(x + _dense(inner, p, f"{layer}.feed_forward.down"), p, f"{layer}.feed_forward.norm")
    return _dense(jnp.tanh(_dense(x[:, 0], p, "classifier.dense")), p, "classifier.logits")


def cross_entropy(p: Arrays, tables: Any, ids: Any, part: Any, labels: Any, recipe: Recipe) -> Any:
    """Each row looks its tokens up in the table counted without its own part."""
    log_p = jax.nn.log_softmax(logits(p, tables[part[:, None], ids], ids != PAD, recipe))
    return -jnp.take_along_axis(log_p, labels[:, None], 1).mean()


def train_step(recipe: Recipe) -> Callable[..., Any]:
    """One step of Adam with warm-up and a cosine to zero, over a few batches of different widths.

    Returns: `(state, step, tables, batches) -> (state, loss)`, where `state` is the triple (weights, first
    moments, second moments), `step` counts from 1, and a batch is a triple (ids, part, labels).
    """
    slope = jax.jit(jax.value_and_grad(partial(cross_entropy, recipe=recipe)))
    add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b), donate_argnums=0)
    update = _adam(recipe)

    def run(state: Any, step: int, tables: Any, batches: list[Any]) -> Any:
        loss, total = 0.0, None
        for ids, part, labels in batches:
            of, grads = slope(state[0], tables, ids, part, labels)
            loss, total = loss + of, grads if total is None else add(total, grads)
        return update(state, float(step), 1 / len(batches), total), loss / len(batches)

    return run


def _without_constants(name: str, grad: Any, n_languages: int) -> Any:
    """No slope for the rows of a kernel that read the constant coordinates (see `evidence.py`)."""
    kernels = tuple(f"{n}.kernel" for n in READS_TOKENS)
    return grad.at[n_languages:].set(0.0) if name.endswith(kernels) else grad


def _adam(recipe: Recipe) -> Callable[..., Any]:
    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, step: Any, share: Any, grads: Any) -> Any:
        weights, first, second = state
        n_languages = weights["classifier.logits.bias"].shape[0]
        rate = recipe.learning_rate * jnp.minimum(1.0, step / recipe.warm_up)
        rate *= 0.5 + 0.5 * jnp.cos(np.pi * jnp.minimum(1.0, step / recipe.steps))
        grads = {n: _without_constants(n, g * share, n_languages) for n, g in grads.items()}
        first = {n: _BETA_1 * first[n] + (1 - _BETA_1) * g for n, g in grads.items()}
        second = {n: _BETA_2 * second[n] + (1 - _BETA_2) * g * g for n, g in grads.items()}
        up, down = 1 - _BETA_1**step, 1 - _BETA_2**step

        def moved(n: str) -> Any:
            return weights[n] - rate * (first[n] / up) / (jnp.sqrt(second[n] / down) + 1e-8)

        return {n: moved(n) for n in weights}, first, second

    return update


def predict(
    p: Arrays, table: Any, tokenizer: XlmRobertaTokenizer, texts: list[str], recipe: Recipe
) -> np.ndarray:
    """The likeliest class of each text."""
    best = _best(recipe)
    ids = encode(tokenizer, texts, recipe)
    order = np.argsort([len(row) for row in ids], kind="stable")
    out = np.empty(len(texts), np.int64)
    for start in range(0, len(order), recipe.batch):
        chosen = order[start : start + recipe.batch]
        full = np.resize(chosen, recipe.batch)  # the last batch repeats rows: one shape less to compile
        out[chosen] = np.asarray(best(p, table, packed([ids[i] for i in full])))[: len(chosen)]
    return out


@lru_cache
def _best(recipe: Recipe) -> Callable[..., Any]:
    return jax.jit(lambda p, table, ids: logits(p, table[ids], ids != PAD, recipe).argmax(1))
