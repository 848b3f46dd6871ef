"""How near to the card's arithmetic the engine keras comes, without Spark; Hugging Face in torch beside it.

    python benchmarks/gpu.py [--rows 8192] [--repeats 5] [--here]

XLM-R base's shape, random weights, bfloat16, texts of exactly 128 ids: what a worker runs once texts are ids.
Each contestant is a process of its own: this package on JAX, torch and TensorFlow, whichever of them are
installed in this Python, and `transformers` on torch with scaled dot product attention at its best batch.
The card's rate is measured by each framework as the best of several products of bfloat16 matrices; useful
operations alone are counted (benchmarks/measuring.py). Goals on a GPU: 0.6 of the card's rate, and 1.5 times
Hugging Face. Without a GPU it runs on the CPU and says so in each record; there the goals mean nothing.
Where there is one, an environment of gpu.txt beside this file is made first (gigabytes); `--here` takes this
Python with what it has instead.

Appends one JSON line a measurement to benchmarks/results/gpu.jsonl, so that lines of several cards stand
side by side.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    RESULTS,
    ROOT,
    Encoder,
    agreement,
    machine,
    middle,
    rates,
    useful_operations,
    versions,
    write_records,
)

from sparkxlmr.runtime.devices import gpu_visible

OUTPUT = RESULTS / "gpu.jsonl"
REQUIREMENTS = Path(__file__).with_suffix(".txt")
WIDTH = 128
BACKENDS = ("jax", "torch", "tensorflow")
HUGGING_FACE = "Hugging Face, torch, SDPA"
TO_CARD, TO_HUGGING_FACE = 0.6, 1.5
#: products as XLM-R base's feed-forward layers have them, and square ones: (rows, inner, columns)
SHAPES = {
    True: ((65536, 768, 3072), (65536, 3072, 768), (8192, 8192, 8192)),
    False: ((2048, 768, 3072), (2048, 3072, 768), (2048, 2048, 2048)),
}
Timed = dict[str, Any]


def token_ids(rows: int) -> np.ndarray:
    """Random ids (rows, WIDTH), int32: `<s>`, pieces, `</s>`; no padding."""
    ids = np.random.default_rng(0).integers(4, 6000, (rows, WIDTH)).astype(np.int32)
    ids[:, 0], ids[:, -1] = 0, 2
    return ids


def best_of(work: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each repetition, after one that compiles."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


# --- the contestants, each in a process of its own ---


def ours(backend: str, models: Path, rows: int, repeats: int) -> Timed:
    """This package's engine, as a worker runs it."""
    os.environ["KERAS_BACKEND"] = backend
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.compiler import compile_bundle
    from sparkxlmr.runtime.engines import engine_named

    with tempfile.TemporaryDirectory() as folder:
        bundle = compile_bundle(Preset.open(models / "preset"), "keras", Path(folder) / "bundle")
        runner = engine_named("keras").load(bundle, "bfloat16", None)
        gpu, device = _device(backend)
        ids = token_ids(rows if gpu else min(rows, 64))
        size = runner.batch_tokens // WIDTH
        logits: list[np.ndarray] = []

        def work() -> None:
            logits.clear()
            for start in range(0, len(ids), size):
                part = ids[start : start + size]
                logits.append(runner.run({"token_ids": part, "padding_mask": np.ones_like(part)}))

        taken = best_of(work, repeats)
    labels = np.concatenate(logits).argmax(axis=1).tolist()
    return {
        "gpu": gpu,
        "device": device,
        "taken": taken,
        "batch": size,
        "labels": labels,
        "matmul_gflops": _matmul(backend, gpu, repeats),
    }


def hugging_face(models: Path, rows: int, repeats: int) -> Timed:
    """`transformers` in bfloat16 with SDPA, the best of several batches."""
    import torch
    from transformers import AutoModelForSequenceClassification

    gpu, device = _device("torch")
    place = "cuda" if gpu else "cpu"
    model = AutoModelForSequenceClassification.from_pretrained(
        models / "hugging_face", dtype=torch.bfloat16, attn_implementation="sdpa"
    )
    model = model.to(place).eval()
    ids = torch.from_numpy(token_ids(rows if gpu else min(rows, 64)).astype(np.int64))
    found: Timed = {}
    for size in (64, 128, 256, 512) if gpu else (8, 32):
        labels: list[int] = []

        def work(size: int = size, labels: list[int] = labels) -> None:
            labels.clear()
            with torch.inference_mode():
                for part in ids.split(size):
                    given = part.to(place)
                    logits = model(input_ids=given, attention_mask=torch.ones_like(given)).logits
                    labels.extend(logits.argmax(dim=1).tolist())

        taken = best_of(work, repeats)
        if not found or statistics.median(taken) < statistics.median(found["taken"]):
            found = {"taken": taken, "batch": size, "labels": list(labels)}
    return {"gpu": gpu, "device": device, "matmul_gflops": _matmul("torch", gpu, repeats), **found}


def _device(backend: str) -> tuple[bool, str]:
    """Whether the framework computes on a GPU, and what that is called; else the CPU's name."""
    name = ""
    if backend == "jax":
        import jax

        name = jax.devices()[0].device_kind if jax.default_backend() == "gpu" else ""
    elif backend == "torch":
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    else:
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU")[:1]:
            name = tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
    return bool(name), name or machine()


