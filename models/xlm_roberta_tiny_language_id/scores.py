"""How good predictions are."""

from __future__ import annotations

import numpy as np


def accuracy(labels: np.ndarray, best: np.ndarray) -> float:
    return float((labels == best).mean())


def f1_scores(labels: np.ndarray, best: np.ndarray, n_classes: int) -> np.ndarray:
    """F1 of each class; 0 for a class that is neither there nor predicted."""
    right = np.bincount(labels[labels == best], minlength=n_classes)
    both = np.bincount(labels, minlength=n_classes) + np.bincount(best, minlength=n_classes)
    return 2 * right / np.maximum(both, 1)


def macro_f1(labels: np.ndarray, best: np.ndarray, n_classes: int) -> float:
    return float(f1_scores(labels, best, n_classes).mean())


def confusions(labels: np.ndarray, best: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts, (true class, predicted class)."""
    return np.bincount(labels * n_classes + best, minlength=n_classes**2).reshape(n_classes, n_classes)
