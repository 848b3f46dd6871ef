"""From trained weights to the preset and its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sparkxlmr import models
from sparkxlmr.models.weights import assign
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import compile_bundle

from . import network
from .recipe import Recipe
from .rows import LABELS
from .student import State, encode

_APART = 1e-3


def save(state: State, proto: bytes, texts: list[str], recipe: Recipe, out: Path) -> None:
    """Puts the weights into the package's class, checks on `texts` that it computes the same, writes it and
    its bundle."""
    model = _classifier(proto, recipe)
    assign(model, state)
    own = network.predict(state, encode(proto, texts, recipe), recipe)
    apart = float(np.abs(own - model.predict(np.array(texts), verbose=0)).max())
    if not apart < _APART:
        raise AssertionError(f"the model's logits are up to {apart} from those of the training step")
    model.save_to_preset(out, weights_dtype="float16")
    compile_bundle(Preset.open(out), "openvino", out / "bundles" / "openvino")
    print(f"wrote {out}; the two forward passes agree to {apart:.1e}", flush=True)


def _classifier(proto: bytes, recipe: Recipe) -> Any:
    shape = {
        "vocabulary_size": recipe.n_ids,
        "num_layers": recipe.num_layers,
        "num_heads": recipe.num_heads,
        "hidden_dim": recipe.hidden_dim,
        "intermediate_dim": recipe.ffn_dim,
        "max_sequence_length": recipe.max_sequence_length,
    }
    if recipe.is_albert:
        shape["embedding_dim"] = recipe.embedding_dim or recipe.hidden_dim
    family = "Albert" if recipe.is_albert else "XLMRoberta"
    preprocessor = getattr(models, f"{family}TextClassifierPreprocessor")(
        getattr(models, f"{family}Tokenizer")(proto), sequence_length=recipe.max_sequence_length
    )
    head = {} if recipe.is_albert else {"hidden_dim": recipe.hidden_dim}
    return getattr(models, f"{family}TextClassifier")(
        getattr(models, f"{family}Backbone")(**shape),
        num_classes=len(LABELS),
        preprocessor=preprocessor,
        classes=LABELS,
        **head,
    )
