"""What each piece says about each language, and a transformer that starts from it.

A linear bag of pieces trained by gradient learns a sentence by its strongest pieces and leaves the others
untrained, so it is poor on short text. Counting has no such fault: the token embedding is Naive Bayes'
table, log p(piece | language) less its mean over the languages, one coordinate a language. It is never
trained further. The layers above are, and each training row reads a table that was counted without the
row's own part of the sentences, so that they learn how far evidence can be trusted on text not seen before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from recipe import Recipe

State = dict[str, np.ndarray]
READS_TOKENS = ("query", "key", "value", "feed_forward.up", "classifier.dense", "classifier.logits")
_CONSTANT = (1.0, -1.0)  # two coordinates after the languages, equal for all tokens


def piece_counts(ids: Sequence[np.ndarray], labels: np.ndarray, n_rows: int, n_languages: int) -> np.ndarray:
    """How often each id stands in each language, (n_rows, n_languages) float32."""
    flat = np.concatenate([np.asarray(row, np.int64) for row in ids])
    language = np.repeat(labels, [len(row) for row in ids])
    counts = np.bincount(flat * n_languages + language, minlength=n_rows * n_languages)
    return counts.reshape(n_rows, n_languages).astype(np.float32)


def log_evidence(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """log p(row | language), each row less its own mean."""
    smooth = counts + np.float32(smoothing)
    table = np.log(smooth) - np.log(smooth.sum(0, dtype=np.float64)).astype(np.float32)
    return table - table.mean(1, keepdims=True)


def token_tables(
    ids: Sequence[np.ndarray], labels: np.ndarray, part: np.ndarray, n_languages: int, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """Token embeddings from fairseq ids (specials and `<mask>` say nothing: zeros).

    Returns: the table of all rows, (n_ids, hidden), and one without each part, (n_folds, n_ids, hidden).
    """
    n_ids = recipe.vocabulary_pieces + 2
    chosen = [np.flatnonzero(part == k) for k in range(recipe.n_folds)]
    counts = [piece_counts([ids[i] for i in c], labels[c], n_ids, n_languages) for c in chosen]
    total = sum(counts)

    def table(of: np.ndarray) -> np.ndarray:
        wide = np.zeros((n_ids, recipe.hidden_dim), np.float32)
        wide[4:-1, :n_languages] = log_evidence(of[4:-1], recipe.smoothing)
        return wide

    whole = table(total)
    scale = np.float32(1 / np.sqrt((whole**2).sum(1).mean() / recipe.hidden_dim))
    return whole * scale, np.stack([table(total - c) for c in counts]) * scale


def likeliest(ids: Sequence[np.ndarray], part: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """The language with most evidence for each row, in the table counted without the row's part."""
    return np.array([int(tables[k][row].sum(0).argmax()) for row, k in zip(ids, part, strict=True)])


def first_state(recipe: Recipe, n_languages: int) -> State:
    """All weights but the token embedding: exactly a bag of pieces, no noise beside the evidence.

    Layer normalization would take away how strong a token's evidence is. Two constant coordinates, put in by
    the position embedding, keep it: they make up most of every vector's length, so all are scaled alike. Rows
    of kernels that read them (`READS_TOKENS`) stay zero: they would be biases that move in long strides.
    """
    rng = np.random.default_rng([recipe.seed, 0])
    hidden, constant = recipe.hidden_dim, slice(n_languages, n_languages + 2)
    state: State = {}

    def dense(name: str, n_in: int, n_out: int, scale: float, eye: float = 0.0) -> None:
        kernel = scale * rng.standard_normal((n_in, n_out)).astype(np.float32) / np.sqrt(np.float32(n_in))
        if name.endswith(READS_TOKENS):
            kernel[n_languages:] = 0.0
        state[f"{name}.kernel"] = kernel + np.float32(eye) * np.eye(n_in, n_out, dtype=np.float32)
        state[f"{name}.bias"] = np.zeros(n_out, np.float32)

    def norm(name: str, size: float = recipe.magnitude) -> None:
        state[f"{name}.gamma"] = np.full(hidden, size, np.float32)
        state[f"{name}.beta"] = np.zeros(hidden, np.float32)

    position = 0.002 * rng.standard_normal((recipe.max_sequence_length, hidden)).astype(np.float32)
    size = np.float32(recipe.magnitude * np.sqrt(hidden / 2))
    position[:, constant] += size * np.array(_CONSTANT, np.float32)
    state["embeddings.position"] = position
    norm("embeddings.norm")
    for i in range(recipe.num_layers):
        layer, last = f"layers.{i}", i == recipe.num_layers - 1
        dense(f"{layer}.attention.query", hidden, hidden, 0.3)
        state[f"{layer}.attention.query.bias"] += np.float32(0.3) * rng.standard_normal(hidden).astype(
            np.float32
        )
        dense(f"{layer}.attention.key", hidden, hidden, 0.0)  # all tokens weigh the same
        dense(f"{layer}.attention.value", hidden, hidden, 0.0, eye=1.0)
        dense(f"{layer}.attention.output", hidden, hidden, 0.0, eye=1.5 if last else 0.0)
        norm(f"{layer}.attention.norm")
        dense(f"{layer}.feed_forward.up", hidden, recipe.ffn_dim, 1.0)
        dense(f"{layer}.feed_forward.down", recipe.ffn_dim, hidden, 0.0)
        norm(f"{layer}.feed_forward.norm", 1.0 if last else recipe.magnitude)
    dense("classifier.dense", hidden, hidden, 0.0, eye=0.3)
    dense("classifier.logits", hidden, n_languages, 0.0, eye=30.0)
    return state
