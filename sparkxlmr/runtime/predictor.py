"""Texts to logits: tokenise, plan, pack, run, and put everything back in the caller's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import SettingError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.engine_choice import require_installed, resolve_precision
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.runtime.planner import plan
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.packing import pack


@dataclass(frozen=True)
class Prediction:
    """`logits` float32 (texts, classes); `truncated` bool (texts,): the text was longer than `max_length`."""

    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]


class Predictor:
    """A bundle that is open: model and tokenizer in memory, ready for any number of calls.

    - `bundle`: its files are trusted as they are; `host.verified_folder(bundle)` has checked them.
    - `precision`: `"float32"`, `"bfloat16"` or what else the engine has; `"auto"` is float32.
    - `threads`: of one engine call; None leaves the number to the engine (all cores).
    - `max_tokens`: tokens of one engine call at most, padding included; None takes the engine's own.

    Raises EngineError where the bundle's engine is not installed or cannot open the files, SettingError for a
    precision that the engine has not, NotAPresetError for a tokenizer of an unknown family.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: str = "float32",
        threads: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        engine = engine_named(require_installed(bundle.engine))
        if threads is not None and threads < 1:
            raise SettingError(f"threads is {threads}", "at least 1", "leave it out for all cores")
        self.bundle = bundle
        recorded = bundle.manifest.tokenizer
        self._tokenizer = tokenizer_for(recorded["family"], bundle.tokenizer_file)
        self._runner = engine.load(bundle, resolve_precision(precision, bundle.engine), threads)
        self._max_tokens = max_tokens or self._runner.batch_tokens

    def logits(self, texts: Sequence[str], max_length: int, batch_size: int | None = None) -> Prediction:
        """What the model says about each text, in the order of the texts.

        - `max_length`: tokens of a text at most, `<s>` and `</s>` included; the rest is cut off.
        - `batch_size`: texts of one engine call at most; None leaves it to the token budget.

        Equal texts are computed once. A text's logits do not depend on the others beyond rounding (1e-5 in
        float32). Raises SettingError where `max_length` is beyond the model's or below 2.
        """
        if not 2 <= max_length <= self.bundle.max_length:
            raise SettingError(
                f"The longest text is to have {max_length} tokens",
                f"2 to {self.bundle.max_length}, which is what this model reads",
                "set a length in that range",
            )
        places: dict[str, int] = {}
        rows = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int64, len(texts))
        encoded = self._tokenizer.encode(list(places), max_length)
        logits = self._run(encoded.ids, batch_size)
        return Prediction(logits[rows], np.asarray(encoded.truncated, bool)[rows])

    def _run(self, ids: list[list[int]], batch_size: int | None) -> NDArray[np.float32]:
        widths = self._runner.widths
        lengths = [len(row) for row in ids]
        batches = plan(lengths, self._max_tokens, batch_size, widths, max_width=self.bundle.max_length)
        logits = np.zeros((len(ids), len(self.bundle.labels)), np.float32)
        for batch in batches:
            token_ids, padding_mask = pack(
                [ids[row] for row in batch.rows], self._tokenizer.pad_id, batch.width
            )
            logits[batch.rows] = self._runner.run(token_ids, padding_mask)
        return logits
