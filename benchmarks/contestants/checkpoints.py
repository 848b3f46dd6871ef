"""Hugging Face checkpoints as published ones are; without pyspark, which Ray's environment has not."""

from __future__ import annotations

import tempfile
from pathlib import Path


def with_fast_tokenizer(checkpoint: Path) -> str:
    """The checkpoint with the ``tokenizer.json`` that published ones bring: to make it takes long."""
    if not (checkpoint / "tokenizer.json").is_file():
        from transformers import AutoTokenizer

        with tempfile.TemporaryDirectory(dir=checkpoint.parent) as folder:
            AutoTokenizer.from_pretrained(checkpoint).save_pretrained(folder)
            (Path(folder) / "tokenizer.json").rename(checkpoint / "tokenizer.json")
    return str(checkpoint)
