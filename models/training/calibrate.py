"""Calibrates every built-in model for int8: writes each one's `calibration.safetensors`.

    python models/training/calibrate.py --data FOLDER [MODEL ...]

`--data` holds `ag_news/train.csv` and `sib200/train.parquet`. Run it after a change of a model's weights, and
`measure.py` after it. The compiled int8 bundles are not kept here: each is made where it is first used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparkxlmr.jobs.local_texts import read_texts
from sparkxlmr.jobs.quantize import evenly
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.calibrating import calibrate

HERE = Path(__file__).parents[1]
_NEWS = ("ag_news/train.csv", ("title", "description"))
_SENTENCES = ("sib200/train.parquet", ("text",))
#: Texts that each model was trained on: a calibration keeps none of them, only how far numbers reach.
TEXTS = {
    "albert_tiny_ag_news": _NEWS,
    "xlm_roberta_tiny_ag_news": _NEWS,
    "xlm_roberta_tiny_language_id": _SENTENCES,
    "xlm_roberta_tiny_masked_lm": _SENTENCES,
}
N_TEXTS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=list(TEXTS), metavar="MODEL")
    arguments = parser.parse_args()
    for name in arguments.models:
        file, columns = TEXTS[name]
        texts = evenly(read_texts(str(arguments.data / file), columns).texts, N_TEXTS)
        made = calibrate(Preset.open(HERE / name), texts)
        print(f"{name}: {len(made.ranges)} products, {len(texts)} texts")


if __name__ == "__main__":
    main()
