"""Contestant: Ray Data's ``map_batches`` with one actor a core, each with a Hugging Face pipeline.

As Ray documents inference on text. Every job starts its actors anew, which is how Ray Data works: what passes
until the last of them has its model is told apart, in ``loading``, as other contestants' workers are warm.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import serve
from checkpoints import with_fast_tokenizer
from job_files import JobFiles
from measuring import memory_of

MOST_TOKENS = 128


class TextClassifier:
    """Labels batches of texts; leaves a file in `notes` when it is ready to, and its memory in it at work."""

    def __init__(self, checkpoint: str, batch: int, notes: str) -> None:
        import torch
        from transformers import pipeline

        torch.set_num_threads(1)
        self._batch = batch
        self._model = pipeline(
            "text-classification", model=checkpoint, truncation=True, max_length=MOST_TOKENS
        )
        self._note = Path(notes) / str(os.getpid())
        self._ready = time.time()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        found = self._model(list(batch["text"]), batch_size=self._batch)
        memory = memory_of(os.getpid())
        note = {"ready": self._ready, "memory": asdict(memory) if memory else None}
        self._note.write_text(json.dumps(note), "utf-8")
        return {"id": batch["id"], "label": [answer["label"] for answer in found]}


def start(cores: int) -> None:
    """A Ray of this machine alone, without a dashboard and without much talk."""
    import ray

    quietly: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    # One processor more in Ray's books: reading and writing are tasks too, and actors keep theirs.
    ray.init(num_cpus=cores + 1, runtime_env={"env_vars": {"PYTHONPATH": _modules()}}, **quietly)
    ray.data.DataContext.get_current().enable_progress_bars = False


def _modules() -> str:
    """Where the actors find what this file imports."""
    here = Path(__file__).resolve().parent
    return os.pathsep.join([str(here), str(here.parent)])


def main() -> None:
    arguments = serve.arguments(__doc__)
    import ray

    start(arguments.cores)
    checkpoint = with_fast_tokenizer(arguments.models / "classify" / "hugging_face")
    with tempfile.TemporaryDirectory(prefix="ray-data-") as name:
        folder = Path(name)
        files = JobFiles(arguments.texts, folder, arguments.cores, arguments.rows)

        def run(batch: int = 32, by_length: bool = False) -> tuple[float, list[str], dict[str, Any]]:
            source = files.source(by_length)
            notes = Path(tempfile.mkdtemp(dir=folder))
            shutil.rmtree(files.target, ignore_errors=True)
            began, wall = time.perf_counter(), time.time()
            # Small files would be read as one block, and one actor would get it whole.
            texts = ray.data.read_parquet(str(source)).repartition(target_num_rows_per_block=batch)
            labelled = texts.map_batches(
                TextClassifier,
                fn_constructor_args=(checkpoint, batch, str(notes)),
                batch_size=batch,
                compute=ray.data.ActorPoolStrategy(size=arguments.cores),
                num_cpus=1,
            )
            labelled.write_parquet(str(files.target))
            seconds = time.perf_counter() - began
            actors = [json.loads(file.read_text("utf-8")) for file in notes.iterdir()]
            loading = max(actor["ready"] for actor in actors) - wall
            facts = {
                "loading": loading,
                # The actors are gone when the job is done: what they were, they noted.
                "memory": {"workers": [actor["memory"] for actor in actors if actor["memory"]]},
            }
            return seconds - loading, files.labels(), facts

        serve.serve(run, "ray", "torch", "transformers")
    ray.shutdown()


if __name__ == "__main__":
    main()
