"""A bundle that is open: its tokenizer, its engine, and how texts become an engine's arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.engine_choice import require_installed
from sparkxlmr.runtime.engines import Runner, engine_named
from sparkxlmr.runtime.planner import Batch, plan
from sparkxlmr.runtime.precision_choice import precision_here
from sparkxlmr.text.families import NORMALIZATION, tokenizer_for
from sparkxlmr.text.tokenizer import FlatEncoded, SentencePieceTokenizer

Inputs = dict[str, NDArray[np.int32]]
Text = TypeVar("Text", bound=Hashable)


@dataclass(frozen=True)
class Distinct(Generic[Text]):
    """Texts (or pairs of them) without repetition: `texts` in the order of their first appearance, and `rows`
    int64 (n,), which of them each of the n texts is."""

    texts: list[Text]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[Text]) -> Distinct[Text]:
        """
        >>> Distinct.of(["b", "a", "b"]).rows.tolist()
        [0, 1, 0]
        """
        places: dict[Text, int] = {}
        rows = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int64, len(texts))
        return cls(list(places), rows)


#: Opens a verified bundle in a precision, with so many threads.
Load = Callable[[Bundle, str, int | None], Runner]


class Reader:
    """A bundle that is open: model and tokenizer in memory, ready for any number of calls.

    - `bundle`: its files are trusted as they are; `host.verified_folder(bundle)` has checked them.
    - `precision`: `"float32"`, `"bfloat16"` or what else bundle and engine have; `"auto"`: what is fast here
      (:func:`~sparkxlmr.runtime.precision_choice.precision_here`).
    - `threads`: of one engine call; None leaves the number to the engine (all cores).
    - `max_tokens`: tokens of one engine call at most, padding included; None takes the engine's own.
    - `load`: opens the engine, as `Engine.load`; None: in this process.

    Raises EngineError where the bundle's engine is not installed or cannot open the files, SettingError for a
    precision that the engine has not, NotAPresetError for a tokenizer of an unknown family or a bundle of
    another task.
    """

    #: the kind of task whose bundles this opens
    task: ClassVar[str]

    def __init__(
        self,
        bundle: Bundle,
        precision: str = "float32",
        threads: int | None = None,
        max_tokens: int | None = None,
        load: Load | None = None,
    ) -> None:
        engine = engine_named(require_installed(bundle.engine))
        if threads is not None and threads < 1:
            raise SettingError(f"threads is {threads}", "at least 1", "leave it out for all cores")
        if bundle.manifest.task != self.task:
            raise NotAPresetError(
                f"The bundle in {bundle.folder} is a {bundle.manifest.task}",
                f"a {self.task}",
                "take another model",
            )
        self.bundle = bundle
        self._tokenizers: dict[bool | None, SentencePieceTokenizer] = {}
        # SentencePiece reads its vocabulary while the engine opens its files; neither holds Python's lock.
        with ThreadPoolExecutor(1) as beside:
            tokenizer = beside.submit(self._tokenizer_in, None)
            self._runner = (load or engine.load)(bundle, precision_here(bundle, precision), threads)
            self._tokenizer = tokenizer.result()
        self._max_tokens = max_tokens or self._runner.batch_tokens

    def _encode(self, texts: Sequence[str], max_length: int | None, lower_case: bool | None) -> FlatEncoded:
        """Ids of the texts; `lower_case` overrides what the preset says of it, None leaves it to the preset.

        Where the tokenizer has no such setting, True lower-cases everything but the mask and added tokens.
        """
        return self._tokenizer_in(lower_case).encode_flat(self._cased(texts, lower_case), max_length)

    def _cased(self, texts: Sequence[str], lower_case: bool | None) -> Sequence[str]:
        """The texts as `_tokenizer_in(lower_case)` is to read them."""
        if not lower_case or self._tokenizer_in(lower_case) is not self._tokenizer:
            return texts
        return [self._tokenizer.lower_cased(text) for text in texts]

    def _tokenizer_in(self, lower_case: bool | None) -> SentencePieceTokenizer:
        recorded = self.bundle.manifest.tokenizer
        settings = dict(recorded.get("settings", {}))
        key = lower_case if settings.keys() & NORMALIZATION else None
        if key not in self._tokenizers:
            if key is not None:
                settings["do_lower_case"] = key
            made = tokenizer_for(recorded["family"], self.bundle.tokenizer_file, settings)
            self._tokenizers[key] = made
        return self._tokenizers[key]

    def _check_length(self, max_length: int, least: int = 2) -> None:
        if not least <= max_length <= self.bundle.max_length:
            raise SettingError(
                f"The longest text is to have {max_length} tokens",
                f"{least} to {self.bundle.max_length}, which is what this model reads",
                "set a length in that range",
            )

    def _batches(self, encoded: FlatEncoded, batch_size: int | None) -> Iterator[tuple[Batch, Inputs]]:
        """The rows that are run together, with an engine's inputs for them."""
        batches = plan(
            encoded.ids.lengths,
            self._max_tokens,
            batch_size,
            self._runner.widths,
            max_width=self.bundle.max_length,
        )
        for batch in batches:
            yield batch, self._inputs(encoded, batch.rows, batch.width)

    def _inputs(self, encoded: FlatEncoded, rows: Sequence[int] | NDArray[np.int64], width: int) -> Inputs:
        rows = np.asarray(rows, np.int64)
        token_ids, filled = encoded.ids.padded(rows, width, self._tokenizer.pad_id)
        inputs = {"token_ids": token_ids, "padding_mask": filled.astype(np.int32)}
        if encoded.segment_ids is not None:
            inputs["segment_ids"], _ = encoded.segment_ids.padded(rows, width, 0)
        return inputs
