"""What is the engine keras' own: its bundle, its function on two backends, few shapes, choosing a backend.

tests/runtime/test_engines.py holds it to Hugging Face and to the other engines."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from sparkxlmr.errors import DamagedModelError, EngineError, WeightsError
from sparkxlmr.presets.config import MaskedLMConfig
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import compile_bundle
from sparkxlmr.runtime.engines import keras as keras_engine
from sparkxlmr.runtime.engines import keras_backends
from sparkxlmr.runtime.engines.keras_backends import installed_backends, opened_backend
from sparkxlmr.runtime.open_model import open_model

CLASSIFIER, MASKED_LM = "hugging_face/albert_sequence_classification", "hugging_face/xlmr_masked_lm"
TEXTS = ["One short text", "Another, of a few more words than that", "word " * 70, "", "One short text"]
MASKED = ["The <mask> of the town.", "No mask here", "A <mask> in a text with <mask> of them", "<mask>"]

ON_JAX = """
import json, sys
sys.modules["tensorflow"] = None
import numpy as np
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.open_model import open_model

classifier, masked_lm, target = sys.argv[1:]
texts, masked = json.load(sys.stdin)
found = {}
for precision in ("float32", "bfloat16"):
    model = open_model(Bundle.open(classifier), precision, threads=1)
    assert model._runner.widths, "JAX compiles for every shape"
    found[precision] = model.logits(texts, 48).logits
