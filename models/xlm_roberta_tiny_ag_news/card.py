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
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification

topic = (
    XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_ag_news")
    .setInputCols(["document", "token"])
    .setOutputCol("topic")
)
```

```python
from sparkxlmr.models import XLMRobertaTextClassifier

classifier = XLMRobertaTextClassifier.from_preset("xlm_roberta_tiny_ag_news")
classifier.predict_labels(["The striker scored twice in the last minutes of the final."])
```"""


def what(config: dict[str, Any]) -> str:
    layers = cards.counted(config["num_layers"], "layer")
    return f"""A small XLM-RoBERTa made for this package: {layers}, width {config["hidden_dim"]},
{config["num_heads"]} heads, {config["vocabulary_size"]:,} ids"""


if __name__ == "__main__":
    cards.main(Path(__file__).resolve().parent, RECIPE, what, USE, __doc__)
