"""Fixtures that all tests share."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent / "fixtures"

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
# Answers are held to recorded ones closely, whatever this machine's CPU; tests of "auto" itself unset it.
os.environ["SPARKXLMR_PRECISION"] = "float32"
# Keras has one backend a process: the engine that would choose JAX must not do so for all tests.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# Before Spark's JVM starts, because its Python workers inherit them: nothing is written to the user's own
# folders, and each worker leaves a trace of what it loads and scores.
_SCRATCH = Path(tempfile.mkdtemp(prefix="sparkxlmr-tests-"))
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
for _name, _folder in (
    ("SPARKXLMR_HOME", "home"),
    ("SPARKXLMR_HOST_FOLDER", "host"),
    ("SPARKXLMR_TRACE", "trace"),
):
    (_SCRATCH / _folder).mkdir(mode=0o700)
    os.environ[_name] = str(_SCRATCH / _folder)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return FIXTURES


@pytest.fixture(scope="session")
def spark_nlp():
    """Reads what Spark NLP 5.5.3 answered: ``spark_nlp("tokenizer")`` is that fixture file, parsed."""

    @cache
    def recorded(name: str) -> Any:
        plain = FIXTURES / "spark_nlp" / f"{name}.json"
        if plain.exists():
            return json.loads(plain.read_text(encoding="utf-8"))
        return json.loads(gzip.decompress(plain.with_suffix(".json.gz").read_bytes()))

    return recorded


# Settings under which some recorded offsets do not cut out their own result, with the row of the list of
# differences that tells of them.
MISPLACED = {
    **dict.fromkeys(
        [("tokenizer", s) for s in ("split_chars", "split_chars_two", "target_letters", "target_word")],
        ("`Tokenizer`", "offsets of `splitChars` and `targetPattern` tokens sometimes do not cut out"),
    ),
    ("sentence_detector", "split_length"): (
        "`SentenceDetector`",
        "with `splitLength`, a first word beyond it moves the offsets",
    ),
}


@pytest.fixture(scope="session")
def held_to_record(spark_nlp, differences):
    """``held_to_record(file, setting, key, found)``: whether what was found in each recorded text, rows of
    [begin, end, result, metadata], is what Spark NLP found there.

    Of a recorded row whose offsets do not cut out its own result only the offsets may differ, and only where
    the list of differences says so; what was found must cut itself out of the text in any case.
    """

    def check(file: str, setting: str, key: str, found: list[Any]) -> None:
        recorded = spark_nlp(file)
        expected = recorded["expected"][setting][key] if "expected" in recorded else recorded[key]
        misplaced = 0
        for number, (text, rows, ours) in enumerate(zip(recorded["texts"], expected, found, strict=True)):
            assert [row[2:] for row in ours] == [row[2:] for row in rows], (file, setting, number)
            for row, own in zip(rows, ours, strict=True):
                assert text[own[0] : own[1] + 1] == own[2], (file, setting, number)
                if text[row[0] : row[1] + 1] == row[2]:
                    assert own[:2] == row[:2], (file, setting, number)
                else:
                    misplaced += 1
        assert (misplaced > 0) == ((file, setting) in MISPLACED), (file, setting)
        if misplaced:
            differences(*MISPLACED[file, setting])

    return check


@pytest.fixture(scope="session")
def differences():
    """``differences(where, begins)``: that exactly one row of docs/spark_nlp_differences.md tells that Spark
    NLP does so; the test that calls it differs from the record for that row's reason."""
    page = Path(__file__).parent.parent / "docs" / "spark_nlp_differences.md"
    rows = [
        [cell.strip() for cell in line.strip("| \n").split(" | ")]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]

    def on_the_list(where: str, begins: str) -> None:
        found = [row for row in rows if row[0] == where and row[1].startswith(begins)]
        assert len(found) == 1, f"{page.name} has {len(found)} rows for {where}: {begins}..."

    return on_the_list


@pytest.fixture(scope="session")
def tiny_preset(fixtures, tmp_path_factory) -> Path:
    """A preset folder of a tiny XLM-R classifier with four labels; it answers as Hugging Face's."""
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.presets.writer import write_preset

    source = Preset.open(fixtures / "hugging_face" / "xlmr_sequence_classification")
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    return write_preset(folder, source.contents())


@pytest.fixture(scope="session")
def changed_checkpoint(fixtures, tmp_path_factory):
    """``changed_checkpoint(name, weights, **config)``: a copy of a fixture's Hugging Face checkpoint, with
    ``config`` put into its config.json and its weights as the function ``weights`` returns them."""
    from safetensors.numpy import load_file, save_file

    def changed(name: str, weights: Any = None, **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("changed") / name
        shutil.copytree(fixtures / "hugging_face" / name, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**described, **config}), encoding="utf-8")
        if weights is not None:
            file = folder / "model.safetensors"
            save_file(weights(load_file(file)), file, metadata={"format": "pt"})
        return folder

    return changed


@pytest.fixture(scope="session")
def one_logit_checkpoint(changed_checkpoint):
    """``one_logit_checkpoint(**config)``: the XLM-R classifier with its first logit alone."""

    def first_logit(weights: dict[str, Any]) -> dict[str, Any]:
        head = {name: weights[name][:1].copy() for name in weights if name.startswith("classifier.out_proj")}
        return {**weights, **head}

    def made(**config: Any) -> Path:
        labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
        return changed_checkpoint("xlmr_sequence_classification", first_logit, **{**labels, **config})

    return made


@pytest.fixture(scope="session")
def spark():
    """One local[2] session for all tests that need no cluster."""
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .appName("sparkxlmr-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