def _matmul(backend: str, gpu: bool, repeats: int) -> float:
    """The best rate of :data:`SHAPES`, in GFLOP/s, by this framework in bfloat16."""
    calls = 20 if gpu else 1
    best = 0.0
    for m, k, n in SHAPES[gpu]:
        work = {"jax": _jax_product, "torch": _torch_product, "tensorflow": _tensorflow_product}[backend]
        taken = best_of(work(m, k, n, calls), repeats)
        best = max(best, 2 * m * k * n * calls / statistics.median(taken) / 1e9)
    return best


def _jax_product(m: int, k: int, n: int, calls: int) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    a, b = jnp.ones((m, k), jnp.bfloat16), jnp.ones((k, n), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready([product(a, b) for _ in range(calls)][-1])


def _torch_product(m: int, k: int, n: int, calls: int) -> Callable[[], Any]:
    import torch

    place = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.ones((m, k), dtype=torch.bfloat16, device=place)
    b = torch.ones((k, n), dtype=torch.bfloat16, device=place)

    def work() -> None:
        for _ in range(calls):
            torch.matmul(a, b)
        if place == "cuda":
            torch.cuda.synchronize()

    return work


def _tensorflow_product(m: int, k: int, n: int, calls: int) -> Callable[[], Any]:
    import tensorflow as tf

    a, b = tf.ones((m, k), tf.bfloat16), tf.ones((k, n), tf.bfloat16)

    def work() -> Any:
        for _ in range(calls):
            product = tf.matmul(a, b)
        return product[0, 0].numpy()  # waits

    return work


# --- the run ---


def in_environment(arguments: list[str]) -> int:
    """The run in the environment of :data:`REQUIREMENTS`, made where it is not there; its exit status."""
    sys.path.append(str(ROOT / "tests" / "environments"))
    from environment import kept

    python = kept("gpu", "-r", REQUIREMENTS, "-e", ROOT)
    return subprocess.run([python, __file__, "--here", *arguments], check=False).returncode


def contestants() -> dict[str, list[str]]:
    """Who can run in this Python, and what its process is told."""
    there = {
        name: importlib.util.find_spec(name) is not None for name in (*BACKENDS, "transformers", "keras")
    }
    found = {}
    if there["torch"] and there["transformers"]:
        found[HUGGING_FACE] = ["hugging_face"]
    if there["keras"]:
        found |= {f"sparkxlmr, keras on {name}": ["ours", name] for name in BACKENDS if there[name]}
    return found


def in_child(arguments: list[str], models: Path, rows: int, repeats: int) -> Timed:
    """What a contestant answers. SystemExit with the end of its log where it fails."""
    command = [sys.executable, __file__, "--child", *arguments]
    command += ["--models", str(models), "--rows", str(rows), "--repeats", str(repeats)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    result: Timed = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(models: Path, rows: int, repeats: int) -> list[dict[str, Any]]:
    """A record for each contestant; ratios to the card and to Hugging Face where both ran on a GPU."""
    found = {name: in_child(told, models, rows, repeats) for name, told in contestants().items()}
    ceiling = max((one["matmul_gflops"] for one in found.values()), default=0.0)
    other = found.get(HUGGING_FACE)
    records = []
    for name, one in found.items():
        documents = len(one["labels"])
        operations = useful_operations(Encoder(), [WIDTH] * documents)
        speed = rates(statistics.median(one["taken"]), documents, documents * WIDTH, operations)
        record = {
            "what": name,
            "machine": machine(),
            "device": one["device"],
            "gpu": one["gpu"],
            "precision": "bfloat16",
            "versions": versions("sparkxlmr", "keras", *BACKENDS, "tensorflow-cpu", "transformers"),
            "batch": one["batch"],
            "documents": documents,
            "tokens": documents * WIDTH,
            **middle(one["taken"]),
            **speed,
            "matmul_gflops": round(one["matmul_gflops"], 1),
            "to_matmul": round(float(str(speed["useful_gflops"])) / ceiling, 3),
        }
        if other is not None:
            quicker = statistics.median(other["taken"]) / statistics.median(one["taken"])
            record["to_hugging_face"] = round(quicker * documents / len(other["labels"]), 3)
            record["label_agreement"] = round(agreement(one["labels"], other["labels"]), 4)
        if one["gpu"] and name != HUGGING_FACE:
            record["goals"] = {"to_matmul": TO_CARD, "to_hugging_face": TO_HUGGING_FACE}
        records.append(record)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, help="with preset/ and hugging_face/; made if left out")
    parser.add_argument("--rows", type=int, default=8192, help="texts; 64 of them at most without a GPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--here", action="store_true", help="with the frameworks of this Python")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        kind, *names = given.child
        run = ours if kind == "ours" else hugging_face
        print(json.dumps(run(*names, given.models, given.rows, given.repeats)), flush=True)
        return
    if not given.here and gpu_visible():
        raise SystemExit(in_environment(sys.argv[1:]))
    if not contestants():
        raise SystemExit("Neither JAX, torch nor TensorFlow is installed in this Python beside keras.")
    if given.models is None:
        from random_models import MODELS, make

        given.models = make(MODELS, ("classify",)) / "classify"
    records = measure(given.models, given.rows, given.repeats)
    if not any(record["gpu"] for record in records):
        print("No GPU is used here: these are numbers of the CPU.", file=sys.stderr)
    write_records(given.output, records, append=True)


if __name__ == "__main__":
    main()
