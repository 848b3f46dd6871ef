"""What each model's `train.py` does, with that model's recipe."""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import preset, teachers
from .recipe import Recipe
from .rows import Rows, hold_out, read
from .student import Texts, fit
from .vocabulary import train_vocabulary

_PROBE = 64
_OF_THE_TEACHERS = ("n_folds", "seed")


def main(recipe: Recipe, description: str) -> None:
    args = _arguments(description)
    given = {n: getattr(args, n) for n in ("epochs", "seed") if getattr(args, n) is not None}
    recipe, work = replace(recipe, **given), args.work or args.out / ".training"
    work.mkdir(parents=True, exist_ok=True)
    rows, held = hold_out(read(args.data, "train"), args.hold_out)
    print(f"{len(rows)} rows, {len(held)} held out", flush=True)
    proto = train_vocabulary(rows.texts, recipe.pieces, recipe.family)
    part = teachers.parts(len(rows), recipe.n_folds, recipe.seed)
    texts = teachers.views(rows)
    judged = _judged(texts, rows, part, work, recipe)
    checkpoint = work / f"checkpoint-{_fingerprint(rows, recipe.as_dict())}.npz"
    state = fit(Texts(proto, texts, judged, rows.labels, recipe), proto, checkpoint, held, recipe)
    preset.save(state, proto, rows.texts[:_PROBE], recipe, args.out)


def _arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--hold-out", type=int, default=0, metavar="N")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


def _judged(texts: list[list[str]], rows: Rows, part: np.ndarray, work: Path, recipe: Recipe) -> np.ndarray:
    """The teachers' probabilities, kept in a file: they take most of the time."""
    settings = {n: recipe.as_dict()[n] for n in _OF_THE_TEACHERS}
    path = work / f"teachers-{_fingerprint(rows, settings)}.npy"
    if not path.exists():
        whole = path.with_suffix(".part.npy")
        np.save(whole, teachers.judged(texts, rows.labels, part))
        whole.replace(path)
    return np.load(path)


def _fingerprint(rows: Rows, settings: object) -> str:
    """Tells runs apart that may not share a file."""
    texts = hashlib.sha256("\n".join(rows.texts).encode()).hexdigest()
    return hashlib.sha256(json.dumps([texts, rows.labels.tolist(), settings]).encode()).hexdigest()[:12]
