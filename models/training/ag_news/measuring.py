"""What each model's `evaluate.py` does: measures the stored preset and its baselines into `metrics.json`.

The model is measured as users run it: the preset on disk, through the package's classifier on raw texts, and
through its compiled bundle where it has one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr.models import TextClassifier
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.predictor import Predictor

from . import baselines
from .cards import METRICS
from .rows import LABELS, Rows, read
from .scores import all_scores, confusions, f1_scores

_BATCH = 256


def main(folder: Path, description: str) -> None:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", type=Path, default=folder)
    parser.add_argument("--part", default="validation")
    args = parser.parse_args()
    found = measure(args.preset, read(args.data, "train"), read(args.data, args.part))
    path = args.preset / METRICS
    found["looks"] = _looks(path, found)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def _looks(path: Path, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates measured so far, this one last: how often the rows were looked at."""
    before = json.loads(path.read_text())["looks"] if path.exists() else []
    this = {"preset": found["preset"], "accuracy": found["whole"]["accuracy"]}
    return [*(look for look in before if look["preset"] != this["preset"]), this]


def measure(folder: Path, train: Rows, rows: Rows) -> dict[str, Any]:
    preset = Preset.open(folder)
    if tuple(preset.labels) != LABELS:
        raise SystemExit(f"the preset's labels are {preset.labels}, those of the data {LABELS}")
    model = TextClassifier.from_preset(folder)

    def logits(texts: list[str]) -> np.ndarray:
        return np.asarray(model.predict(np.array(texts), batch_size=_BATCH, verbose=0))

    whole = logits(rows.texts)
    best = whole.argmax(1)
    return {
        "rows": len(rows),
        "train_rows": len(train),
        "numbers": int(sum(array.size for array in preset.weights().values())),
        "whole": all_scores(rows.labels, best),
        "titles": all_scores(rows.labels, logits(rows.titles).argmax(1)),
        "f1": dict(zip(LABELS, f1_scores(rows.labels, best).tolist(), strict=True)),
        "confusions": confusions(rows.labels, best).tolist(),
        "baselines": baselines.measure(train, rows),
        "bundle": _bundle(folder, preset, rows, whole),
        "sizes": _sizes(folder),
        "preset": preset.content_hash,
    }


def _bundle(folder: Path, preset: Preset, rows: Rows, logits: np.ndarray) -> dict[str, float] | None:
    """The compiled bundle's scores, and how far its logits are from the classifier's at most."""
    path = folder / "bundles" / "openvino"
    if not path.is_dir():
        return None
    found = Predictor(Bundle.open(path)).logits(rows.texts, preset.sequence_length).logits
    return {**all_scores(rows.labels, found.argmax(1)), "apart": float(np.abs(found - logits).max())}


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of what `Preset.open` reads, and of the bundles."""
    assets, bundles = ([p for p in (folder / n).rglob("*") if p.is_file()] for n in ("assets", "bundles"))
    kept = [p for p in folder.iterdir() if p.suffix in (".json", ".h5") and p.name != METRICS]
    return {
        "preset": sum(p.stat().st_size for p in [*kept, *assets]),
        "bundles": sum(p.stat().st_size for p in bundles),
    }
