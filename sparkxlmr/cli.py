"""The command ``sparkxlmr``: classify a file or fill its masks, list the models, measure or quantise one,
look at this machine, show a demonstration."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

from sparkxlmr import __version__, demo, doctor
from sparkxlmr.errors import SparkxlmrError
from sparkxlmr.jobs import classify, fill_mask, measure, outcome, quantize, report, table_job

if TYPE_CHECKING:
    from sparkxlmr.presets.preset import Preset

_EPILOG = "Exit codes: 0 done; 2 wrong use, found before any text was read; 1 anything else."


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command, each sub-command with the function that does it."""
    whole = argparse.ArgumentParser(prog="sparkxlmr", description=__doc__, epilog=_EPILOG)
    whole.add_argument("--version", action="version", version=f"sparkxlmr {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    said = "name the label of every text in a file, e.g. its language"
    one = commands.add_parser("classify", help=said, description=said, epilog=_EPILOG)
    classify.add_arguments(one)
    one.set_defaults(action=classify.run)

    said = "fill the masks of every text in a file with the likeliest tokens"
    one = commands.add_parser("fill-mask", help=said, description=said, epilog=_EPILOG)
    fill_mask.add_arguments(one)
    one.set_defaults(action=fill_mask.run)

    said = "list the models that ship with the package"
    one = commands.add_parser("models", help=said, description=said, epilog=_EPILOG)
    table_job.add_debug(one)
    one.set_defaults(action=list_models)

    said = "measure what narrower precisions do to a model's answers, so that precision auto can choose"
    one = commands.add_parser("measure", help=said, description=said, epilog=_EPILOG)
    measure.add_arguments(one)
    one.set_defaults(action=measure.run)

    said = "make of a model one that runs in int8, its ranges found on texts like those it is meant for"
    one = commands.add_parser("quantize", help=said, description=said, epilog=_EPILOG)
    quantize.add_arguments(one)
    one.set_defaults(action=quantize.run)

    said = "say what is there on this machine, what is missing, and what to do about it"
    one = commands.add_parser("doctor", help=said, description=said, epilog=_EPILOG)
    doctor.add_arguments(one)
    table_job.add_debug(one)
    one.set_defaults(action=doctor.run)

    said = (
        "classify short texts in many languages, or a file of your own, and show the first rows of the result"
    )
    one = commands.add_parser("demo", help=said, description=said, epilog=_EPILOG)
    demo.add_arguments(one)
    one.set_defaults(action=demo.run)
    return whole


def list_models(_: argparse.Namespace) -> int:
    """Print the built-in presets: name, what they do, labels, size on disk; 1 where one is damaged."""
    from rich.table import Table

    from sparkxlmr.presets import builtin
    from sparkxlmr.presets.preset import Preset

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "task", "labels", "numbers", "size"):
        table.add_column(title, justify="left" if title in ("model", "task") else "right")
    damaged: list[SparkxlmrError] = []
    for name in builtin.names():
        try:
            table.add_row(name, *_described(Preset.open(name)))
        except SparkxlmrError as error:
            table.add_row(name, "cannot be used", "", "", "")
            damaged.append(error)
    report.console().print(table)
    for found in damaged:
        print(f"sparkxlmr: {found}", file=sys.stderr)
    return outcome.FAILED if damaged else outcome.DONE


def _described(preset: Preset) -> tuple[str, str, str, str]:
    """Task, labels, numbers and size of a preset; its weights are not read."""
    from sparkxlmr.presets.tables import entries

    size = sum(file.stat().st_size for file in preset.path.rglob("*") if file.is_file())
    task = preset.task.kind.replace("_", " ") if preset.task else "encoder"
    n_numbers = sum(math.prod(entry.shape) for entry in entries(preset.config, preset.task))
    return task, str(len(preset.labels) or ""), f"{n_numbers / 1e6:.1f} M", f"{size / 1e6:.1f} MB"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 done, 2 wrong use, 1 anything else)."""
    arguments = parser().parse_args(argv, argparse.Namespace(own_process=argv is None))
    return outcome.run(lambda: arguments.action(arguments), arguments.debug)


if __name__ == "__main__":
    sys.exit(main())
