"""Inputs that a model does not take and calls that fail are errors, never the output of another call."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from sparkxlmr.errors import EngineError, SettingError
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.engines import engine_io, engine_named, engine_names
from sparkxlmr.runtime.engines.engine_io import Limits, check_inputs, check_output, failed_call
from sparkxlmr.runtime.engines.openvino_request import Request
from sparkxlmr.runtime.engines.openvino_tables import table_sizes
from sparkxlmr.runtime.open_model import open_model

XLM_R = Limits("text_classifier", ("token_ids", "padding_mask"), 8, n_labels=3, vocabulary_size=10)
FAMILIES = {"xlm_roberta": "xlmr", "albert": "albert"}


def batch(rows=2, width=4, seed=0):
    ids = np.random.default_rng(seed).integers(4, 10, (rows, width)).astype(np.int32)
    return {"token_ids": ids, "padding_mask": np.ones((rows, width), np.int32)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token_ids": np.full((2, 4), 10)}, r"token_ids holds values from 10 to 10.*0 to 9"),
        ({"token_ids": np.full((2, 4), -1)}, "token_ids holds values from -1"),
        ({"token_ids": np.full((2, 4), 2**40)}, "token_ids holds values"),
        ({"token_ids": np.ones((2, 4))}, "dtype float64"),
        ({"token_ids": np.ones(4, int)}, r"token_ids has shape \(4,\)"),
        ({"padding_mask": np.ones((2, 3), int)}, r"padding_mask has shape \(2, 3\)"),
        ({"padding_mask": np.full((2, 4), 2)}, "padding_mask holds values"),
        ({"segment_ids": np.zeros((2, 4), int)}, "the inputs are"),
        ({name: np.ones((2, 9), int) for name in batch()}, r"token_ids has shape \(2, 9\).*1 to 8"),
        ({name: np.ones((0, 4), int) for name in batch()}, "at least one row"),
        ({name: np.ones((2, 0), int) for name in batch()}, "at least one row"),
    ],
)
def test_check_inputs_invalid(changes, reason):
    with pytest.raises(EngineError, match=reason):
        check_inputs({**batch(), **changes}, XLM_R)


def test_check_inputs_masks_and_segments():
    names = ("token_ids", "padding_mask", "segment_ids", "mask_positions")
    limits = Limits("masked_lm", names, 8, vocabulary_size=10)
    inputs = {**batch(), "segment_ids": np.zeros((2, 4), int), "mask_positions": np.array([[1, 3]])}
    assert check_inputs(inputs, limits)["mask_positions"].dtype == np.int32
    for positions in ([[2, 0]], [[0, 4]], [[0, -1]], [[0, 1, 2]], np.zeros((0, 2), int)):
        with pytest.raises(EngineError, match="mask_positions"):
            check_inputs({**inputs, "mask_positions": np.array(positions)}, limits)
    with pytest.raises(EngineError, match="segment_ids holds values"):
        check_inputs({**inputs, "segment_ids": np.full((2, 4), 2)}, limits)


@pytest.mark.parametrize(
    ("task", "shape"),
    [("text_classifier", (2, 4)), ("text_classifier", (1, 3)), ("text_classifier", (2, 3, 1)),
     ("masked_lm", (2, 10)), ("masked_lm", (1, 9)), ("encoder", (2, 1, 5)), ("encoder", (2, 5))],
)  # fmt: skip
def test_check_output_invalid(task, shape):
    inputs = {**batch(), "mask_positions": np.array([[0, 0]])}
    limits = Limits(task, (), 8, n_labels=3, vocabulary_size=10)
    with pytest.raises(EngineError, match="returned shape"):
        check_output(np.zeros(shape, np.float32), inputs, limits)


@pytest.mark.parametrize("engine", engine_names())
@pytest.mark.parametrize("family", FAMILIES)
def test_runner_invalid_inputs(opened, engine, family):
    """Each engine, after a good call whose output must not come back."""
    if (engine, family) == ("keras", "albert"):
        pytest.skip("compiles for seconds, and checks by the same configuration as for XLM-R")
    runner = opened(f"hugging_face/{FAMILIES[family]}_sequence_classification", engine)._runner
    good = batch()
    if family == "albert":
        good["segment_ids"] = np.zeros((2, 4), np.int32)
    expected = runner.run(good)
    wide = {name: np.ones((2, 600), np.int32) for name in good}
    faults = [
        {"token_ids": np.full((2, 4), 6002 if family == "xlm_roberta" else 2**20, np.int32)},
        {"token_ids": np.full((2, 4), -1, np.int32)},
        {"padding_mask": np.ones((2, 3), np.int32)},
        wide,
    ]
    for fault in faults:
        with pytest.raises(EngineError, match="inputs that the model does not take"):
            runner.run({**good, **fault})
    np.testing.assert_allclose(runner.run(good), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("folder", "vocabulary", "positions"),
    [("hugging_face/xlmr_sequence_classification", 6002, 128),
     ("hugging_face/xlmr_masked_lm", 6002, 128),
     ("hugging_face/albert_sequence_classification", 3000, 130)],
)  # fmt: skip
def test_table_sizes_own_graph(bundle_of, folder, vocabulary, positions):
    bundle = bundle_of(folder)
    found = table_sizes(ov.Core().read_model(str(bundle.file("model.xml"))), bundle.manifest.family)
    assert (found.vocabulary_size, found.positions) == (vocabulary, positions)


def test_table_sizes_int8_graph(golden_preset, tmp_path):
    bundle = compile_bundle(golden_preset, "openvino", tmp_path / "int8", "int8")
    found = table_sizes(ov.Core().read_model(str(bundle.file("model.xml"))), "xlm_roberta")
    assert (found.vocabulary_size, found.positions) == (6002, 128)


# --- a call that fails inside OpenVINO ---


def adding_model():
    """A model that fails on inputs of unequal width: the sum of two matrices."""
    a, b = (op.parameter([-1, -1], np.int32, name=name) for name in "ab")
    for node, name in ((a, "a"), (b, "b")):
        node.output(0).set_names({name})
    total = op.convert(op.add(a, b), "f32")
    return ov.Core().compile_model(ov.Model([op.result(total)], [a, b], "m"), "CPU")


def test_request_failed_call():
    """The error is raised, and the model is opened again for the next call."""
    opened = []
    request = Request(lambda: opened.append(1) or adding_model())
    ones = np.ones((2, 3), np.int32)
    assert request.run({"a": ones, "b": ones})[0].tolist() == [[2.0] * 3] * 2
    for _ in range(2):
        with pytest.raises(RuntimeError, match="mismatch"):
            request.run({"a": np.ones((2, 5), np.int32), "b": ones})
        assert request.run({"a": ones, "b": 2 * ones})[0].tolist() == [[3.0] * 3] * 2
    assert len(opened) == 3


def test_request_interrupted_call(monkeypatch):
    """An interrupt between start and wait leaves no call behind that reads freed arrays."""
    request = Request(adding_model)
    ones = np.ones((2, 3), np.int32)
    events = []

    class Interrupted:
        model_outputs = ()

        def start_async(self, *arguments, **keywords):
            events.append("start")
            raise KeyboardInterrupt

        def wait(self):
            events.append("wait")

    request._request = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        request.run({"a": ones, "b": ones})
    assert events == ["start", "wait"]
    assert request.run({"a": ones, "b": ones})[0].tolist() == [[2.0] * 3] * 2


def test_request_output_not_written():
    """A call that returns without a result gives an error, not the values of the call before."""
    tensor = SimpleNamespace(data=np.ones((2, 300), np.float32))
    silent = SimpleNamespace(
        model_outputs=[0],
        get_output_tensor=lambda index: tensor,
        start_async=lambda inputs, share_inputs: None,
        wait=lambda: None,
    )
    request = Request(lambda: SimpleNamespace(create_infer_request=lambda: silent))
    with pytest.raises(EngineError, match="without writing its output"):
        request.run({})
    tensor.data = np.ones((2, 300), np.float32)

    def write_half(inputs, share_inputs):
        tensor.data[0] = 1.0

    silent.start_async = write_half
    with pytest.raises(EngineError, match="without writing its output"):
        request.run({})


# --- memory ---

LIMITED = """
import os, resource, sys
import numpy as np
from sparkxlmr.errors import EngineError, SettingError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.engines import engine_named

