"""Writes the model card, `README.md`; every measured number comes from `metrics.json`.

python card.py [--preset FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from ag_news import cards
from recipe import RECIPE

USE = """```python
from sparkxlmr.annotator import AlbertForSequenceClassification

topic = (
    AlbertForSequenceClassification.pretrained("albert_tiny_ag_news")
    .setInputCols(["document", "token"])
    .setOutputCol("topic")
)
```

```python
from sparkxlmr.models import AlbertTextClassifier

classifier = AlbertTextClassifier.from_preset("albert_tiny_ag_news")
classifier.predict_labels(["The striker scored twice in the last minutes of the final."])
```"""


def what(config: dict[str, Any]) -> str:
    return f"""A small ALBERT made for this package: {config["vocabulary_size"]:,} ids, embeddings of width
{config["embedding_dim"]} projected to {config["hidden_dim"]}, one layer of {config["num_heads"]} heads that
the text passes {cards.times(config["num_layers"])}"""


if __name__ == "__main__":
    cards.main(Path(__file__).resolve().parent, RECIPE, what, USE, __doc__)
