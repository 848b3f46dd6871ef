"""First token vectors: pieces that stand beside the same pieces begin alike.

They are the factors of positive pointwise mutual information of pieces within a few places of one another
(Levy and Goldberg, "Neural Word Embedding as Implicit Matrix Factorization", 2014; context counts raised to
0.75, as there), counted on the rows' texts. A rare piece so begins near frequent ones of its topic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

_SHARE = 0.75


def neighbours(ids: Sequence[np.ndarray], n_ids: int, window: int) -> sp.coo_matrix:
    """How often two ids stand at most `window` places apart, (n_ids, n_ids), the same both ways."""
    gap = np.full(window, -1, np.int64)
    flat = np.concatenate([part for row in ids for part in (row, gap)])
    counts = sp.csr_matrix((n_ids, n_ids), dtype=np.float32)
    for apart in range(1, window + 1):
        one, other = flat[:-apart], flat[apart:]
        kept = (one >= 0) & (other >= 0)
        ones = np.ones(kept.sum(), np.float32)
        counts += sp.coo_matrix((ones, (one[kept], other[kept])), shape=(n_ids, n_ids)).tocsr()
    return (counts + counts.T).tocoo()


def token_vectors(
    ids: Sequence[np.ndarray], n_ids: int, width: int, window: int, scale: float, seed: int
) -> np.ndarray:
    """(n_ids, width) float32, each row `scale` in root mean square.

    Ids that never stand there, `<pad>` and `<mask>`, get what rounding leaves: any vector, which may differ
    from machine to machine. No text is read by it.
    """
    counts = neighbours(ids, n_ids, window)
    often = np.asarray(counts.sum(1)).ravel() + 1e-9
    context = often**_SHARE
    information = np.log(counts.data / (often[counts.row] * context[counts.col] / context.sum()))
    kept = information > 0
    table = sp.csr_matrix((information[kept], (counts.row[kept], counts.col[kept])), shape=(n_ids, n_ids))
    left, sizes, _ = randomized_svd(table, width, n_iter=3, random_state=seed)
    vectors = left * np.sqrt(sizes)
    vectors *= scale / np.maximum(np.sqrt((vectors**2).mean(1, keepdims=True)), 1e-6)
    # The first factors are large: a rotation shares them among all coordinates.
    turned, _ = np.linalg.qr(np.random.default_rng([seed, 4]).standard_normal((width, width)))
    return (vectors @ turned).astype(np.float32)
