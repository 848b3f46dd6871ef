"""What hugging_face.py's UDF runs in a worker: a module of its own, so that its caches outlive a job."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from transformers import pipeline


@functools.cache
def classifier(checkpoint: str, most_tokens: int) -> Any:
    """The pipeline of this worker."""
    torch.set_num_threads(1)
    return pipeline("text-classification", model=checkpoint, truncation=True, max_length=most_tokens)


@functools.cache
def mask_filler(checkpoint: str, most_tokens: int) -> Any:
    """The pipeline of this worker."""
    torch.set_num_threads(1)
    cut = {"truncation": True, "max_length": most_tokens}
    return pipeline("fill-mask", model=checkpoint, tokenizer_kwargs=cut)


def label_batches(
    task: str, checkpoint: str, most_tokens: int, batch: int, texts: Iterator[pd.Series]
) -> Iterator[pd.Series]:
    """Labels, or the ids of the tokens that fill the masks best, of each Arrow batch."""
    for series in texts:
        if task == "classify":
            found = classifier(checkpoint, most_tokens)(series.tolist(), batch_size=batch)
            yield pd.Series([answer["label"] for answer in found])
        else:
            found = mask_filler(checkpoint, most_tokens)(series.tolist(), batch_size=batch)
            # A list of the best tokens for a text; the pipeline leaves the outer list out for one text.
            yield pd.Series([str(best[0]["token"]) for best in (found if len(series) > 1 else [found])])
