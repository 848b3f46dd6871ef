"""Measures the stored preset and its baselines, prints the numbers and writes them to `metrics.json`.

    python evaluate.py --data FOLDER [--preset FOLDER] [--part validation]

`--data` holds `ag_news/train.csv` (for the baselines) and `ag_news/validation.csv`. Needs `scikit-learn`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from ag_news.measuring import main

if __name__ == "__main__":
    main(Path(__file__).resolve().parent, __doc__)
