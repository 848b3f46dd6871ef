"""Measures every built-in model in narrower precisions: writes each one's `measured.json`, by the command.

    python models/training/measure.py --data FOLDER [MODEL ...]

`--data` holds `ag_news/validation.csv` and `sib200/validation.parquet`. Run it on a machine with bfloat16 and
VNNI after a change of an engine's compiler or of a model, then `python docs/refresh.py` for the tables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparkxlmr.cli import main as sparkxlmr

HERE = Path(__file__).parents[1]
_NEWS = ("ag_news/validation.csv", "--text", "title", "--text", "description", "--label", "label")
#: The texts of each model, which it was not trained on, and what is right of them.
TEXTS = {
    "albert_tiny_ag_news": _NEWS,
    "xlm_roberta_tiny_ag_news": _NEWS,
    "xlm_roberta_tiny_language_id": ("sib200/validation.parquet", "--label", "language"),
    "xlm_roberta_tiny_masked_lm": _NEWS[:-2],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("models", nargs="*", default=list(TEXTS), metavar="MODEL")
    arguments = parser.parse_args()
    for name in arguments.models:
        file, *options = TEXTS[name]
        print(f"== {name}", flush=True)
        # From nothing: rows of what is no longer made must not stay.
        (HERE / name / "measured.json").unlink(missing_ok=True)
        code = sparkxlmr(
            ["measure", str(HERE / name), str(arguments.data / file), *options, "--embeddings"]
        )
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
