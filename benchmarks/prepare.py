"""What a run needs before anything is timed: models, texts, environments."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import random_models
from contest import Job, python_of
from measuring import BUILD
from texts import Texts, benchmark_texts, of_words

from sparkxlmr.presets.preset import Preset
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

MODELS = random_models.MODELS
#: the preset with its calibration, beside the plain one
QUANTIZED = "quantized"
#: words of a text for a token: those of the tests' vocabulary are short
_WORDS_A_TOKEN = 0.75
_MOST_TOKENS, _LONGEST = 128, 512
# Texts to calibrate with, behind those that are timed.
_CALIBRATION = (1000, 1200)


def everything(models: Path, programs: Sequence[str], static: bool) -> list[str]:
    """Makes what is not there yet: minutes and gigabytes the first time, nothing later.

    - `static`: whether static int8 is measured, whose model is calibrated first.

    Returns those of the programs whose environment cannot be made here; why is told as it happens.
    """
    random_models.make(models)
    if static:
        quantized(models)
    missing = []
    for program in programs:
        try:
            python_of(program)
        except SystemExit as error:
            print(f"{program}: {error}", file=sys.stderr, flush=True)
            missing.append(program)
    return missing


def quantized(models: Path) -> None:
    """The classifier's preset with ranges for static int8, by this package's own command."""
    folder = models / "classify" / QUANTIZED
    if (folder / "config.json").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    first, last = _CALIBRATION
    found = benchmark_texts(last)
    some = Texts(found.source, found.texts[first:], found.labels[first:])
    file = some.write(BUILD / "calibration.jsonl")
    preset = models / "classify" / "preset"
    command = [sys.executable, "-m", "sparkxlmr", "quantize", preset, file, "--output", folder]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def job(models: Path, cores: int, rows: int, task: str = "classify") -> Job:
    """The benchmark's texts, cut off at 128 tokens."""
    texts = benchmark_texts(rows, masks=task == "fill-mask")
    return _job(models, cores, texts, f"{task}-{rows}", task, _MOST_TOKENS)


def job_of_length(models: Path, cores: int, length: int, tokens: int = 4096) -> Job:
    """Texts of about `length` tokens each, so many that all together have about `tokens`."""
    texts = of_words(max(cores * 4, tokens // length), max(2, round(length * _WORDS_A_TOKEN)))
    return _job(models, cores, texts, f"length-{length}", "classify", min(length, _LONGEST))


def _job(models: Path, cores: int, texts: Texts, name: str, task: str, most_tokens: int) -> Job:
    file = texts.write(BUILD / "texts" / f"{name}.jsonl")
    encoded = _tokenizer(models / task / "preset").encode(texts.texts, most_tokens)
    return Job(models, file, texts.source, [len(ids) for ids in encoded.ids], cores, task, most_tokens)


@cache
def _tokenizer(preset: Path) -> SentencePieceTokenizer:
    return Preset.open(preset).text_tokenizer()
