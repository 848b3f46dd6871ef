"""How scores stand in the metadata of annotations."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: A float32 as text, so always with a point. Counts, as `sentence`, have none.
SCORE_TEXT = r"^-?\d+\.\d+(E-?\d+)?$|^NaN$"


def scores_of(metadata: Mapping[str, str]) -> dict[str, float]:
    """The scores in an annotation's metadata by label, the best first.

    >>> scores_of({"sentence": "0", "no": "3.2E-4", "yes": "0.99968"})
    {'yes': 0.99968, 'no': 0.00032}
    """
    texts = {key: text for key, text in metadata.items() if re.match(SCORE_TEXT, text or "")}
    return dict(sorted(((key, float(text)) for key, text in texts.items()), key=lambda pair: -pair[1]))


def own_score(result: str, metadata: Mapping[str, str]) -> float | None:
    """The score of an annotation's result: that of its label, or of the token that fills a mask.

    >>> own_score("yes", {"sentence": "0", "no": "0.25", "yes": "0.75"}), own_score("a", {"score": "0.5"})
    (0.75, 0.5)
    """
    scores = scores_of(metadata)
    return scores.get(result, scores.get("score"))