def batch(rows, seed):
    ids = np.random.default_rng(seed).integers(4, 6000, (rows, 128)).astype(np.int32)
    return {"token_ids": ids, "padding_mask": np.ones_like(ids)}

def limit(size):
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

bundle = Bundle.open(sys.argv[2])
runner = engine_named(sys.argv[1]).load(bundle, "float32", 1)
large = [batch(2048, seed) for seed in range(2)]
if os.environ["KERAS_BACKEND"] == "jax":
    runner.run(large[0])  # LLVM ends the process where it has no memory to compile a program for the shape
small = runner.run(batch(16, 2))
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
limit(used + 32 * 2**20)
for inputs in large:
    try:
        runner.run(inputs)
    except EngineError as error:
        print("EngineError", error)
    else:
        print("an output")
limit(resource.RLIM_INFINITY)
print("same" if np.allclose(runner.run(batch(16, 2)), small, atol=1e-5) else "another output")
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads the address space from Linux's /proc"
)
@pytest.mark.parametrize(
    ("engine", "backend"),
    [("openvino", ""), ("tensorflow", ""), ("keras", "tensorflow"), ("keras", "jax")],
)
def test_runner_memory_limit(golden_bundles, engine, backend):
    """A failed allocation in the middle of a job: an error that names the limit, and a right next call."""
    if backend and find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    command = [sys.executable, "-c", LIMITED, engine, str(golden_bundles(engine).folder)]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second, after = done.stdout.strip().splitlines()
    for line in (first, second):
        assert line.startswith(f"EngineError The engine {engine} failed on a batch of 2048 x 128 tokens")
        assert "RLIMIT_AS" in line
        assert "spark.executor.pyspark.memory" in line
    assert after == "same"


