"""The fine-tuning notebook runs from its first cell to its last, on a few generated rows."""

from __future__ import annotations

import random
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "fine_tune_ag_news.ipynb"
WORDS = {
    "World": "minister embassy treaty troops border election",
    "Sports": "striker match coach season goal stadium",
    "Business": "shares profit bank market investors merger",
    "Sci/Tech": "software chip browser satellite scientists server",
}


def write_rows(path: Path, n: int, seed: int) -> None:
    chosen = random.Random(seed)
    rows = []
    for i in range(n):
        label = list(WORDS)[i % len(WORDS)]
        words = WORDS[label].split()
        rows.append((label, " ".join(chosen.sample(words, 3)), " ".join(chosen.sample(words, 4))))
    pd.DataFrame(rows, columns=["label", "title", "description"]).to_csv(path, index=False)


def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "train.csv", 320, 1)
    write_rows(tmp_path / "validation.csv", 40, 2)
    monkeypatch.setenv("AG_NEWS_FOLDER", str(tmp_path))
    monkeypatch.setenv("EPOCHS", "2")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()

    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    written = "".join(out["text"] for out in outputs if out.get("name") == "stderr")
    assert "oneDNN" not in written
    assert "retracing" not in written
    assert not any("\b" in out.get("text", "") for out in outputs)
    assert sum("image/png" in out.get("data", {}) for out in outputs) == 1
    assert any("accuracy on 40 texts" in out.get("text", "") for out in outputs)
    assert (tmp_path / "ag_news_classifier" / "model.weights.h5").is_file()
    counts = re.findall(r"\b\d+\b", outputs[-1]["data"]["text/plain"])
    assert sum(map(int, counts)) == 40


def test_notebook_holds_no_local_path() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    everything = "\n".join(str(cell) for cell in notebook.cells)
    assert not any(f"/{folder}/" in everything for folder in ("tmp", "home", "root", "work", "Users"))
