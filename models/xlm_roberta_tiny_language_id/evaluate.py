"""Measures the stored preset and its baselines, prints the numbers and writes them to `metrics.json`.

    python evaluate.py --data FOLDER [--preset FOLDER] [--part validation]

`--data` holds `sib200/train.parquet` (for the baselines) and `sib200/validation.parquet`. The model is
measured as users run it: the preset on disk, through its compiled bundle and `sparkxlmr.runtime.predictor`.
Needs scipy, for the baselines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from baselines import PLAIN_VOCABULARIES, Ngrams, Pieces, Trained, plain_vocabulary
from rows import Rows, read
from scores import accuracy, confusions, f1_scores, macro_f1
from vocabulary import first_sixths

from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.predictor import Predictor

_METRICS = "metrics.json"
_CONFUSED = 20
_TIMED = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", type=Path, default=Path(__file__).parent)
    parser.add_argument("--part", default="validation")
    args = parser.parse_args()
    found = measure(args.preset, read(args.data, "train"), read(args.data, args.part))
    (args.preset / _METRICS).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    shown = {n: found[n] for n in ("whole", "short", "baselines", "speed", "sizes")}
    print(json.dumps(shown, indent=1))


def measure(folder: Path, train: Rows, rows: Rows) -> dict[str, Any]:
    preset = Preset.open(folder)
    if preset.labels != rows.languages:
        raise SystemExit("the preset's labels are not the languages of the data")
    proto, n = preset.vocabulary_path.read_bytes(), len(rows.languages)
    short = first_sixths(proto, rows.texts)
    predictor = Predictor(Bundle.open(folder / "bundles" / "openvino"))

    def model(texts: Sequence[str]) -> np.ndarray:
        return predictor.logits(texts, preset.sequence_length).logits.argmax(1)

    best = model(rows.texts)
    bags = {
        "pieces": Pieces(train, proto),
        "trained": Trained(train, proto),
        **{f"trained_{k}": Trained(train, plain_vocabulary(train.texts, k)) for k in PLAIN_VOCABULARIES},
        "ngrams": Ngrams(train),
    }
    return {
        "rows": len(rows),
        "train_rows": len(train),
        "languages": n,
        "numbers": int(sum(array.size for array in preset.weights().values())),
        "whole": _scores(rows.labels, best, n),
        "short": {**_scores(rows.labels, model(short), n), "characters": sum(map(len, short)) / len(short)},
        "baselines": {
            name: {
                "numbers": bag.table.size,
                "whole": _scores(rows.labels, bag.predict(rows.texts), n),
                "short": _scores(rows.labels, bag.predict(short), n),
            }
            for name, bag in bags.items()
        },
        "f1": dict(zip(rows.languages, f1_scores(rows.labels, best, n).tolist(), strict=True)),
        "confused": _confused(rows, best),
        "speed": _speed(model, rows.texts),
        "sizes": _sizes(folder),
        "preset": preset.content_hash,
    }


def _scores(labels: np.ndarray, best: np.ndarray, n: int) -> dict[str, float]:
    return {"macro_f1": macro_f1(labels, best, n), "accuracy": accuracy(labels, best)}


def _confused(rows: Rows, best: np.ndarray) -> list[dict[str, Any]]:
    """The pairs most often taken for one another, most frequent first."""
    table = confusions(rows.labels, best, len(rows.languages))
    pairs = np.triu(table + table.T, 1)
    order = np.argsort(-pairs, axis=None, kind="stable")[:_CONFUSED]
    found = []
    for a, b in zip(*np.unravel_index(order, pairs.shape), strict=True):
        names = [rows.languages[a], rows.languages[b]]
        found.append({"languages": names, "counts": [int(table[a, b]), int(table[b, a])]})
    return found


def _speed(model: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str]) -> dict[str, Any]:
    """Sentences a second of this process, tokenizing included; the best of a few runs."""
    seconds = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        model(texts)
        seconds.append(time.perf_counter() - start)
    return {
        "sentences_a_second": len(texts) / min(seconds),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
    }


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of what `Preset.open` reads, and of the bundles."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    bundles = [p for p in files if "bundles" in p.relative_to(folder).parts]
    kept = [p for p in files if p.parent == folder and p.suffix in (".json", ".h5") and p.name != _METRICS]
    kept += [p for p in files if "assets" in p.relative_to(folder).parts]
    return {"preset": sum(p.stat().st_size for p in kept), "bundles": sum(p.stat().st_size for p in bundles)}


if __name__ == "__main__":
    main()