filler = open_model(Bundle.open(masked_lm))
found["fill"] = [[one.score for one in mask.filled] for text in filler.fill(masked, 16) for mask in text]
np.savez(target, **found)
import keras
print(keras.backend.backend(), [name for name in ("pyspark", "torch") if name in sys.modules])
"""


@pytest.mark.parametrize("family", ["XLM_R", "ALBERT"])
def test_the_function_is_plain_numpys(tiny, token_batch, family):
    """In this process' backend, classifier and masked language model, every row and mask."""
    config = getattr(tiny, family)
    backend = opened_backend(None)
    from sparkxlmr.runtime.engines.keras_graph import graph_of

    for task in (tiny.classifier_of(config), MaskedLMConfig("gelu_tanh")):
        names = ["token_ids", "padding_mask"] + ["segment_ids"] * (family == "ALBERT")
        names += ["mask_positions"] * isinstance(task, MaskedLMConfig)
        inputs = {name: token_batch[name] for name in names}
        weights = tiny.weights(config, task)
        expected = tiny.Reference(weights, config, task).logits(**inputs)
        graph = graph_of(config, task, "float32")
        found = backend.compiled(graph, "float32")(graph.on_device(weights), inputs)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_where_tensorflow_cannot_be_imported(bundle_of, opened, tmp_path):
    """All of the way from text to answer where every shape is compiled; what OpenVINO says is expected."""
    folders = [str(bundle_of(name, "keras").folder) for name in (CLASSIFIER, MASKED_LM)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_JAX, *folders, str(tmp_path / "found.npz")],
        input=json.dumps([TEXTS, MASKED]),
        capture_output=True,
        text=True,
        check=False,
        # What is compiled here runs once: compiling it well would be all the work.
        env={
            **{name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"},
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "jax []"
    found = np.load(tmp_path / "found.npz")
    expected = opened(CLASSIFIER).logits(TEXTS, 48).logits
    np.testing.assert_allclose(found["float32"], expected, atol=1e-5)
    np.testing.assert_allclose(found["bfloat16"], expected, atol=0.03)
    filled = opened(MASKED_LM).fill(MASKED, 16)
    scores = [[one.score for one in mask.filled] for text in filled for mask in text]
    np.testing.assert_allclose(found["fill"], scores, atol=1e-6)


def test_a_bundle_is_numbers_and_weights_the_same_each_time(fixtures, tmp_path, monkeypatch):
    """Made without Keras, of plain JSON and safetensors."""
    preset = Preset.open(fixtures / CLASSIFIER)
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setattr(keras_engine.ENGINE, "installed", lambda: True)
    first, again = (compile_bundle(preset, "keras", tmp_path / name) for name in ("first", "again"))
    assert first.hash == again.hash
    files = set(first.manifest.files)
    assert files == {keras_engine.NUMBERS, keras_engine.WEIGHTS, first.manifest.tokenizer["file"]}
    stored = sum(array.nbytes for array in preset.weights().values())
    assert 0 <= first.file(keras_engine.WEIGHTS).stat().st_size - stored < 20_000


def test_bundles_that_do_not_fit_are_refused(bundle_of, tmp_path):
    source = bundle_of(CLASSIFIER, "keras")
    numbers = json.loads(source.file(keras_engine.NUMBERS).read_text())
    wider = {**numbers["encoder"], "intermediate_dim": numbers["encoder"]["intermediate_dim"] + 1}
    cases = [
        (keras_engine.NUMBERS, json.dumps({**numbers, "encoder": wider}), WeightsError),
        (keras_engine.NUMBERS, json.dumps({**numbers, "encoder": {"width": 3}}), EngineError),
        (keras_engine.NUMBERS, "[1]", EngineError),
        (keras_engine.WEIGHTS, "no header", DamagedModelError),
    ]
    for number, (name, content, error) in enumerate(cases):
        folder = shutil.copytree(source.folder, tmp_path / str(number))
        (folder / name).write_text(content)
        with pytest.raises(error):
            open_model(Bundle.open(folder))


def test_few_shapes_whatever_comes():
    """Every row is computed once, and little beside it."""
    sizes = set()
    for rows in range(1, 2049):
        pieces = list(keras_engine._pieces(rows))
        assert [start for start, _, _ in pieces] == [0, *(stop for _, stop, _ in pieces[:-1])]
        assert pieces[-1][1] == rows
        computed = sum(size for _, _, size in pieces)
        assert computed - rows <= max(8, rows // 7)
        sizes |= {size for _, _, size in pieces}
    assert sizes == {2**power for power in range(12)}


def test_few_shapes_change_no_answer(bundle_of):
    """A runner that pads rows and masks answers as one that does not."""
    for name in (CLASSIFIER, MASKED_LM):
        runner = open_model(bundle_of(name, "keras"))._runner
        ids = np.arange(5, 5 + 21 * 6, dtype=np.int32).reshape(21, 6)
        inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
        if name == CLASSIFIER:
            inputs["segment_ids"] = np.zeros_like(ids)
        else:
            inputs["mask_positions"] = np.array([[20, 5], [0, 1], [7, 2]], np.int32)
        runner._few_shapes = False
        plain = runner.run(inputs)
        runner._few_shapes = True
        np.testing.assert_allclose(runner.run(inputs), plain, atol=1e-6)


@pytest.mark.parametrize(
    ("there", "named", "gpu", "expected"),
    [
        ({"tensorflow"}, None, False, ("tensorflow",)),
        ({"jax", "torch", "tensorflow"}, None, False, ("jax", "torch", "tensorflow")),
        # A JAX of CPUs leaves a GPU to those that use it.
        ({"jax", "torch"}, None, True, ("torch", "jax")),
        ({"jax", "jax_cuda12_plugin", "torch"}, None, True, ("jax", "torch")),
        ({"jax", "torch"}, "torch", False, ("torch",)),
        ({"jax"}, "torch", False, ()),
        (set(), None, False, ()),
    ],
)
def test_which_backend_is_taken(monkeypatch, there, named, gpu, expected):
    monkeypatch.setattr(keras_backends, "_is_there", lambda module: module in there)
    monkeypatch.setattr(keras_backends, "gpu_visible", lambda: gpu)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if named:
        monkeypatch.setenv("KERAS_BACKEND", named)
    assert installed_backends() == expected
    assert keras_engine.ENGINE.installed() == bool(expected)


def test_a_backend_that_runs_nothing_here_is_refused(monkeypatch):
    keras = types.SimpleNamespace(backend=types.SimpleNamespace(backend=lambda: "numpy"))
    monkeypatch.setitem(sys.modules, "keras", keras)
    with pytest.raises(EngineError, match=r"backend 'numpy'.*'jax', 'torch', 'tensorflow'"):
        opened_backend(None)
