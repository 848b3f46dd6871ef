"""Whatever stands in a preset's JSON files: only errors of the package come out, and memory stays small."""

from __future__ import annotations

import itertools
import json
import resource
import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkxlmr.errors import SparkxlmrError
from sparkxlmr.presets.config import AlbertConfig, BackboneConfig, MaskedLMConfig, TextClassifierConfig
from sparkxlmr.presets.contents import Contents
from sparkxlmr.presets.hugging_face_export import export_checkpoint
from sparkxlmr.presets.preset import Preset
from sparkxlmr.presets.tables import entries
from sparkxlmr.presets.writer import write_preset

MODELS = {
    "xlm_roberta": (
        BackboneConfig(402, 2, 1, 2, 2, max_sequence_length=8),
        TextClassifierConfig(2, 2),
        "xlmr_tokenizer/sentencepiece.bpe.model",
    ),
    "albert": (
        AlbertConfig(400, 2, 1, 2, 2, max_sequence_length=8, embedding_dim=2, num_inner_repetitions=2),
        MaskedLMConfig("gelu_tanh", 1e-12),
        "albert_tokenizer/spiece.model",
    ),
}
KINDS = list(itertools.product(MODELS, ("hub", "hf")))


@pytest.fixture(scope="module")
def models(fixtures, tmp_path_factory):
    """Both families in both layouts, tiny, with two layers and a head: (family, layout) to a folder."""
    folders = {}
    for family, (config, task, vocabulary) in MODELS.items():
        contents = Contents(
            config=config,
            task=task,
            labels=["a", "b"] if isinstance(task, TextClassifierConfig) else None,
            weights={e.name: np.ones(e.shape, np.float32) for e in entries(config, task)},
            proto=(fixtures / "hugging_face" / vocabulary).read_bytes(),
            tokenizer_settings={}
            if family == "xlm_roberta"
            else {"do_lower_case": True, "keep_accents": False},
            sequence_length=8,
        )
        root = tmp_path_factory.mktemp(family)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that keras-hub would answer otherwise
            folders[family, "hub"] = write_preset(root / "hub", contents)
        folders[family, "hf"] = export_checkpoint(root / "hf", contents)
    return folders


def use(folder: Path) -> None:
    """All that a preset offers, so that whatever a file says is read."""
    preset = Preset.open(folder)
    assert sum(array.nbytes for array in preset.weights().values()) < 2**20
    preset.weights(head=False)
    preset.contents()
    if preset.has_tokenizer:
        preset.text_tokenizer().encode(["the sea <mask> [MASK]"], 8)


def jsons(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_models_work_as_they_are(models, kind):
    use(models[kind])
    assert len(jsons(models[kind])) >= 3


ODD = [
    None, True, -1, 0, 2.5, 1e308, float("nan"), 10**12, 10**30, "", "x", "../../x", [], {}, [[]], [{}],
    {"class_name": "x", "config": {}}, "albert", "xlm-roberta", "\ud800",
]  # fmt: skip


def odd_document(data: st.DataObject, document: Any) -> Any:
    """The document with one value, anywhere in it, replaced by an odd one, left out, or said twice."""
    holder: Any = {"": document}
    key: Any = ""
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.integers(0, 4)):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if holder[key] is document:
            break
    if data.draw(st.integers(0, 5)) or not key:
        holder[key] = data.draw(st.sampled_from(ODD))
    else:
        del holder[key]
    return document if key else holder[""]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@settings(deadline=None, derandomize=True, max_examples=50)
@given(data=st.data())
def test_mutated_jsons_raise_only_errors_of_the_package(models, kind, data):
    path = data.draw(st.sampled_from(jsons(models[kind])))
    whole = path.read_bytes()
    if data.draw(st.integers(0, 3)):
        spoilt = json.dumps(odd_document(data, json.loads(whole))).encode()
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        new = data.draw(st.binary(max_size=4))
        spoilt = whole[:at] + new + data.draw(st.sampled_from([whole[at + len(new) :], whole[at:], b""]))
    try:
        path.write_bytes(spoilt)
        use(models[kind])
    except SparkxlmrError:
        pass
    finally:
        path.write_bytes(whole)


PROGRAM = """
    import json, resource, sys
    from pathlib import Path
    from sparkxlmr.errors import SparkxlmrError
    from sparkxlmr.presets.preset import Preset

    LAYERS = {"num_layers", "num_groups", "num_inner_repetitions"}
    LAYERS |= {"num_hidden_layers", "num_hidden_groups", "inner_group_num"}

    def numbers(document):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            if isinstance(value, (dict, list)):
                yield from numbers(value)
            elif type(value) is int:
                yield document, key

    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
    refused = 0
    for file in [file for folder in sys.argv[2:] for file in sorted(Path(folder).glob("*.json"))]:
        whole = file.read_bytes()
        n = len(list(numbers(json.loads(whole))))
        for chosen in [*([i] for i in range(n)), range(n), LAYERS]:
            for large in (1_000, 10**9, 10**15):
                document = json.loads(whole)
                for i, (holder, key) in enumerate(numbers(document)):
                    if i in chosen or key in chosen:
                        holder[key] = large
                file.write_text(json.dumps(document))
                try:
                    Preset.open(file.parent).contents()
                except SparkxlmrError:
                    refused += 1
        file.write_bytes(whole)
    print(refused)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_large_numbers_ask_for_no_memory(models, tmp_path):
    """Each alone, all together, those of the layers together: 200 MB beyond the imports must suffice."""
    folders = [shutil.copytree(folder, tmp_path / "-".join(kind)) for kind, folder in models.items()]
    imports = "import h5py, sparkxlmr.presets.preset; print(open('/proc/self/statm').read())"
    done = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=True)
    limit = int(done.stdout.split()[0]) * resource.getpagesize() + 200_000_000
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(limit)]
    done = subprocess.run([*program, *map(str, folders)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
