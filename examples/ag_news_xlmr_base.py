"""Fine-tunes XLM-R base on AG News, as the published `xlm_roberta_base_sequence_classifier_ag_news` was.

    python examples/ag_news_xlmr_base.py --out ag_news_xlmr_base
    python examples/ag_news_xlmr_base.py --train train.csv --validation test.csv --out FOLDER

Needs a GPU, the network, and `pip install "sparkxlmr[gpu,hub]"`. The published model was trained for two
epochs and names 0.9479 correct of the official test split; this recipe has the same encoder, data and number
of epochs. What it writes is a preset folder: give its path to
`XlmRoBertaForSequenceClassification.pretrained(...)` or to
`TextClassifier.from_preset(...)`.

Tables are CSV or Parquet, local or any URL that pandas reads, with the columns `text` and `label`, or
`label`, `title` and `description`. Labels are the four names or their numbers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from sparkxlmr.models import TextClassifier

CLASSES = ["World", "Sports", "Business", "Sci/Tech"]
_DATA = "hf://datasets/fancyzhx/ag_news/data/"
_WARM_UP, _WEIGHT_DECAY = 0.06, 0.01


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, save, measure; returns what it prints and writes to `results.json` in the preset folder."""
    args = _parser().parse_args(arguments)
    keras.utils.set_random_seed(args.seed)
    if args.dtype != "float32":
        keras.config.set_dtype_policy(args.dtype)
    train, validation = read(args.train), read(args.validation)
    classifier = TextClassifier.from_preset(args.preset, num_classes=len(CLASSES), classes=CLASSES)
    assert classifier.preprocessor is not None
    classifier.preprocessor.sequence_length = args.sequence_length
    steps = args.epochs * -(-len(train[0]) // args.batch_size)
    classifier.compile(optimizer=optimizer(args.learning_rate, steps))
    classifier.fit(*train, batch_size=args.batch_size, epochs=args.epochs, validation_data=validation)
    best = classifier.predict(validation[0], batch_size=args.batch_size).argmax(axis=1)
    classifier.save_to_preset(args.out, weights_dtype="float16" if args.half else "float32")
    results = {
        "accuracy": float((best == validation[1]).mean()),
        "epochs": args.epochs,
        "train_rows": len(train[0]),
        "validation_rows": len(validation[0]),
    }
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"{args.out}: validation accuracy {results['accuracy']:.4f}")
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="hf://FacebookAI/xlm-roberta-base")
    parser.add_argument("--train", default=f"{_DATA}train-00000-of-00001.parquet")
    parser.add_argument("--validation", default=f"{_DATA}test-00000-of-00001.parquet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--dtype", default="mixed_bfloat16", help="Keras' dtype policy while training")
    parser.add_argument("--half", action="store_true", help="store float16 weights")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def read(table: str) -> tuple[list[str], np.ndarray]:
    """Texts, and labels as ids (int64) in the order of `CLASSES`."""
    rows = pd.read_csv(table) if table.endswith(".csv") else pd.read_parquet(table)
    texts = rows["text"] if "text" in rows else rows["title"] + "\n" + rows["description"]
    names = {**{name: i for i, name in enumerate(CLASSES)}, **{i: i for i in range(len(CLASSES))}}
    labels = rows["label"].map(names)
    if labels.isna().any() or texts.isna().any():
        raise SystemExit(f"{table} has rows without a text, or with another label than {CLASSES}")
    return texts.tolist(), labels.to_numpy(np.int64)


def optimizer(rate: float, steps: int) -> keras.optimizers.Optimizer:
    """AdamW, its rate rising for the first steps and then falling to zero along a cosine."""
    warm_up = max(1, int(_WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
    )
    chosen = keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY)
    chosen.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return chosen


if __name__ == "__main__":
    main()
