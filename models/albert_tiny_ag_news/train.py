"""Makes this model again from the data: vocabulary, teachers, training, preset.

    python train.py --data FOLDER --out FOLDER [--work FOLDER] [--hold-out 3000]

`--data` holds `ag_news/train.csv`. `--work` (default `OUT/.training`) keeps what the teachers say and the
last checkpoint: a run that was broken off goes on from there and ends with the same weights. `--hold-out N`
keeps N rows out and prints how well they are recognised; settings were chosen so. Needs `jax` and
`scikit-learn` beside the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from ag_news.making import main
from recipe import RECIPE

if __name__ == "__main__":
    main(RECIPE, __doc__)
