"""The worker's half without Spark: its cache, and what pandas hands over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime import gpu_process, open_model
from sparkxlmr.runtime.predictor import Prediction
from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.spark import worker
from sparkxlmr.spark.model_ref import ModelRef
from sparkxlmr.spark.scoring import result_type

CHECKOUT = Path(__file__).parents[2]
COLUMNS = ["source", "label", "truncated", "scores"]
SETTINGS = {"max_length": 16}


class Counting:
    def __init__(self):
        self.texts = []

    def logits(self, texts, max_length, batch_size, lower_case, seconds, stride, max_windows):
        self.texts.extend(texts)
        return Prediction(np.tile(np.float32([0, 1]), (len(texts), 1)), np.zeros(len(texts), bool))


@pytest.fixture
def loads(monkeypatch):
    """An empty cache; the list of what is loaded, each a predictor that counts."""
    loaded = []

    def load(ref, threads):
        loaded.append((ref, Counting()))
        return loaded[-1][1]

    monkeypatch.setattr(worker, "_loaded", type(worker._loaded)())
    monkeypatch.setattr(worker, "_load", load)
    monkeypatch.delenv(worker.TRACE, raising=False)  # these are no loads of the run's own workers
    return loaded


def ref(name="a", precision="float32", **changes):
    return ModelRef(name * 64, "path", "/nowhere", precision, **changes)


def run(batches, reference=None):
    wire = (reference or ref()).to_wire()
    return list(worker.score_batches(wire, SETTINGS, COLUMNS, iter(batches)))


def test_one_load_for_all_batches_and_tasks(loads):
    for _ in range(3):
        run([pd.Series([["x"]]), pd.Series([["y"]])])
    assert len(loads) == 1
    assert loads[0][1].texts == ["x", "y"] * 3


def test_the_same_model_by_another_way_is_the_same_model(loads):
    worker.predictor_for(ref())
    worker.predictor_for(ModelRef("a" * 64, "files", "x.zip", "float32"))
    assert len(loads) == 1
    worker.predictor_for(ref(precision="bfloat16"))
    assert len(loads) == 2


def test_the_least_recently_used_goes_first(loads):
    for name in "abc":
        worker.predictor_for(ref(name))
    worker.predictor_for(ref("a"))
    worker.predictor_for(ref("d"))
    worker.predictor_for(ref("a"))
    assert [item.hash[0] for item, _ in loads] == ["a", "b", "c", "d"]
    worker.predictor_for(ref("b"))
    assert len(loads) == 5


def test_a_worker_that_holds_another_device_predicts_in_a_process_of_its_own(loads, monkeypatch):
    held, children = [], []

    def use_device(device):
        held[:] = held or [device]  # a framework keeps the first
        if held != [device]:
            raise EngineError("another device")

    monkeypatch.setattr(worker, "use_device", use_device)
    monkeypatch.setattr(worker, "arrived", lambda ref: "bundle")
    monkeypatch.setattr(worker, "ChildPredictor", lambda *arguments: children.append(arguments) or Counting())
    for device in ("0", "1", "0", "1"):
        monkeypatch.setattr(worker, "device_of_task", lambda ref, device=device: device)
        run([pd.Series([["x"]])])
    assert len(loads) == 1
    assert children == [("bundle", "float32", 1, "1")]


@pytest.mark.parametrize(("seen", "n_children"), [(True, 1), (False, 0)])
def test_a_worker_without_a_gpu_of_its_own_hides_none_from_the_users_functions(
    loads, monkeypatch, seen, n_children
):
    """They run in the same worker, on a cluster that has GPUs and does not schedule them."""
    children = []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(worker, "gpu_visible", lambda: seen)
    monkeypatch.setattr(worker, "arrived", lambda ref: "bundle")
    monkeypatch.setattr(worker, "ChildPredictor", lambda *arguments: children.append(arguments) or Counting())
    worker.predictor_for(ref())  # an engine without GPUs
    worker.predictor_for(ref("b", assigned=True))
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert children == [("bundle", "float32", 1, "")] * n_children
    assert len(loads) == 2 - n_children


def test_a_child_that_was_killed_is_replaced(loads, monkeypatch):
    children = []

    class Child(Counting):
        ended = False

        def __init__(self, *arguments):
            super().__init__()
            children.append(self)

    monkeypatch.setattr(worker, "_claim", lambda device: False)
    monkeypatch.setattr(worker, "arrived", lambda ref: "bundle")
    monkeypatch.setattr(worker, "ChildPredictor", Child)
    assert worker.predictor_for(ref()) is worker.predictor_for(ref()) is children[0]
    children[0].ended = True
    assert worker.predictor_for(ref()) is children[1]


def test_a_shared_gpu_is_asked_for_in_its_process(monkeypatch):
    asked = []
    monkeypatch.setattr(worker, "_loaded", type(worker._loaded)())
    monkeypatch.setattr(worker, "arrived", lambda ref: "bundle")
    monkeypatch.setattr(gpu_process, "SharedRunner", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(
        open_model, "open_model", lambda bundle, precision, threads, load: load(bundle, precision, threads)
    )
    worker.predictor_for(ref(precision="bfloat16", shared=2))
    assert asked == [("bundle", "bfloat16", 2)]


OTHER_ADDRESS = """
import json, os, sys, types
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.spark import worker
from sparkxlmr.spark.model_ref import ModelRef
bundle = bundle_for(Preset.open(sys.argv[1]), "tensorflow")
ref = ModelRef(bundle.hash, "path", str(bundle.folder), "float32", assigned=True)
for device in ("3", "5", "3", "5"):
    worker.device_of_task = lambda ref: device
    assert worker.predictor_for(ref).logits(["x"], 16).logits.shape == (1, 4)
    sys.modules["tensorflow"] = types.ModuleType("tensorflow")  # as an engine leaves it: held on "3" by now
