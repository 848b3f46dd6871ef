"""Contestants side by side: each a process of its own, run in turn with the one that all are compared to."""

from __future__ import annotations

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import (
    BUILD,
    Encoder,
    agreement,
    arithmetic,
    machine,
    middle,
    rates,
    useful_operations,
)

HERE = Path(__file__).resolve().parent / "contestants"
#: seconds that a contestant may take for one answer before it counts as stuck
PATIENCE = 900
Answer = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What all contestants of a comparison do.

    - `texts`: the file; `source`: where its texts come from; `rows`: how many of them.
    - `tokens`: how many ids each text has, as cut off at `most_tokens`.
    """

    models: Path
    texts: Path
    source: str
    tokens: Sequence[int]
    cores: int
    task: str = "classify"
    most_tokens: int = 128

    @property
    def rows(self) -> int:
        return len(self.tokens)

    @property
    def operations(self) -> int:
        """Useful ones, of XLM-R base."""
        outputs = {} if self.task == "classify" else {"outputs": 250_002}
        return useful_operations(Encoder(**outputs), self.tokens)


@dataclass(frozen=True)
class Entry:
    """One line of a comparison.

    - `what`: its name in the report; `program`: the contestant's file; `settings`: of a run.
    - `options`: further arguments of the contestant's process.
    - `pace`: how many texts it gets for each of Hugging Face's, so that both run about as long: what a Spark
      job costs whatever its size then weighs as much on both.
    - `facts`: what its record says beside (engine, precision, whether it is a contestant's best).
    """

    what: str
    program: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    pace: float = 1.0


class Contestant:
    """A contestant's process, ready to be asked. Raises SystemExit with its last words where it fails."""

    def __init__(self, program: str, python: Path, job: Job, options: Sequence[str] = ()) -> None:
        self.program, self.job = program, job
        self._log = BUILD / "logs" / f"{program}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            str(python), str(HERE / f"{program}.py"), "--models", str(job.models), "--texts", str(job.texts),
            "--rows", str(job.rows), "--cores", str(job.cores), "--task", job.task,
            "--most-tokens", str(job.most_tokens), *options,
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=BUILD
            )
        self.versions: dict[str, str] = self._answer()["versions"]

    def run(self, settings: Mapping[str, Any]) -> Answer:
        """The whole job once: seconds, labels, memory."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(dict(settings)).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Its input ends, and so does it; what does not end by itself is ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _answer(self) -> Answer:
        """The next line; one line is all that a contestant says to a question."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self._process.kill()
            said = self._log.read_text("utf-8", "replace").splitlines()[-15:]
            reason = "ended" if ready else f"said nothing for {PATIENCE} s"
            raise ContestantFailed(f"{self.program} {reason}:\n" + "\n".join(said))
        answer: Answer = json.loads(line)
        return answer


class ContestantFailed(Exception):
    """A contestant that ended early or stopped answering; its last words."""


@contextlib.contextmanager
def started(program: str, python: Path, job: Job, options: Sequence[str] = ()) -> Iterator[Contestant]:
    """A contestant, ended when the block is left."""
    contestant = Contestant(program, python, job, options)
    try:
        yield contestant
    finally:
        contestant.end()


@dataclass
class Series:
    """What one entry did in the rounds of a comparison; ratios are of tokens a second."""

    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    last: Answer = field(default_factory=dict)


def alternate(
    reference: tuple[Contestant, Mapping[str, Any]],
    others: Sequence[tuple[Contestant, Mapping[str, Any]]],
    repeats: int,
) -> tuple[Series, list[Series]]:
    """Reference, then the others, `repeats` times; each ratio is of the reference's run in the same round."""
    first, rest = Series(), [Series() for _ in others]
    for _ in range(repeats):
        answer = reference[0].run(reference[1])
        first.seconds.append(answer["seconds"])
        first.last = answer
        for series, (contestant, settings) in zip(rest, others, strict=True):
            series.last = contestant.run(settings)
            series.seconds.append(series.last["seconds"])
            theirs = sum(reference[0].job.tokens) / answer["seconds"]
            series.ratios.append(sum(contestant.job.tokens) / series.last["seconds"] / theirs)
    return first, rest


def record(
    entry: Entry, job: Job, series: Series, reference: Sequence[str], versions: Mapping[str, str]
) -> dict[str, Any]:
    """The JSON line of an entry; `reference` are the labels that its own are compared with, as far as both
    go."""
    both = min(len(reference), job.rows)
    timed = middle(series.seconds)
    found: dict[str, Any] = {
        "what": entry.what,
        **entry.facts,
        "contestant": entry.program,
        "settings": dict(entry.settings),
        "task": job.task,
        "machine": machine(),
        "arithmetic": arithmetic(),
        "threads": job.cores,
        "texts": job.source,
        "documents": job.rows,
        "tokens": sum(job.tokens),
        "most_tokens": job.most_tokens,
        **timed,
        **rates(float(str(timed["seconds"])), job.rows, sum(job.tokens), job.operations),
        "memory": series.last["memory"],
        "label_agreement": round(agreement(series.last["labels"][:both], reference[:both]), 4),
        "labels_compared": both,
        "versions": dict(versions),
    }
    if series.ratios:
        found["ratio"] = round(statistics.median(series.ratios), 3)
        found["spread_ratio"] = [round(min(series.ratios), 3), round(max(series.ratios), 3)]
    if "loading" in series.last:
        found["loading_seconds"] = series.last["loading"]
    return found


def python_of(program: str) -> Path:
    """The Python of a contestant: this very one for our own."""
    if program in ("ours", "bare_worker"):
        return Path(sys.executable)
    sys.path.insert(0, str(HERE))
    from environments import python_for

    return python_for(program)


def cores_of_this_run() -> int:
    """As many as there are, two at most: the comparison is one of cores, not of machines."""
    return min(2, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 2
