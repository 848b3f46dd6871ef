"""The command ``sparkxlmr measure``: how far a model's answers in narrower precisions are those of float32.

What it finds it writes beside the weights (``measured.json``), where ``precision="auto"`` looks.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkxlmr import __version__
from sparkxlmr.errors import InputError, NotAPresetError
from sparkxlmr.jobs import local_texts, outcome, report, table_job
from sparkxlmr.jobs.local_texts import LocalTexts
from sparkxlmr.presets.measured import LEAST_ANSWERS, SCORES, Measurement

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.runtime.agreement import Answers

_DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras", "jax", "torch")}


@dataclass(frozen=True)
class Way:
    """A precision that a model can be run in here; `quantization`: of int8."""

    precision: str
    quantization: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.precision, self.quantization)))


def measure(
    model: Model, texts: LocalTexts, engine: str = "auto", max_length: int = 128, embeddings: bool = False
) -> Iterator[tuple[Measurement, float]]:
    """Run the model in every precision that this machine has; float32 comes first.

    Yields each measurement with the seconds that its texts took.

    - `embeddings`: measure the vectors of its encoder too.

    Raises SettingError, EngineError, and what compiling the model raises; InputError where none of the labels
    is one of the model's; NotAPresetError for a bare encoder without `embeddings`.
    """
    from sparkxlmr.presets.encoder import Encoder
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.devices import gpu_visible
    from sparkxlmr.runtime.engine_choice import engine_for

    gpu = gpu_visible()
    engine = engine_for(model, engine, gpu)
    targets = [model] if model.task_kind is not None else []
    if embeddings and isinstance(model, Preset):
        targets.append(Encoder.of(model))
    if not targets:
        raise NotAPresetError(
            f"{model.path} has no head, whose answers could be compared",
            "a model with one",
            "say --embeddings",
        )
    for target in targets:
        yield from _measured(target, texts, engine, max_length, gpu)


def _measured(
    model: Model, texts: LocalTexts, engine: str, max_length: int, gpu: bool
) -> Iterator[tuple[Measurement, float]]:
    from sparkxlmr.runtime.agreement import agreement, answers_of, share_right, with_masks
    from sparkxlmr.runtime.compiler import bundle_for
    from sparkxlmr.runtime.devices import cpu_name
    from sparkxlmr.runtime.open_model import open_model

    read, right = texts.texts, _right(model, texts)
    if model.task_kind == "masked_lm":
        read = list(with_masks(read, model.text_tokenizer().mask_token))
    reference: Answers | None = None
    first: float | None = None
    for way in ways(model, engine, gpu):
        bundle = bundle_for(model, engine, way.precision, way.quantization or "auto").verify()
        reader = open_model(bundle, way.precision)
        began = time.perf_counter()
        answers = answers_of(reader, read, max_length)
        seconds = time.perf_counter() - began
        reference = answers if reference is None else reference
        found = agreement(answers, reference)
        accuracy = None if right is None else share_right(answers, right)
        first = accuracy if first is None else first
        yield (
            Measurement(
                task=str(model.task_kind),
                engine=engine,
                precision=way.precision,
                quantization=way.quantization,
                source=bundle.manifest.source,
                revision=bundle.manifest.revision,
                answers=found.answers,
                agreement=round(found.share, 6),
                least_cosine=None if found.least is None else round(found.least, 6),
                accuracy=None if accuracy is None else round(accuracy, 6),
                reference_accuracy=None if first is None else round(first, 6),
                compared=SCORES if answers.values is not None else None,
                texts={"name": texts.name, "sha256": texts.sha256},
                versions=_versions(engine),
                machine="a GPU" if gpu and engine != "openvino" else cpu_name(),
            ),
            seconds,
        )


def ways(model: Model, engine: str, gpu: bool) -> Iterator[Way]:
    """What the model can be run in on this machine, float32 first; nothing that it would only emulate."""
    from sparkxlmr.presets.calibration import calibration_of
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.engines import engine_named
    from sparkxlmr.runtime.precision_choice import is_computed_here

    choices = engine_named(engine).precisions
    gpu = gpu and engine_named(engine).uses_gpu
    for precision in ("float32", "bfloat16", "float16"):
        if precision in choices and is_computed_here(precision, engine, gpu):
            yield Way(precision)
    if "int8" in choices and isinstance(model, Preset) and is_computed_here("int8", engine, gpu):
        yield Way("int8", "dynamic")
        if calibration_of(model) is not None:
            yield Way("int8", "static")


def _right(model: Model, texts: LocalTexts) -> list[int] | None:
    """The ids of the right labels, -1 for one that the model does not know; None without labels.

    Raises InputError where the model knows none of them, or has one class, whose score is no label.
    """
    if texts.labels is None or model.task_kind != "text_classifier":
        return None
    if len(model.labels) == 1:
        raise InputError(
            f"The model {model.name} has one class: it gives each text a score and no label",
            "no column of labels",
            "leave out --label; agreement is measured on the scores",
        )
    ids = {name: number for number, name in enumerate(model.labels)}
    right = [ids.get(label, -1) for label in texts.labels]
    if max(right) < 0:
        raise InputError(
            f"The labels in {texts.name} are {', '.join(sorted(set(texts.labels))[:5])}, ...",
            f"labels of the model: {', '.join(model.labels[:5])}, ...",
            "name the column of the model's labels with --label",
        )
    return right


def _versions(engine: str) -> dict[str, str]:
    found = {"sparkxlmr": __version__}
    for name in _DISTRIBUTIONS.get(engine, (engine,)):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# --- the command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "model", metavar="MODEL", help="a preset's folder, a model that ships, or a handle (hf://org/name)"
    )
    local_texts.add_arguments(parser)
    parser.add_argument("--label", metavar="COLUMN", help="column of the right labels, for the accuracy")
    parser.add_argument("--engine", default="auto", help="what computes (default: auto)")
    parser.add_argument(
        "--max-length", type=int, default=128, metavar="N", help="pieces of a text at most (default: 128)"
    )
    parser.add_argument(
        "--embeddings", action="store_true", help="measure the vectors of the model's encoder too"
    )
    table_job.add_debug(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what the parsed arguments say, print a table, write ``measured.json``; returns the exit code."""
    from rich.table import Table

    from sparkxlmr.presets.measured import measured_in
    from sparkxlmr.presets.open_model_folder import open_model

    model = open_model(arguments.model)
    texts = local_texts.read_texts(
        arguments.texts,
        arguments.text or ["text"],
        arguments.label,
        arguments.rows,
        arguments.input_format,
        arguments.encoding,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("task", "precision", "agreement", "accuracy", "texts a second", "limits"):
        table.add_column(title, justify="left" if title in ("task", "precision", "limits") else "right")
    rows = []
    found = measure(model, texts, arguments.engine, arguments.max_length, arguments.embeddings)
    for row, seconds in found:
        rows.append(row)
        accuracy = "" if row.accuracy is None else f"{row.accuracy:.4f}"
        rate = f"{len(texts.texts) / max(seconds, 1e-9):,.0f}"
        way = str(Way(row.precision, row.quantization))
        limits = "; ".join(row.faults) or "kept"
        table.add_row(row.task, way, f"{row.agreement:.4f}", accuracy, rate, limits)
    report.console().print(table)
    if any(row.answers < LEAST_ANSWERS for row in rows):
        print(f"Fewer than {LEAST_ANSWERS:,} answers: int8 stays what has to be asked for.")
    known = measured_in(model.path, model.content_hash)
    written = replace(known, model=model.content_hash).with_rows(rows).write(model.path)
    print(f"Written to {written}.")
    _say_choice(model, rows)
    return outcome.DONE


def _say_choice(model: Model, rows: list[Measurement]) -> None:
    from sparkxlmr.presets.encoder import Encoder
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.precision_choice import precision_for

    for task in dict.fromkeys(row.task for row in rows):
        target = Encoder.of(model) if task == Encoder.kind and isinstance(model, Preset) else model
        choice = precision_for(target, rows[0].engine)
        kind = task.replace("_", " ")
        print(f"precision auto takes {choice.precision} for this {kind} here: {choice.why}.")
