"""The tables of what narrower precisions do to the built-in models, from each one's `measured.json`."""

from __future__ import annotations

from pathlib import Path

from sparkxlmr.presets.measured import REFERENCE, Measurement, measured_in
from sparkxlmr.presets.preset import Preset

MODELS = Path(__file__).parents[1] / "models"
#: Of a card: the block is empty when the card's own script has written it.
BLOCK = "measured"
_ORDER = ("float32", "bfloat16", "float16", "int8")
_TASKS = {
    "text_classifier": "labels",
    "masked_lm": "best token at a mask",
    "encoder": "vectors (mean cosine)",
}


def names() -> list[str]:
    """The built-in models that were measured."""
    return sorted(path.parent.name for path in MODELS.glob("*/measured.json"))


def card_table(name: str) -> str:
    """The table of one model, and what was run."""
    rows = _rows(name)
    lines = [
        "| answers | precision | of | as in float32 | accuracy | may `auto` take it? |",
        "|---|---|--:|--:|--:|---|",
        *(f"| {_TASKS[row.task]} | {' | '.join(_cells(row))} |" for row in rows),
    ]
    return "\n".join([*lines, "", _told(rows)])


def all_models() -> str:
    """The table of all models, without the rows of float32 itself."""
    lines = [
        "| model | answers | precision | of | as in float32 | accuracy | float32's | may `auto` take it? |",
        "|---|---|---|--:|--:|--:|--:|---|",
    ]
    told = []
    for name in names():
        rows = _rows(name)
        told.append(f"`{name}`: {_told(rows)}")
        for row in rows:
            if row.precision != REFERENCE:
                *cells, accuracy, may = _cells(row)
                own = "" if row.reference_accuracy is None else f"{row.reference_accuracy:.4f}"
                cells = [f"`{name}`", _TASKS[row.task], *cells, accuracy, own, may]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in told)])


def _rows(name: str) -> list[Measurement]:
    preset = Preset.open(MODELS / name)
    found = measured_in(preset.path, preset.content_hash)
    if not found.rows:
        raise SystemExit(f"models/{name}/measured.json is of other weights: run `sparkxlmr measure`")
    return sorted(
        found.rows,
        key=lambda row: (list(_TASKS).index(row.task), _ORDER.index(row.precision), row.quantization or ""),
    )


def _cells(row: Measurement) -> list[str]:
    precision = " ".join(filter(None, (row.precision, row.quantization)))
    accuracy = "" if row.accuracy is None else f"{row.accuracy:.4f}"
    share = f"{row.agreement:.2%}" if row.task != "encoder" else f"{row.agreement:.5f}"
    may = "it is the measure" if row.precision == REFERENCE else "; ".join(row.faults) or "yes"
    return [precision, f"{row.answers:,}", share, accuracy, may if not row.faults else f"no: {may}"]


def _told(rows: list[Measurement]) -> str:
    of = rows[0]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(of.versions.items()))
    files = ", ".join(sorted({f"`{row.texts.get('name', '')}`" for row in rows}))
    return f"texts of {files}; {versions}; {of.machine}."