print(os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"])
"""


def test_a_reused_worker_answers_for_another_address_from_a_child_that_sees_it(tiny_preset, tmp_path):
    """The whole way with real processes and an engine that records the address it was loaded under."""
    records = tmp_path / "records"
    records.mkdir()
    path = [str(CHECKOUT / "tests" / "cluster" / "recording"), str(CHECKOUT)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "RECORDS": str(records),
        "SPARKXLMR_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-c", OTHER_ADDRESS, str(tiny_preset)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = {file.stem: json.loads(file.read_text())["visible"] for file in records.iterdir()}
    pid, held = done.stdout.split()
    assert held == seen.pop(pid) == "3"
    assert list(seen.values()) == ["5"]


def test_outside_of_a_task_there_is_no_device_in_a_cluster_and_any_in_local_mode():
    assert worker.device_of_task(ref()) == worker.ANY
    assert worker.device_of_task(ref(assigned=True)) == ""


def test_a_task_without_rows_loads_nothing(loads):
    assert run([]) == []
    assert loads == []


@pytest.mark.parametrize(
    "rows",
    [
        pd.Series([np.array(["x", None], object), None], dtype=object),
        pd.Series([["x", float("nan")], float("nan")], dtype=object),
        pd.Series([np.array(["x", ""], object), np.array([], object)], dtype=object),
    ],
)
def test_null_in_any_form_is_no_text(loads, rows):
    (frame,) = run([rows])
    assert loads[0][1].texts == ["x"]
    assert frame["source"].tolist() == [[0], []]
    assert frame["label"].tolist() == [[1], []]


@pytest.mark.skipif(not hasattr(F, "arrow_udf"), reason="this Spark has no UDFs of Arrow arrays")
def test_arrow_is_answered_with_arrow_in_the_type_that_spark_declares(loads):
    """Else Spark would cast every answer. Rows may begin in the middle of a buffer."""
    texts = pa.array([["gone"], ["x", None], None, [], ["", "y"]], pa.list_(pa.string()))[1:]
    (answers,) = run([texts])
    assert loads[0][1].texts == ["x", "y"]
    assert answers.type == to_arrow_type(result_type(RowOptions(**SETTINGS)))
    assert answers.field("source").to_pylist() == [[0], [], [], [1]]
    assert [len(scores) for scores in answers.field("scores").to_pylist()] == [2, 0, 0, 2]
    (frame,) = run([pd.Series(texts.to_pylist())])
    for name in COLUMNS:
        assert [list(row) for row in frame[name]] == answers.field(name).to_pylist()


def test_rows_of_equal_length_stay_rows(loads):
    (frame,) = run([pd.Series([["x"], ["y"]])])
    assert frame.shape == (2, len(COLUMNS))
    assert [scores.shape for scores in frame["scores"]] == [(2,), (2,)]


def test_the_trace_says_what_was_loaded_and_scored(loads, tmp_path, monkeypatch):
    monkeypatch.setenv(worker.TRACE, str(tmp_path))
    run([pd.Series([["x"], ["y"]])])
    (file,) = tmp_path.iterdir()
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(event["event"], event.get("rows")) for event in events] == [("load", None), ("score", 2)]
    assert {event["model"] for event in events} == {"a" * 64}


def test_trace_into_a_missing_folder(loads, tmp_path, monkeypatch, caplog):
    """One warning, and the task goes on."""
    monkeypatch.setenv(worker.TRACE, str(tmp_path / "missing"))
    for _ in range(2):
        (frame,) = run([pd.Series([["x"], ["y"]])])
        assert len(frame) == 2
    assert len(caplog.messages) == 1
    assert str(tmp_path / "missing") in caplog.text


def test_a_missing_folder_says_what_to_do(monkeypatch):
    from sparkxlmr.errors import NotAPresetError

    monkeypatch.setattr(worker, "_loaded", type(worker._loaded)())
    with pytest.raises(NotAPresetError, match="setDistribution"):
        run([pd.Series([["x"]])])
