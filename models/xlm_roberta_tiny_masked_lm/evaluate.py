"""Measures the stored preset and its baselines, prints the numbers and writes them to `metrics.json`.

    python evaluate.py --data FOLDER [--preset FOLDER] [--part validation]

`--data` holds `sib200/` and `ag_news/`, each with its train and its validation part. Of each validation text
a share of the pieces is asked for, the same ones of the model and of the baselines. The model sees the text
with one `<mask>`, as in `fill_mask`; its ranks come from `network.py`, for one pass over a text instead of
one a mask, and the preset's own Keras model is asked for some of them too. Needs `jax` beside the package.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import network
import numpy as np
from asked import Asked, sample
from batches import packed
from recipe import Recipe
from rows import PARTS, Texts, hold_out, read
from trigram import BothSides, JelinekMercer, KneserNey, Windows

from sparkxlmr.models import XLMRobertaMaskedLM
from sparkxlmr.presets.preset import Preset
from sparkxlmr.text.xlm_roberta import XlmRobertaTokenizer

SHARE, ALL_MASKED = 0.05, 0.15
_METRICS = "metrics.json"
_TUNED = 0.1  # of the training texts: held out of the trigram's counts while its weights are fitted
_CHECKED, _MANY_MASKS = 512, 2000  # positions answered by the Keras model too; texts with many masks at once


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
    print(json.dumps(found, indent=1))


def measure(folder: Path, train: Texts, texts: Texts) -> dict[str, Any]:
    preset, recipe = Preset.open(folder), Recipe()
    tokenizer = XlmRobertaTokenizer(preset.proto())
    weights = {n: jnp.asarray(a, jnp.float32) for n, a in preset.weights().items()}
    pieces = texts.pieces(tokenizer)
    asked = sample(texts, pieces, SHARE, recipe.max_sequence_length - 2)
    ranks = {"model": _model_ranks(weights, pieces, asked, recipe)}
    model = XLMRobertaMaskedLM.from_preset(folder)
    differ = _checked(model, pieces, asked, ranks["model"])
    ranks |= _baselines(train, tokenizer, Windows.at(pieces, asked.row, asked.place))
    return {
        "texts": {name: int((texts.part == k).sum()) for k, name in enumerate(PARTS)},
        "asked": {name: int((asked.part == k).sum()) for k, name in enumerate(PARTS)},
        "share": SHARE,
        "train_texts": {name: int((train.part == k).sum()) for k, name in enumerate(PARTS)},
        "numbers": int(sum(array.size for array in preset.weights().values())),
        "scores": {name: _scores(of, asked) for name, of in ranks.items()},
        "many_masks": {"share": ALL_MASKED, **_many_masks(model, texts, pieces, recipe)},
        "checked": {"asked": _CHECKED, "ranks_that_differ": differ},
        "pieces": {"vocabulary": tokenizer.vocabulary_size, **_lengths(texts, pieces)},
        "preset_bytes": _size(folder),
        "preset": preset.content_hash,
    }


def _scores(ranks: np.ndarray, asked: Asked) -> dict[str, dict[str, float]]:
    """Of each part and the whole, how often the true piece is the likeliest, and among the five likeliest."""
    chosen = {name: asked.part == k for k, name in enumerate(PARTS)} | {"whole": asked.part >= 0}
    return {name: {f"top_{k}": float((ranks[of] < k).mean()) for k in (1, 5)} for name, of in chosen.items()}


def _model_ranks(weights: Any, pieces: list[np.ndarray], asked: Asked, recipe: Recipe) -> np.ndarray:
    ranks, found = network.Ranks(recipe), np.empty(len(asked), np.int64)
    order = np.argsort([len(text) for text in pieces], kind="stable")
    first = np.searchsorted(asked.row, np.arange(len(pieces) + 1))
    for start in range(0, len(order), ranks.rows):
        few = order[start : start + ranks.rows]
        ids = packed([pieces[i] for i in np.resize(few, ranks.rows)])
        places = [np.arange(first[i], first[i + 1]) for i in few]
        row, at = np.repeat(np.arange(len(few)), list(map(len, places))), np.concatenate(places)
        found[at] = ranks(weights, ids, row, asked.place[at] + 1)
    return found


def _checked(model: XLMRobertaMaskedLM, pieces: list[np.ndarray], asked: Asked, ranks: np.ndarray) -> int:
    """At how many of some positions the Keras model's ranks are others."""
    chosen = np.random.default_rng(1).choice(len(asked), _CHECKED, replace=False)
    chosen = chosen[np.argsort([len(pieces[i]) for i in asked.row[chosen]], kind="stable")]
    differ = 0
    for few in np.split(chosen, _CHECKED // 32):
        places = [np.array([at]) for at in asked.place[few]]
        differ += int((_keras_ranks(model, [pieces[i] for i in asked.row[few]], places) != ranks[few]).sum())
    return differ


def _keras_ranks(model: XLMRobertaMaskedLM, texts: list[np.ndarray], places: list[np.ndarray]) -> np.ndarray:
    """Ranks of the pieces at the places of each text, all of them masked at once, text after text."""
    true = packed(texts)
    positions = np.zeros((len(texts), max(map(len, places))), np.int32)
    hidden, real = true.copy(), np.zeros(positions.shape, bool)
    for i, of in enumerate(places):
        positions[i, : len(of)], real[i, : len(of)] = of + 1, True
        hidden[i, of + 1] = model.preprocessor.tokenizer.mask_token_id
    features = {"token_ids": hidden, "padding_mask": (true != network.PAD).astype(np.int32)}
    logits = np.asarray(model.predict_on_batch({**features, "mask_positions": positions}))[real]
    right = np.take_along_axis(true, positions, 1)[real]
    of_right = logits[np.arange(len(right)), right][:, None]
    before = np.arange(logits.shape[1]) < right[:, None]
    return ((logits > of_right) | ((logits == of_right) & before)).sum(1)


def _many_masks(
    model: XLMRobertaMaskedLM, texts: Texts, pieces: list[np.ndarray], recipe: Recipe
) -> dict[str, Any]:
    """Scores where a larger share of a text is masked at once."""
    chosen = np.sort(np.random.default_rng(2).choice(len(texts), _MANY_MASKS, replace=False))
    few = [pieces[i] for i in chosen]
    kept = np.isin(np.arange(len(texts)), chosen)
    asked = sample(texts.where(kept), few, ALL_MASKED, recipe.max_sequence_length - 2, seed=3)
    ranks = np.empty(len(asked), np.int64)
    for rows in _alike(few):
        at = [np.flatnonzero(asked.row == i) for i in rows]
        places = [asked.place[k] for k in at]
        ranks[np.concatenate(at)] = _keras_ranks(model, [few[i] for i in rows], places)
    return {"texts": len(few), "asked": len(asked), "scores": _scores(ranks, asked)}


def _alike(texts: list[np.ndarray], n: int = 20) -> Iterator[np.ndarray]:
    order = np.argsort([len(text) for text in texts], kind="stable")
    yield from np.split(order, range(n, len(order), n))


def _baselines(train: Texts, tokenizer: XlmRobertaTokenizer, asked: Windows) -> dict[str, np.ndarray]:
    size = tokenizer.vocabulary_size
    counted, tuned = (Windows.of(part.pieces(tokenizer)) for part in hold_out(train, _TUNED))
    every = counted.with_(tuned)
    return {
        "trigram": JelinekMercer(counted, tuned, size).ranks(asked),
        "kneser_ney": KneserNey(every, size).ranks(asked),
        "both_sides": BothSides(every, size).ranks(asked),
    }


def _lengths(texts: Texts, pieces: list[np.ndarray]) -> dict[str, float]:
    lengths = np.array(list(map(len, pieces)))
    return {name: float(lengths[texts.part == k].mean()) for k, name in enumerate(PARTS)}


def _size(folder: Path) -> int:
    """Bytes of what `Preset.open` reads."""
    kept = [p for p in folder.iterdir() if p.suffix in (".json", ".h5") and p.name != _METRICS]
    kept += [p for p in (folder / "assets").rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in kept)


if __name__ == "__main__":
    main()
