"""Another Keras backend, and no TensorFlow at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np

SCRIPT = """
import json, pathlib, sys
sys.modules["tensorflow"] = None
import keras
import numpy as np
from sparkxlmr.models import Task
from sparkxlmr.models.weights import state_of

from sparkxlmr.errors import InputError

def check_inputs(model, texts):
    # What this backend would compute without an error, and batches of texts from Python.
    x = model.preprocessor(texts)
    swapped = {"ids": x["token_ids"], "mask": x["padding_mask"]}
    good = [i % 2 for i in range(len(texts))]
    def broken():
        yield texts, good  # Keras reads two batches ahead
        yield texts, good
        yield texts, [*good[:-1], 99]
    before = state_of(model)
    for call in (
        lambda: model.predict(swapped, verbose=0),
        lambda: model.predict({**x, "token_ids": x["token_ids"] - 2}, verbose=0),
        lambda: model.predict({**x, "token_ids": x["token_ids"] + 10**6}, verbose=0),
        lambda: model({**x, "token_ids": -x["token_ids"]}),
        lambda: model.fit(texts, [*good[:-1], 99], verbose=0),
        lambda: model.fit(x, np.array([*good[:-1], -1]), verbose=0),
        lambda: model.fit((batch for batch in [(texts, [0.5] * len(texts))]), verbose=0),
        lambda: model.fit([], [], verbose=0),
        lambda: model.evaluate([], [], verbose=0),
        lambda: model.predict(None),
    ):
        try:
            raise SystemExit(f"no error: {call()}")
        except InputError:
            pass
    assert all((array == before[name]).all() for name, array in state_of(model).items())
    more = {"aaa": np.zeros((len(texts), 3)), **x}
    np.testing.assert_allclose(model.predict(more, verbose=0), model.predict(texts, verbose=0), atol=1e-4)
    try:
        raise SystemExit(f"no error: {model.fit(broken(), verbose=0)}")
    except InputError as error:
        assert "is 99" in str(error)
    trained = state_of(model)  # by the first batch
    assert all(np.isfinite(array).all() for array in trained.values())
    assert any((array != before[name]).any() for name, array in trained.items())
    class Batches(keras.utils.PyDataset):
        def __len__(self): return 2
        def __getitem__(self, index): return np.array(texts), np.array(good)[:, None]
    whole, column = model.evaluate(texts, good, verbose=0), model.evaluate(Batches(), verbose=0)
    np.testing.assert_allclose(column, whole, rtol=1e-4)
    np.testing.assert_allclose(model.evaluate(iter([(texts, good)]), verbose=0), whole, rtol=1e-4)
    twice = model.predict(Batches(), verbose=0)
    np.testing.assert_allclose(twice, np.tile(model.predict(texts, verbose=0), (2, 1)), atol=1e-4)
    batches = Batches()
    history = model.fit(batches, validation_data=(batches[i] for i in range(2)), verbose=0).history
    np.testing.assert_allclose(history["val_loss"][0], model.evaluate(batches, verbose=0)[0], rtol=1e-4)

fixtures, folder = map(pathlib.Path, sys.argv[1:])
answers = {}
for name, texts in json.load(sys.stdin).items():
    model = Task.from_preset(fixtures / name)
    masked = model.kind == "masked_lm"
    if masked:
        answers[name] = [[[one.token_id, one.score] for one in best]
                         for masks in model.fill_mask(texts) for best in masks]
    else:
        answers[name] = model.predict(texts, verbose=0).tolist()
        assert len(model.predict_labels(texts, top_k=2)) == len(texts)
        check_inputs(model, texts)
    labels = () if masked else ([i % 2 for i in range(len(texts))],)
    history = model.fit(texts, *labels, batch_size=len(texts), verbose=0).history
    assert np.isfinite(history["loss"][0])
    if masked:
        assert model.evaluate(texts, verbose=0) == model.evaluate(texts, verbose=0)
    model.save_to_preset(folder / "preset")
    model.save(folder / "model.keras")
    trained = state_of(model)
    for other in (Task.from_preset(folder / "preset"), keras.saving.load_model(folder / "model.keras")):
        assert all((array == trained[part]).all() for part, array in state_of(other).items())
print(json.dumps(answers))
"""


def test_jax_without_tensorflow(fixtures, tmp_path):
    """The same answers on another backend, in a process where TensorFlow cannot be imported."""
    n = 4
    classifiers = {
        name: json.loads((fixtures / name / "expected.json").read_text("utf-8"))
        for name in ("keras_hub/xlmr_text_classifier",)  # ALBERT below
    }
    masked_lm = "hugging_face/albert_masked_lm"
    expected = json.loads((fixtures / masked_lm / "expected.json").read_text("utf-8"))[:n]
    texts = {name: golden["texts"][:n] for name, golden in classifiers.items()}
    texts[masked_lm] = [row["text"] for row in expected]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(fixtures), str(tmp_path)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        # What is compiled here runs once: compiling it well would be all the work.
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    for name, golden in classifiers.items():
        np.testing.assert_allclose(found[name], golden["logits"][:n], atol=1e-4)
    wanted = [scores for row in expected for scores in row["prob5"]]
    np.testing.assert_allclose([[score for _, score in best] for best in found[masked_lm]], wanted, atol=1e-5)
    assert [best[0][0] for best in found[masked_lm]] == [ids[0] for row in expected for ids in row["top5"]]
