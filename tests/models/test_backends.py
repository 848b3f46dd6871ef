"""Another Keras backend, and no TensorFlow at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np


def test_jax_without_tensorflow(goldens):
    """The same answers on another backend, in a process where TensorFlow cannot be imported."""
    golden = goldens["keras_hub"]
    script = """
import json, sys
sys.modules["tensorflow"] = None
from sparkxlmr.models import TextClassifier
model = TextClassifier.from_preset(sys.argv[1])
texts = json.load(sys.stdin)
answer = model.predict(texts, verbose=0).tolist()
model.fit(texts[:2], [0, 1], batch_size=2, verbose=0)
print(json.dumps(answer))
"""
    texts = golden["texts"][:8]
    result = subprocess.run(
        [sys.executable, "-c", script, str(golden["folder"])],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    np.testing.assert_allclose(found, golden["logits"][:8], atol=1e-4)
