"""What transformers 4.57 and 5 answered to exported checkpoints, recorded by ``make test-peers``."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from sparkxlmr.presets.preset import Preset

OURS = runpy.run_path(str(Path(__file__).resolve().parents[1] / "peers" / "ours.py"))
RECORDED = {path.stem: path for path in sorted(OURS["RECORDED"].glob("*.json"))}


def test_every_golden_was_asked():
    assert {name for name in OURS["sources"]() if not name.startswith("built_in.")} <= RECORDED.keys()


@pytest.mark.parametrize("name", RECORDED)
def test_transformers_answered_the_same(name, tmp_path):
    if name not in OURS["sources"]():
        pytest.skip("this built-in preset is not in the checkout")
    recorded = json.loads(RECORDED[name].read_text("utf-8"))
    files = OURS["export"](name, tmp_path)
    assert files == recorded["files"], "another export than transformers was asked about: make test-peers"
    preset = Preset.open(tmp_path)
    rows = OURS["inputs_of"](preset)
    answers = OURS["answers_of"](name, [rows[0], rows[-1]])
    assert OURS["texts_of"](preset) == recorded["texts"]
    for major in ("4", "5"):
        theirs = recorded[f"transformers{major}"]
        assert theirs["transformers"].split(".")[0] == major
        assert [row["ids"] for row in rows] == [told["ids"] for told in theirs["rows"]]
        for answer, told in zip(answers, (theirs["rows"][0], theirs["rows"][-1]), strict=True):
            np.testing.assert_allclose(answer[told["of"]], told["logits"], rtol=1e-6, atol=1e-5)