@pytest.mark.parametrize(
    ("error", "limit", "expected"),
    [
        (MemoryError(), None, "enough memory for the batch"),
        (RuntimeError("a\n std::bad_alloc\n"), None, "enough memory for the batch"),
        (RuntimeError("shapes differ"), None, "report the message"),
        (RuntimeError("shapes differ"), 2**31, "at most 2048 MiB of address space"),
    ],
)
def test_failed_call_message(monkeypatch, error, limit, expected):
    monkeypatch.setattr(engine_io, "memory_limit", lambda: limit)
    found = failed_call("openvino", (3, 7), error)
    assert expected in str(found)
    assert "a batch of 3 x 7 tokens" in str(found)


@pytest.mark.parametrize(
    ("error", "limit", "expected"),
    [
        (ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"), 2**31, EngineError),
        (RuntimeError("can't start new thread"), 2**31, EngineError),
        (EngineError("cannot open: std::bad_alloc", "a bundle", "compile it again"), 2**31, EngineError),
        (ImportError("No module named 'tensorflow'"), None, ImportError),
    ],
)
def test_open_model_memory_limit(golden_bundles, monkeypatch, error, limit, expected):
    """Not enough memory to open a model: the limit is named, and not the bundle that cannot be read."""
    monkeypatch.setattr(engine_io, "memory_limit", lambda: limit)

    def load(*arguments):
        raise error

    with pytest.raises(expected) as raised:
        open_model(golden_bundles("openvino"), load=load)
    assert ("at most 2048 MiB of address space" in str(raised.value)) is (limit is not None)


def test_open_model_other_errors_under_a_limit(golden_bundles, monkeypatch):
    monkeypatch.setattr(engine_io, "memory_limit", lambda: 2**31)
    with pytest.raises(SettingError, match="threads is 0"):
        open_model(golden_bundles("openvino"), threads=0)


def test_calibration_failed_call(golden_preset, token_batch):
    """The ranges of a calibration are computed by calls of their own."""
    inputs, narrow = {"token_ids": token_batch["token_ids"]}, np.ones((7, 5), np.int32)
    with pytest.raises(EngineError, match="The engine openvino failed"):
        engine_named("openvino").observe(golden_preset, [{**inputs, "padding_mask": narrow}])
