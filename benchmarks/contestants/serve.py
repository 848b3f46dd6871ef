"""The loop of a contestant: one process that loads a model once and does the whole job as often as asked.

A contestant is started as ``python <name>.py --models FOLDER --texts FILE.jsonl --cores 2 [--rows 400]
[--task fill-mask]``. It says ``{"ready": true, "versions": {...}}`` when it can begin. Each line of its
standard input is then a JSON object of settings for one run (``{"batch": 32, "by_length": false}``), which it
answers with one line: ``{"seconds": ..., "labels": [...], "memory": {...}}``. It ends with its input.

Only Python's standard library: it runs in every contestant's environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from measuring import command_of, memory_of, parent_of, processes_below, versions

# What is spoken with the runner goes here; whatever libraries print goes to the errors.
_answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

TASKS = ("classify", "fill-mask")
_SPARK_WORKER, _RAY_WORKER = "pyspark.daemon", "ray::"


def arguments(description: str | None, **more: str) -> argparse.Namespace:
    """What a contestant is started with; `more` are options of its own, texts with their defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, required=True, help="what random_models.py made")
    parser.add_argument("--texts", type=Path, required=True, help="what texts.py wrote")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rows", type=int, default=None, help="only so many of the texts")
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    parser.add_argument("--most-tokens", type=int, default=128, help="of a text; the rest is cut off")
    for name, default in more.items():
        parser.add_argument(f"--{name}", default=default)
    return parser.parse_args()


def serve(run: Callable[..., tuple[Any, ...]], *packages: str) -> None:
    """Answer settings with runs until there are no more.

    - `run`: takes the settings as keywords, does the job once, returns the seconds that it took, the labels
      in the order of the texts, and if it likes a dict of further facts for the answer.
    - `packages`: whose versions the runner is told.
    """
    _say({"ready": True, "versions": versions(*packages)})
    for line in sys.stdin:
        if line.strip():
            seconds, labels, *more = run(**json.loads(line))
            facts = more[0] if more else {}
            _say({"seconds": seconds, "labels": labels, "memory": memory(), **facts})


def memory() -> dict[str, Any]:
    """Bytes of the processes that compute: Python workers by themselves, the JVM, and this process."""
    own, found = os.getpid(), {"workers": [], "jvm": [], "process": []}
    for pid in (own, *processes_below(own)):
        measured = memory_of(pid)
        kind = "process" if pid == own else _kind(pid)
        if measured is not None and kind is not None:
            found[kind].append(asdict(measured))
    return found


def _kind(pid: int) -> str | None:
    command = command_of(pid)
    program = command.split(" ")[0]
    if program.endswith("java"):
        return "jvm"
    # The daemon itself only starts workers; its parent is the JVM.
    if _SPARK_WORKER in command and _SPARK_WORKER in command_of(parent_of(pid)):
        return "workers"
    return "workers" if program.startswith(_RAY_WORKER) else None


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=_answers, flush=True)
