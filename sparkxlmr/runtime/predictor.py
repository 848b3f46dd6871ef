"""Texts to logits: tokenise, plan, pack, run, and put everything back in the caller's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.runtime.reader import Distinct, Reader


@dataclass(frozen=True)
class Prediction:
    """`logits` float32 (texts, classes); `truncated` bool (texts,): the text was longer than `max_length`."""

    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]


class Predictor(Reader):
    """A text classifier's bundle that is open; arguments and errors are the base's."""

    task = "text_classifier"

    def logits(
        self,
        texts: Sequence[str],
        max_length: int,
        batch_size: int | None = None,
        lower_case: bool | None = None,
    ) -> Prediction:
        """What the model says about each text, in the order of the texts.

        - `max_length`: tokens of a text at most, the special ones at its ends included; the rest is cut off.
        - `batch_size`: texts of one engine call at most; None leaves it to the token budget.
        - `lower_case`: whether texts are lower-cased first; None as the preset says.

        Equal texts are computed once. A text's logits do not depend on the others beyond rounding (1e-5 in
        float32). Raises SettingError where `max_length` is beyond the model's or below 2.
        """
        self._check_length(max_length)
        distinct = Distinct.of(texts)
        encoded = self._encode(distinct.texts, max_length, lower_case)
        logits = np.zeros((len(distinct.texts), len(self.bundle.labels)), np.float32)
        for batch, inputs in self._batches(encoded, batch_size):
            logits[batch.rows] = self._runner.run(inputs)
        return Prediction(logits[distinct.rows], np.asarray(encoded.truncated, bool)[distinct.rows])
