"""How near the engine openvino comes to what the processor can do, how soon it starts, and what it takes.

    python benchmarks/engine_rate.py [--rows 200] [--repeats 3] [--threads 1 2] [--tokens 512 1024 2048]

A random classifier of XLM-R base's shape on AG News' texts (made up ones where it is not at hand), tokenised
before and planned as one large Arrow batch; of its engine calls every so many are run that they
have about `--rows` texts. In turn with plain products of matrices by the same library in the same precision:
their best rate over several shapes is the machine's ceiling. Of the engine only useful operations count (no
padding, the last layer for `<s>`: measuring.useful_operations). Then two workers of a new host, one after the
other: seconds from a process with pandas to its first label (the first one reads the whole model to check
it), and the memory that each takes for itself.

Writes one JSON line a measurement to benchmarks/results/engine_rate.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import random_models
from measuring import (
    RESULTS,
    Encoder,
    arithmetic,
    cores,
    machine,
    memory_of,
    middle,
    rates,
    useful_operations,
    versions,
    write_records,
)
from texts import benchmark_texts

from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.host import HOST_FOLDER, verified_folder
from sparkxlmr.runtime.open_model import open_model

OUTPUT = RESULTS / "engine_rate.jsonl"
MOST_TOKENS = 128
ARROW_ROWS = 2048  # fewer than a session's 4,096: AG News' validation part has 3,800 texts
#: rows, and the widths that the products alternate between: XLM-R's own, and a square
SHAPES = ((1024, 768, 3072), (1024, 768, 768), (2048, 1024, 4096), (1024, 1024, 1024))
_CHAIN = 8  # one product alone would also pay for the conversion of what comes in and goes out
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
Work = Callable[[], float]


def facts() -> dict[str, Any]:
    return {"machine": machine(), "arithmetic": arithmetic(), "versions": versions("openvino", "numpy")}


# --- the machine's rate and the engine's ---


def products(shape: tuple[int, int, int], precision: str, threads: int) -> Work:
    """A function that multiplies matrices one after the other, and answers operations a second."""
    import numpy as np
    import openvino as ov
    from openvino import opset13 as op

    rows, narrow, wide = shape
    random = np.random.default_rng(0)
    first = x = op.parameter([rows, narrow], np.float32)
    for index in range(_CHAIN):
        sizes = (wide, narrow) if index % 2 == 0 else (narrow, wide)
        kernel = random.standard_normal(sizes, dtype=np.float32) * np.float32(0.03)
        x = op.matmul(x, op.constant(kernel), False, True)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_NUM_THREADS": threads,
    }
    model = ov.Model([op.result(x)], [first])
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(0, ov.Tensor(random.standard_normal((rows, narrow), dtype=np.float32)))

    def run() -> float:
        began = time.perf_counter()
        request.infer()
        return 2 * rows * narrow * wide * _CHAIN / (time.perf_counter() - began)

    run()
    return run


def rate(
    bundle: Bundle,
    precision: str,
    threads: int,
    texts: Sequence[str],
    rows: int,
    budgets: Sequence[int],
    repeats: int,
) -> Iterator[dict[str, Any]]:
    """A record for each token budget of a call; about `rows` of the texts are run."""
    reader = open_model(bundle, precision, threads)
    encoded = reader._encode(texts, MOST_TOKENS, None)
    runner = reader._runner
    budgets = budgets or [runner.batch_tokens]
    work = {}
    for budget in budgets:
        reader._max_tokens = budget
        calls = [inputs for _, inputs in reader._batches(encoded, None)]
        work[budget] = calls[:: max(1, len(texts) // rows)]
    ceilings: dict[tuple[int, int, int], list[float]] = {shape: [] for shape in SHAPES}
    machines = {shape: products(shape, precision, threads) for shape in SHAPES}
    seconds: dict[int, list[float]] = {budget: [] for budget in budgets}
    for repeat in range(repeats + 1):
        for shape, run in machines.items():
            ceilings[shape] += [run(), run()]
        for budget in budgets:
            began = time.perf_counter()
            for inputs in work[budget]:
                runner.run(inputs)
            if repeat:  # the first time each shape of input is prepared for
                seconds[budget].append(time.perf_counter() - began)
    best = max(middle(found)["seconds"] for found in ceilings.values()) / 1e9  # type: ignore[operator]
    for budget in budgets:
        timing = middle(seconds[budget])
        lengths = [int(n) for inputs in work[budget] for n in inputs["padding_mask"].sum(1)]
        operations = useful_operations(Encoder(), lengths)
        padded = sum(inputs["token_ids"].size for inputs in work[budget])
        speed = rates(float(str(timing["seconds"])), len(lengths), sum(lengths), operations)
        yield {
            "what": "bare engine",
            "precision": precision,
            "threads": threads,
            "batch_tokens": budget,
            "documents": len(lengths),
            "tokens": sum(lengths),
            "padding": round(1 - sum(lengths) / padded, 4),
            **timing,
            **speed,
            "matmul_gflops": round(best, 1),
            "to_matmul": round(float(str(speed["useful_gflops"])) / best, 3),
            **facts(),
        }


# --- two workers of a host ---


def worker(folder: str, precision: str) -> None:
    """A process of its own: pandas, then, when a line comes in, the model and its first label."""
    import pandas  # noqa: F401
    import pyarrow  # noqa: F401

    print("ready", flush=True)
    text = sys.stdin.readline()
    began = time.perf_counter()
    from sparkxlmr.runtime.bundle import Bundle
    from sparkxlmr.runtime.host import verified_folder
    from sparkxlmr.runtime.open_model import open_model

    reader: Any = open_model(verified_folder(Bundle.open(folder)), precision, 1)
    reader.logits([text.strip()], MOST_TOKENS)
    print(time.perf_counter() - began, flush=True)
    for line in sys.stdin:
        reader.logits(json.loads(line), MOST_TOKENS)
        print("done", flush=True)


def workers(bundle: Bundle, precision: str, texts: Sequence[str], hosts: int = 3) -> dict[str, Any]:
    """Seconds to the first label of one worker after the other, then the memory of both after many texts.

    Medians of `hosts`; on each the first worker finds a model that nobody has checked there.
    """
    found = []
    for _ in range(hosts):
        with tempfile.TemporaryDirectory() as host:
            found.append(two_workers(host, bundle, precision, texts))

    def medians(what: str) -> list[Any]:
        return [statistics.median(each) for each in zip(*(one[what] for one in found), strict=True)]

    return {
        "what": "workers of a host",
        "precision": precision,
        "threads": 1,
        "hosts": hosts,
        "first_label_seconds": [round(each, 3) for each in medians("seconds")],
        "spread_first_label_seconds": [[round(each, 3) for each in one["seconds"]] for one in found],
        "private_bytes_above_pandas": medians("private"),
        "shared_bytes": medians("shared"),
        "bundle_bytes": sum(file.size for file in bundle.manifest.files.values()),
        **facts(),
    }


def two_workers(host: str, bundle: Bundle, precision: str, texts: Sequence[str]) -> dict[str, list[Any]]:
    """Of each worker its seconds, and its bytes of memory at the end; `host`: an empty folder."""
    command = [sys.executable, __file__, "--worker", str(bundle.folder), precision]
    environment = {**os.environ, HOST_FOLDER: host}
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]

    def asked(process: subprocess.Popen[str], line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline()

    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        bare = [memory_of(process.pid) for process in started]
        seconds = [float(asked(process, texts[0])) for process in started]
        for process in started:
            asked(process, json.dumps(list(texts[:32])))
        full = [memory_of(process.pid) for process in started]
    finally:
        for process in started:
            process.communicate()
    pairs = zip(bare, full, strict=True)
    return {
        "seconds": seconds,
        "private": [after.private - before.private for before, after in pairs if after and before],
        "shared": [each.shared for each in full if each],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    narrow = {"avx512_bf16", "amx_bf16"} & set(arithmetic())
    parser.add_argument("--models", type=Path, default=random_models.MODELS)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores()}))
    parser.add_argument("--tokens", type=int, nargs="*", default=[], help="of a call; the engine's own")
    parser.add_argument("--precisions", nargs="+", default=["bfloat16" if narrow else "float32"])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(*arguments.worker)
        return
    texts = benchmark_texts(ARROW_ROWS)
    preset = Preset.open(random_models.make(arguments.models, ("classify",)) / "classify" / "preset")
    records = []
    for precision in arguments.precisions:
        bundle = verified_folder(bundle_for(preset, "openvino", precision))
        records.append({"texts": texts.source, **workers(bundle, precision, texts.texts)})
        for threads in arguments.threads:
            found = rate(
                bundle, precision, threads, texts.texts, arguments.rows, arguments.tokens, arguments.repeats
            )
            records += [{"texts": texts.source, **record} for record in found]
    write_records(arguments.output, records)


if __name__ == "__main__":
    main()
