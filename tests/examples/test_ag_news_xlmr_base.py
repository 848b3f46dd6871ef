"""The recipe for XLM-R base, dry: a tiny Hugging Face checkpoint and a few rows in place of the real ones."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import keras
import pandas as pd
import pytest

from sparkxlmr.models import TextClassifier

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "fixtures" / "hugging_face" / "xlmr_sequence_classification"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe", ROOT / "examples" / "ag_news_xlmr_base.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_rows(path: Path) -> str:
    labels = ["World", "Sports", "Business", "Sci/Tech"] * 2
    rows = pd.DataFrame({"label": labels, "title": "A title", "description": "and what it is about"})
    rows.to_csv(path, index=False)
    return str(path)


def test_dry_run_ends_in_a_preset_with_the_label_names(recipe: ModuleType, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.csv")
    tables = ["--train", rows, "--validation", rows]
    out = tmp_path / "preset"
    small = ["--epochs", "1", "--batch-size", "4", "--dtype", "float32", "--half"]
    found = recipe.main(["--preset", str(TINY), *tables, "--out", str(out), *small])
    assert json.loads((out / "results.json").read_text()) == found
    assert found["train_rows"] == 8
    model = TextClassifier.from_preset(out)
    assert list(model.classes or ()) == recipe.CLASSES
    assert model.preprocessor is not None
    assert model.preprocessor.sequence_length == 128
    right = model.predict(["A title\nand what it is about"] * 4, verbose=0).argmax(axis=1) == range(4)
    assert found["accuracy"] == right.mean()


def test_the_rate_rises_then_falls_to_zero(recipe: ModuleType) -> None:
    schedule = recipe.optimizer(2e-5, 100)._learning_rate
    assert isinstance(schedule, keras.optimizers.schedules.CosineDecay)
    rates = [float(schedule(step)) for step in (0, 3, 6, 50, 100)]
    assert rates[0] == 0
    assert rates[2] == pytest.approx(2e-5)
    assert rates[1] < rates[2] > rates[3] > rates[4] == pytest.approx(0, abs=1e-12)


def test_a_label_of_another_set_is_refused(recipe: ModuleType, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    pd.DataFrame({"label": ["Weather"], "text": ["rain"]}).to_csv(table, index=False)
    with pytest.raises(SystemExit, match="World"):
        recipe.read(str(table))
