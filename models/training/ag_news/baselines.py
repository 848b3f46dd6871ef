"""What the models are compared with; none of it is shipped.

    python -m ag_news.baselines --data FOLDER [--part validation]     (from `models/training`)

Softmax regression over TF-IDF is what one would try first; over the same features, support vectors. Needs
`scikit-learn`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from .rows import Rows, read
from .scores import all_scores


def measure(train: Rows, rows: Rows) -> dict[str, dict[str, float]]:
    """Scores on `rows` after `train`; `numbers` are those that the classifier keeps, its vocabulary aside."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    learned, asked = vectorizer.fit_transform(train.texts), vectorizer.transform(rows.texts)
    classifiers: dict[str, Any] = {
        "logistic_regression": LogisticRegression(C=10, max_iter=300),
        "support_vectors": LinearSVC(C=0.3, random_state=0),
    }
    found = {}
    for name, classifier in classifiers.items():
        best = classifier.fit(learned, train.labels).predict(asked)
        found[name] = {"numbers": int(classifier.coef_.size), **all_scores(rows.labels, best)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default="validation")
    args = parser.parse_args()
    for name, of in measure(read(args.data, "train"), read(args.data, args.part)).items():
        print(name, of)


if __name__ == "__main__":
    main()
