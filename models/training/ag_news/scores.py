"""How good predictions are."""

from __future__ import annotations

import numpy as np

from .rows import LABELS


def accuracy(labels: np.ndarray, best: np.ndarray) -> float:
    return float((labels == best).mean())


def confusions(labels: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Counts, (true class, predicted class)."""
    n = len(LABELS)
    return np.bincount(labels * n + best, minlength=n * n).reshape(n, n)


def f1_scores(labels: np.ndarray, best: np.ndarray) -> np.ndarray:
    """F1 of each class; 0 for a class that is neither there nor predicted."""
    table = confusions(labels, best)
    return 2 * table.diagonal() / np.maximum(table.sum(0) + table.sum(1), 1)


def all_scores(labels: np.ndarray, best: np.ndarray) -> dict[str, float]:
    return {"accuracy": accuracy(labels, best), "macro_f1": float(f1_scores(labels, best).mean())}
