"""The weights that training starts from: pieces placed by their company, heads that look at neighbours.

Both would be learned, but slowly: what an embedding needs to say about a piece stands in the counts of its
neighbours (Levy and Goldberg 2014), and attention that falls on one neighbour is a rotation of sinusoids
(Vaswani et al. 2017, section 3.5). So token and position start in coordinates of their own.
"""

from __future__ import annotations

import numpy as np
from recipe import Recipe
from scipy import sparse

_BOS, _EOS = 0, 2
_SCALE = 0.1  # of all embeddings: small, so that steps of Adam are large beside them
_NOISE = 0.02
_GAIN = 1.6  # of query and key: makes a head all but certain of its neighbour
_OVERSAMPLED, _ROUNDS = 16, 3
_SHRINK = 0.5  # counts this small are halved in weight
_CONTEXT_POWER = 0.75


def first_state(texts: list[np.ndarray], size: int, recipe: Recipe) -> dict[str, np.ndarray]:
    """All weights under their canonical names, float32; `size` is the number of ids."""
    rng, d = np.random.default_rng([recipe.seed, 2]), recipe.hidden_dim

    def normal(*shape: int, sd: float) -> np.ndarray:
        return sd * rng.standard_normal(shape)

    waves = frequencies(recipe.position_dims // 2)
    query, key = look_at(recipe, waves)
    attention, forward = "layers.0.attention", "layers.0.feed_forward"
    kernels = {
        f"{attention}.query": query + normal(d, d, sd=_NOISE),
        f"{attention}.key": key + normal(d, d, sd=_NOISE),
        f"{attention}.value": normal(d, d, sd=d**-0.5),
        f"{attention}.output": normal(d, d, sd=d**-0.5),
        f"{forward}.up": normal(d, recipe.ffn_dim, sd=d**-0.5),
        f"{forward}.down": normal(recipe.ffn_dim, d, sd=0.5 * recipe.ffn_dim**-0.5),
        "masked_lm.dense": np.eye(d) + normal(d, d, sd=_NOISE),
    }
    state = {f"{name}.kernel": kernel for name, kernel in kernels.items()}
    state |= {f"{name}.bias": np.zeros(kernel.shape[1]) for name, kernel in kernels.items()}
    state["masked_lm.dense.bias"] += 1.0  # where gelu is nearly linear
    for name in ("embeddings.norm", f"{attention}.norm", f"{forward}.norm", "masked_lm.norm"):
        state |= {f"{name}.gamma": np.ones(d), f"{name}.beta": np.zeros(d)}
    ones = np.bincount(np.concatenate(texts), minlength=size) + 0.1
    state["masked_lm.bias"] = np.log(ones / ones.sum())
    state["embeddings.token"] = np.zeros((size, d))
    state["embeddings.token"][:, recipe.position_dims :] = _company(texts, size, recipe, rng)
    state["embeddings.position"] = _positions(recipe, waves)
    return {name: array.astype(np.float32) for name, array in state.items()}


def frequencies(n: int) -> np.ndarray:
    """Angles by which waves turn from one position to the next; their sum peaks at no distance but 0."""
    drawn = [np.pi * (np.arange(n) + np.random.default_rng(seed).random(n)) / n for seed in range(300)]
    far = np.arange(1, 150)[:, None]
    return min(drawn, key=lambda waves: float(np.abs(np.cos(far * waves).sum(1)).max()))


def _positions(recipe: Recipe, waves: np.ndarray) -> np.ndarray:
    angles = np.arange(recipe.max_sequence_length)[:, None] * waves
    table = np.zeros((recipe.max_sequence_length, recipe.hidden_dim))
    table[:, 0 : recipe.position_dims : 2] = np.cos(angles)
    table[:, 1 : recipe.position_dims : 2] = np.sin(angles)
    return np.sqrt(2) * _SCALE * table


def look_at(recipe: Recipe, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Query and key kernels by which each head finds the position `shift` away: the query turns by it."""
    d, size = recipe.hidden_dim, recipe.hidden_dim // recipe.num_heads
    query, key = np.zeros((d, d)), np.zeros((d, d))
    for head, shift in enumerate(recipe.shifts):
        for wave in range(min(size, recipe.position_dims) // 2 if shift else 0):
            cos, sin = np.cos(waves[wave] * shift), np.sin(waves[wave] * shift)
            at, to = slice(2 * wave, 2 * wave + 2), slice(head * size + 2 * wave, head * size + 2 * wave + 2)
            query[at, to] = _GAIN * np.array([[cos, sin], [-sin, cos]])
            key[at, to] = _GAIN * np.eye(2)
    return query, key


def _company(texts: list[np.ndarray], size: int, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Each piece by the singular vectors of its neighbours' mutual information, rows of equal length."""
    dims = recipe.hidden_dim - recipe.position_dims
    row = np.concatenate([np.r_[_BOS, text, _EOS] for text in texts]).astype(np.int64)
    inside = row[:-1] != _EOS
    left, right = row[:-1][inside], row[1:][inside]
    pairs = sparse.coo_matrix((np.ones(len(left)), (left, right)), shape=(size, size)).tocsr()
    both = sparse.hstack([_information(pairs), _information(pairs.T.tocsr())]).tocsr()
    vectors, values = _singular(both, dims, rng)
    vectors = vectors * np.sqrt(values)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), 0.0)
    company = _SCALE * np.sqrt(dims) * unit + _NOISE * rng.standard_normal(unit.shape)
    company[-1] = _SCALE * rng.standard_normal(dims)  # <mask>
    return company


def _information(pairs: sparse.csr_matrix) -> sparse.csr_matrix:
    """Positive pointwise mutual information of counted pairs, less for pairs seldom seen."""
    rows = np.asarray(pairs.sum(1)).ravel() + 1e-9
    columns = np.asarray(pairs.sum(0)).ravel() ** _CONTEXT_POWER + 1e-9
    columns /= columns.sum()
    seen = pairs.tocoo()
    found = np.maximum(np.log(seen.data / (rows[seen.row] * columns[seen.col])), 0.0)
    found *= seen.data / (seen.data + _SHRINK)
    return sparse.coo_matrix((found, (seen.row, seen.col)), shape=pairs.shape).tocsr()


def _singular(
    matrix: sparse.csr_matrix, dims: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The left singular vectors of the largest values, by randomized iteration (Halko et al. 2011)."""
    basis = rng.standard_normal((matrix.shape[1], dims + _OVERSAMPLED)).astype(np.float32)
    matrix = matrix.astype(np.float32)
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(matrix.T @ np.linalg.qr(matrix @ basis)[0])[0]
    vectors, values, _ = np.linalg.svd(matrix @ basis, full_matrices=False)
    return vectors[:, :dims], values[:dims]
