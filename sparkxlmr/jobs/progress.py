"""A progress bar for what Spark is doing, on a terminal; elsewhere silence."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOOK_EVERY = 0.2
_PATIENCE = 30.0  # seconds that cancelled jobs and their tasks are waited for


def with_progress(spark: SparkSession, title: str, action: Callable[[], None]) -> None:
    """Run an action of Spark, showing its finished and its total tasks where the error stream is a terminal.

    What the action raises is raised here; an interrupt cancels its jobs, and waits until they are gone.
    """
    from pyspark import InheritableThread

    group = f"sparkxlmr-{threading.get_ident()}"
    failed: list[BaseException] = []

    def in_group() -> None:
        spark.sparkContext.setJobGroup(group, title, interruptOnCancel=True)
        try:
            action()
        except BaseException as error:
            failed.append(error)

    worker = InheritableThread(target=in_group, daemon=True)
    worker.start()
    try:
        if sys.stderr.isatty():
            _draw(spark, group, title, worker)
        while worker.is_alive():
            worker.join(_LOOK_EVERY)
    except BaseException:
        # The JVM may be gone: a signal to the process group ends it too.
        with contextlib.suppress(Exception):
            spark.sparkContext.cancelJobGroup(group)
            worker.join(timeout=_PATIENCE)
            _wait_for_tasks(spark, group)
        raise
    if failed:
        # Other tasks of the job that failed may still write where the caller is going to delete.
        with contextlib.suppress(Exception):
            _wait_for_tasks(spark, group)
        raise failed[0]


def _wait_for_tasks(spark: SparkSession, group: str) -> None:
    """Wait until no task of a cancelled job group runs: they end after their job, and write until then."""
    until = time.monotonic() + _PATIENCE
    while active_tasks(spark, group) and time.monotonic() < until:
        time.sleep(_LOOK_EVERY)


def active_tasks(spark: SparkSession, group: str) -> int:
    """The tasks that run now in the stages of all jobs of a group, ended ones included."""
    tracker: Any = spark.sparkContext.statusTracker()
    jobs = map(tracker.getJobInfo, tracker.getJobIdsForGroup(group))
    stages = {stage_id for job in jobs if job is not None for stage_id in job.stageIds}
    infos = map(tracker.getStageInfo, stages)
    return sum(info.numActiveTasks for info in infos if info is not None)


def _draw(spark: SparkSession, group: str, title: str, worker: threading.Thread) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("tasks"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(title, total=None)
        while worker.is_alive():
            worker.join(_LOOK_EVERY)
            done, total = tasks_of(spark, group)
            if total:
                bar.update(shown, completed=done, total=total)


def tasks_of(spark: SparkSession, group: str) -> tuple[int, int]:
    """Finished and all tasks of the stages that run now in a job group; (0, 0) where none runs."""
    tracker: Any = spark.sparkContext.statusTracker()
    done = total = 0
    for job_id in tracker.getJobIdsForGroup(group):
        job = tracker.getJobInfo(job_id)
        if job is None or job.status != "RUNNING":
            continue
        for stage_id in job.stageIds:
            stage = tracker.getStageInfo(stage_id)
            if stage is not None:
                done += stage.numCompletedTasks
                total += stage.numTasks
    return done, total
