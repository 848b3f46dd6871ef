"""Workers of a host that share the process of a GPU. None is needed: the engine here computes on the CPU."""

from __future__ import annotations

import io
import shutil
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, EngineError
from sparkxlmr.runtime import gpu_process
from sparkxlmr.runtime.bundle import MANIFEST, Bundle
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.runtime.gpu_process import SharedRunner


@pytest.fixture
def started(host_home, monkeypatch):
    """GPU 0 is visible; the processes that this test started, which end quickly once they are alone."""
    processes = []
    real = gpu_process._start

    def start(gpu, place):
        real(gpu, place)
        processes.append(gpu_process._started[0])

    monkeypatch.setattr(gpu_process, "_start", start)
    monkeypatch.setattr(gpu_process, "PATIENCE", 0.3)
    monkeypatch.setattr(gpu_process, "visible_gpus", lambda: ("0",))
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def batch(rows: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(rows).integers(4, 300, (rows, 9)).astype(np.int32)
    return {"token_ids": ids, "padding_mask": np.ones((rows, 9), np.int32)}


def test_workers_share_a_process_that_ends_after_the_last_one(golden_bundles, started):
    bundle = golden_bundles("openvino")
    own = engine_named("openvino").load(bundle, "float32", None)
    workers = [SharedRunner(bundle, "float32", 1) for _ in range(2)]
    assert len(started) == 1
    assert workers[0].widths == own.widths
    assert workers[0].batch_tokens == own.batch_tokens
    answers = {}

    def ask(number):
        for rows in (1, 5, 17):
            answers[number, rows] = workers[number].run(batch(rows))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    for (_, rows), found in answers.items():
        np.testing.assert_allclose(found, own.run(batch(rows)), atol=1e-6)
    workers[0].close()
    time.sleep(1)
    np.testing.assert_allclose(workers[1].run(batch(3)), own.run(batch(3)), atol=1e-6)
    workers[1].close()
    assert started[0].wait(60) == 0
    again = SharedRunner(bundle, "float32", 1)
    assert len(started) == 2
    assert again.run(batch(2)).shape == (2, 4)


def test_a_process_that_was_killed_says_so_and_another_takes_its_place(golden_bundles, started):
    bundle = golden_bundles("openvino")
    worker = SharedRunner(bundle, "float32", 1)
    started[0].send_signal(signal.SIGKILL)
    started[0].wait()
    with pytest.raises(EngineError, match="computes on GPU 0 ended"):
        worker.run(batch(1))
    assert worker.run(batch(1)).shape == (1, 4)
    assert len(started) == 2


@pytest.mark.parametrize(
    "answer", [b"", b"\0" * 5, (99).to_bytes(8, "big") + b"half", (4).to_bytes(8, "big") + b"junk"]
)
def test_a_process_that_ends_in_the_middle_of_an_answer(golden_bundles, started, answer):
    bundle = golden_bundles("openvino")
    worker = SharedRunner(bundle, "float32", 1)
    expected = worker.run(batch(1))
    worker._stream = io.BufferedRWPair(io.BytesIO(answer), io.BytesIO())
    with pytest.raises(EngineError, match="computes on GPU 0 ended"):
        worker.run(batch(1))
    np.testing.assert_allclose(worker.run(batch(1)), expected, atol=1e-6)


def test_an_error_comes_back_as_it_is_and_the_process_goes_on(golden_bundles, started, tmp_path):
    bundle = golden_bundles("openvino")
    broken = shutil.copytree(bundle.folder, tmp_path / "broken")
    (broken / "model.xml").write_text("<net")
    worker = SharedRunner(bundle, "float32", 1)
    with pytest.raises(EngineError, match=r"OpenVINO .* cannot open"):
        SharedRunner(Bundle.open(broken), "float32", 1)
    assert worker.run(batch(1)).shape == (1, 4)
    assert SharedRunner(bundle, "float32", 1).run(batch(1)).shape == (1, 4)
    assert len(started) == 1


def test_a_shared_runner_of_another_manifest(golden_bundles, started, tmp_path):
    """One model is open in the process; a bundle of another hash in the same folder is not taken for it."""
    bundle = Bundle.open(shutil.copytree(golden_bundles("openvino").folder, tmp_path / "copy"))
    worker = SharedRunner(bundle, "float32", 1)
    edited = replace(bundle.manifest, labels=bundle.manifest.labels[::-1])
    (bundle.folder / MANIFEST).write_bytes(edited.to_bytes())
    assert SharedRunner(Bundle.open(bundle.folder), "float32", 1).run(batch(1)).shape == (1, 4)
    assert worker.run(batch(1)).shape == (1, 4)
    with pytest.raises(DamagedModelError, match="which was verified there"):
        SharedRunner(Bundle(bundle.folder, replace(bundle.manifest, max_length=9)), "float32", 1)


def test_a_host_folder_too_deep_for_a_socket(golden_bundles, started, tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 120)
    monkeypatch.setenv("SPARKXLMR_HOST_FOLDER", str(deep))
    assert SharedRunner(golden_bundles("openvino"), "float32", 1).run(batch(1)).shape == (1, 4)
    assert (deep / "gpus" / "0-0").exists()


def test_processes_are_spread_over_the_gpus(plain_bundle, monkeypatch):
    """Neighbouring process ids, as workers have them, go to different GPUs and processes."""
    taken = []

    def connected(gpu, number):
        taken.append((gpu, number))
        raise ConnectionRefusedError

    monkeypatch.setattr(gpu_process, "_connected", connected)
    monkeypatch.setattr(gpu_process, "visible_gpus", lambda: ("3", "GPU-5a"))
    for pid in range(8):
        monkeypatch.setattr(gpu_process.os, "getpid", lambda pid=pid: pid)
        with pytest.raises(ConnectionRefusedError):
            SharedRunner(plain_bundle, "float32", 2)
    assert taken == [("3", 0), ("GPU-5a", 0), ("3", 1), ("GPU-5a", 1)] * 2


def test_without_a_gpu_there_is_no_process(plain_bundle, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(EngineError, match="No GPU is visible"):
        SharedRunner(plain_bundle, "float32", 1)
