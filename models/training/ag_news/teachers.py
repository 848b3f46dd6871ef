"""Classical classifiers that know pairs of words, and what they think of each row without having read it.

A small encoder trained on the labels alone learns the rows by heart. So several linear classifiers over
counted n-grams judge every row of a part of train after reading the other parts only; a softmax regression
weighs their scores. Titles alone and descriptions alone are judged as well: a topic is less sure there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sentencepiece
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.svm import LinearSVC

from .recipe import VIEWS
from .rows import LABELS, Rows
from .vocabulary import train_vocabulary

_LARGE, _SMALL = 16_000, 8_000
_RESIDUE = re.compile(r"&lt;.*?&gt;|\b(?:quot|amp|lt|gt);|\\")


def _words(texts: Sequence[str]) -> list[str]:
    """The texts without the residue of HTML that AG's corpus holds."""
    return [_RESIDUE.sub(" ", text.replace("#39;", "'")) for text in texts]


def _pieces(proto: bytes) -> Callable[[Sequence[str]], list[str]]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    return lambda texts: [" ".join(row) for row in processor.encode(list(texts), out_type=str)]


def _pairs(**settings: Any) -> TfidfVectorizer:
    return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), dtype=np.float32, **settings)


def _pairs_of_pieces() -> TfidfVectorizer:
    return _pairs(token_pattern=r"\S+", lowercase=False)


def _machine() -> LinearSVC:
    return LinearSVC(C=0.3, random_state=0)


def _teachers(texts: Sequence[str]) -> list[tuple[str, Callable[..., Any], Any, Callable[[], Any]]]:
    """(name, what is done to texts, their features, classifier) of each."""
    large = _pieces(train_vocabulary(texts, _LARGE, "xlm_roberta"))
    small = _pieces(train_vocabulary(texts, _SMALL, "xlm_roberta"))
    return [
        ("words, support vectors", _words, _pairs, _machine),
        ("words, naive Bayes", _words, _pairs, lambda: ComplementNB(alpha=0.5)),
        (f"{_LARGE} pieces, support vectors", large, _pairs_of_pieces, _machine),
        (f"{_LARGE} pieces, naive Bayes", large, _pairs_of_pieces, lambda: ComplementNB(alpha=0.3)),
        (f"{_SMALL} pieces, support vectors", small, _pairs_of_pieces, _machine),
    ]


def views(rows: Rows) -> list[list[str]]:
    """The texts of `VIEWS`."""
    return [rows.texts, list(rows.titles), list(rows.descriptions)]


def parts(n: int, n_folds: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 0]).permutation(n) % n_folds


def judged(texts: list[list[str]], labels: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Probabilities of the classes, (views, rows, classes), by teachers that have not read the row's part."""
    scores = []
    for name, prepare, features, classifier in _teachers(texts[0]):
        prepared = [prepare(view) for view in texts]
        scores.append(_unread(prepared, labels, part, features, classifier))
        right = " ".join(
            f"{view} {(s.argmax(1) == labels).mean():.4f}" for view, s in zip(VIEWS, scores[-1], strict=True)
        )
        print(f"teacher {name}: {right}", flush=True)
    return np.stack([_weighed([s[k] for s in scores], labels, VIEWS[k]) for k in range(len(texts))])


def _unread(
    texts: list[list[str]], labels: np.ndarray, part: np.ndarray, features: Any, classifier: Any
) -> np.ndarray:
    """One teacher's scores, (views, rows, classes)."""
    scores = np.zeros((len(texts), len(labels), len(LABELS)), np.float32)
    for k in np.unique(part):
        read, unread = np.flatnonzero(part != k), np.flatnonzero(part == k)
        vectorizer = features()
        model = classifier().fit(vectorizer.fit_transform([texts[0][i] for i in read]), labels[read])
        score = getattr(model, "decision_function", None) or model.predict_log_proba
        for view, of in zip(scores, texts, strict=True):
            view[unread] = score(vectorizer.transform([of[i] for i in unread]))
    return scores


def _weighed(scores: list[np.ndarray], labels: np.ndarray, view: str) -> np.ndarray:
    columns = np.concatenate(scores, 1)
    weighed = LogisticRegression(C=1.0, max_iter=500).fit(columns, labels).predict_proba(columns)
    print(f"all teachers, {view}: {(weighed.argmax(1) == labels).mean():.4f}", flush=True)
    return weighed.astype(np.float32)
