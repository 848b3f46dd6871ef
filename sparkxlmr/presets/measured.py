"""What was measured of a preset in narrower precisions; ``sparkxlmr measure`` writes it beside the weights.

``measured.json`` holds rows, one for each way of running the preset: how often its answers were those of
float32, and how many were right where labels were given. It is no part of the preset's content hash, and
each row says what it was measured of: rows of other weights, of another calibration, or of what an engine's
older compiler made of them, count for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.files import write_file_whole
from sparkxlmr.presets.keras_hub import read_json

MEASURED = "measured.json"
FORMAT = 1
REFERENCE = "float32"
#: what `compared` says of a model with one class
SCORES = "scores"
#: Least share of answers that are float32's (of an encoder: mean cosine of its vectors with float32's).
LEAST_AGREEMENT = {"bfloat16": 0.999, "float16": 0.999, "int8": 0.995}
#: By how much accuracy may be lower than float32's.
MOST_LOST = 0.002
#: Answers from which on a measurement allows what is forbidden without one.
LEAST_ANSWERS = 1000


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One way of running a preset, held to float32 on the same texts.

    Attributes:
        task: ``"text_classifier"``, ``"masked_lm"`` or ``"encoder"``.
        engine, precision: what ran it.
        quantization: of int8 ``"dynamic"`` or ``"static"``, else None.
        source: sha256 (hex) of what its bundle was compiled from; revision: of the engine's compiler.
        answers: documents, masks of a masked language model, or vectors.
        agreement: share of the answers that are float32's; of an encoder the mean cosine of its vectors with
            float32's.
        least_cosine: of an encoder the lowest cosine, else None.
        compared: ``"scores"`` where agreement is that of a one-class model's scores, else None.
        accuracy, reference_accuracy: share of right answers, and float32's; None where no labels were given.
        texts: name and sha256 of the file of texts.
        versions: of what computed, by name; machine: the CPU or GPU.
    """

    task: str
    engine: str
    precision: str
    source: str
    answers: int
    agreement: float
    revision: int = 0
    quantization: str | None = None
    least_cosine: float | None = None
    compared: str | None = None
    accuracy: float | None = None
    reference_accuracy: float | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a later measurement of the same takes the place of."""
        return self.task, self.engine, self.precision, self.quantization or ""

    @property
    def faults(self) -> list[str]:
        """By which limits it fails, in words; none where it keeps them all."""
        found = []
        least = LEAST_AGREEMENT.get(self.precision, 1.0)
        if self.precision != REFERENCE and self.agreement < least:
            what = "mean cosine" if self.task == "encoder" else "agreement"
            found.append(f"{what} {self.agreement:.4f} is below {least}")
        if self.accuracy is not None and self.reference_accuracy is not None:
            lost = self.reference_accuracy - self.accuracy
            if lost > MOST_LOST:
                found.append(f"accuracy is lower by {lost:.4f}, more than {MOST_LOST}")
        return found


@dataclass(frozen=True)
class Measured:
    """All rows of a preset; `model` is the content hash that it had."""

    model: str = ""
    rows: tuple[Measurement, ...] = ()

    def of(
        self, task: str, source: str, engine: str, precision: str, revisions: Mapping[str, int]
    ) -> Measurement | None:
        """The row that tells of a way of running it: this engine's, else another one's; `revisions`: what the
        engines' compilers have now."""
        wanted = (task, source, precision)
        found = [
            row
            for row in self.rows
            if (row.task, row.source, row.precision) == wanted and row.revision == revisions.get(row.engine)
        ]
        return min(found, key=lambda row: (row.engine != engine, row.engine), default=None)

    def with_rows(self, rows: Iterable[Measurement]) -> Measured:
        """These rows, each in the place of what was measured of the same before."""
        kept = {row.key: row for row in (*self.rows, *rows)}
        return Measured(self.model, tuple(kept[key] for key in sorted(kept)))

    def write(self, folder: Path) -> Path:
        """Write ``measured.json`` into the folder. Raises OutputError."""
        rows = [{k: value for k, value in asdict(row).items() if value is not None} for row in self.rows]
        text = json.dumps({"format": FORMAT, "model": self.model, "rows": rows}, indent=1, sort_keys=True)

        def write(file: Path) -> None:
            file.write_text(text + "\n", "utf-8")

        write_file_whole(folder / MEASURED, write)
        return folder / MEASURED


def measured_in(folder: Path, model: str) -> Measured:
    """What a folder's ``measured.json`` says of the model with that content hash; no rows where it has none,
    one of other weights, or one of a later format.

    Raises:
        NotAPresetError: there is one that cannot be read.
    """
    path = folder / MEASURED
    if not path.is_file():
        return Measured(model)
    document = read_json(path)
    if document.get("format") != FORMAT or document.get("model") != model:
        return Measured(model)
    rows = document.get("rows")
    if not isinstance(rows, list):
        raise _spoilt(path, "it has no list of rows")
    return Measured(model, tuple(_row(row, path) for row in rows))


def _row(entries: Any, path: Path) -> Measurement:
    kinds: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("task", "engine", "precision", "source", "quantization", "machine"), (str,)),
        "compared": (str,),
        **dict.fromkeys(("agreement", "least_cosine", "accuracy", "reference_accuracy"), (float, int)),
        **dict.fromkeys(("texts", "versions"), (dict,)),
        **dict.fromkeys(("answers", "revision"), (int,)),
    }
    if not isinstance(entries, dict) or not entries.keys() <= {part.name for part in fields(Measurement)}:
        raise _spoilt(path, "a row has other entries")
    for name, value in entries.items():
        if not isinstance(value, kinds[name]) or isinstance(value, bool):
            raise _spoilt(path, f"{name} is {value!r:.50}")
    try:
        return Measurement(**entries)
    except TypeError as error:
        raise _spoilt(path, str(error)) from error


def _spoilt(path: Path, why: str) -> NotAPresetError:
    return NotAPresetError(
        f"{path} holds no measurements: {why}",
        "what `sparkxlmr measure` writes",
        "measure the model again, or delete the file",
    )
