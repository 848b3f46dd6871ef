"""Texts to logits: tokenise, plan, pack, run, and put everything back in the caller's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.runtime.reader import Distinct, Reader
from sparkxlmr.text.finite import check_finite
from sparkxlmr.text.tokenizer import FlatEncoded


@dataclass(frozen=True)
class Prediction:
    """What a classifier says about n texts.

    - `logits` float32 (n, classes); of texts that were read in windows (windows, classes), those of the
      first text first.
    - `truncated` bool (n,): the text, or the second one of its pair, was longer than what was read.
    - `windows` int64 (n,): how many windows each text has; None where each was read at once.
    """

    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    windows: NDArray[np.int64] | None = None


class Predictor(Reader):
    """A text classifier's bundle that is open; arguments and errors are the base's."""

    task = "text_classifier"

    def logits(
        self,
        texts: Sequence[str],
        max_length: int,
        batch_size: int | None = None,
        lower_case: bool | None = None,
        seconds: Sequence[str] | None = None,
        stride: int | None = None,
        max_windows: int | None = None,
    ) -> Prediction:
        """What the model says about each text, in the order of the texts.

        - `max_length`: tokens of a text at most, the special ones at its ends included; the rest is cut off.
        - `batch_size`: texts (windows) of one engine call at most; None leaves it to the token budget.
        - `lower_case`: whether texts are lower-cased first; None as the preset says.
        - `seconds`: for each text the second one of its pair. Of a pair that is too long the longer text is
          cut first, as Hugging Face does it (`longest_first`).
        - `stride`: read a longer text in windows, of which neighbours share so many tokens
          (:meth:`sparkxlmr.text.tokenizer.SentencePieceTokenizer.encode_windows`).
        - `max_windows`: windows of a text at most, the first ones; None: all. A text that has more counts as
          truncated.

        Equal texts are computed once. A text's logits do not depend on the others beyond rounding (1e-5 in
        float32). Raises SettingError where `max_length` is beyond the model's or has no room for the special
        tokens, or `stride` leaves no room for more of the text; NonFiniteOutputError, which has the positions
        of all such texts, where a logit is NaN or infinite.
        """
        self._check_length(max_length)
        distinct: Distinct[Any]
        if seconds is None:
            distinct = Distinct.of(texts)
            firsts, given = distinct.texts, None
        else:
            distinct = Distinct.of(list(zip(texts, seconds, strict=True)))
            firsts, given = ([pair[place] for pair in distinct.texts] for place in (0, 1))
        encoded, counts = self._encoded(firsts, given, max_length, lower_case, stride, max_windows)
        logits = np.zeros((len(encoded.ids), len(self.bundle.labels)), np.float32)
        for batch, inputs in self._batches(encoded, batch_size):
            logits[batch.rows] = self._runner.run(inputs)
        truncated = encoded.truncated
        if counts is None:
            found = logits[distinct.rows]
            check_finite(found, self.task)
            return Prediction(found, truncated[distinct.rows])
        starts = np.cumsum(counts) - counts
        windows = counts[distinct.rows]
        # Of each text the rows of its windows, one after the other.
        before = np.cumsum(windows) - windows
        rows = np.repeat(starts[distinct.rows] - before, windows) + np.arange(windows.sum())
        found = logits[rows]
        check_finite(found, self.task, np.repeat(np.arange(len(windows)), windows))
        return Prediction(found, truncated[starts[distinct.rows]], windows)

    def _encoded(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str] | None,
        max_length: int,
        lower_case: bool | None,
        stride: int | None,
        max_windows: int | None,
    ) -> tuple[FlatEncoded, NDArray[np.int64] | None]:
        """Ids of texts with the second ones of their pairs, if any; and how many windows each has, if asked
        for."""
        tokenizer = self._tokenizer_in(lower_case)
        if seconds is None and stride is None:
            return self._encode(firsts, max_length, lower_case), None
        firsts = self._cased(firsts, lower_case)
        seconds = None if seconds is None else self._cased(seconds, lower_case)
        if stride is not None:
            encoded, counts = tokenizer.encode_windows(firsts, max_length, stride, seconds, max_windows)
            return FlatEncoded.of(encoded), np.asarray(counts, np.int64)
        pairs = list(zip(firsts, seconds or (), strict=True))
        return FlatEncoded.of(tokenizer.encode_pairs(pairs, max_length)), None
