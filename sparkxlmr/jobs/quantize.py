"""The command ``sparkxlmr quantize``: a preset with what int8 needs, its calibration and its compiled int8
bundle, made from texts that are like those it is meant for."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sparkxlmr.errors import NotAPresetError, OutputError, SettingError
from sparkxlmr.jobs import local_texts, outcome, table_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkxlmr.presets.open_model_folder import Model
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.runtime.bundle import Bundle

_CARD = "README.md"
#: Ranges hardly grow with more of the same kind.
DEFAULT_TEXTS = 1000


def quantize(model: Model, texts: Sequence[str], output: str | Path, max_length: int = 128) -> Bundle:
    """Make the folder `output` a preset that runs in int8 with fixed ranges; returns its int8 bundle.

    The folder holds the model's own files as they are, `calibration.safetensors`, and the bundle in
    `bundles/openvino-int8`. It is the model's own folder, which then gets the last two, or a new or empty
    one; it appears when it is complete.

    - `texts`: some hundred like those that the model is meant for; none is kept.
    - `max_length`: tokens of a text that are read, at most the model's.

    Raises NotAPresetError where the model is not a preset with a head and a tokenizer, OutputError where the
    folder holds something else or cannot be written, InputError where there is no text, and what calibrating
    and compiling raise.
    """
    from sparkxlmr.presets.files import partial_path
    from sparkxlmr.presets.preset import Preset

    if not isinstance(model, Preset) or model.task is None:
        raise NotAPresetError(
            f"{model.path} is {'a bare encoder' if isinstance(model, Preset) else 'a compiled model'}",
            "a preset or a checkpoint with a head: int8 needs its weights by name",
            "name another model",
        )
    folder = Path(output).absolute()
    if folder.resolve() == model.path.resolve():
        return _quantized(model, texts, max_length)
    _require_free(folder)
    partial = partial_path(folder.parent, "compiling")
    try:
        copied = _copied(model, partial)
        _quantized(copied, texts, max_length)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error}", "a folder with room", "choose another"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _bundle(Preset.open(folder))


def _require_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"{folder} exists already", "a new folder, or the model's own", "choose another folder"
        )


def _copied(model: Preset, folder: Path) -> Preset:
    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.presets.stored_model import files_of

    card = [(_CARD, model.path / _CARD)] if (model.path / _CARD).is_file() else []
    for name, file in (*files_of(model), *card):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
    return Preset.open(folder)


def _quantized(preset: Preset, texts: Sequence[str], max_length: int) -> Bundle:
    from sparkxlmr.runtime.calibrating import ENGINE, calibrate
    from sparkxlmr.runtime.compiler import compile_bundle, own_folder

    calibrate(preset, texts, max_length)
    return compile_bundle(preset, ENGINE, own_folder(preset, ENGINE, "int8"), "int8", "static")


def _bundle(preset: Preset) -> Bundle:
    from sparkxlmr.runtime.bundle import Bundle
    from sparkxlmr.runtime.calibrating import ENGINE
    from sparkxlmr.runtime.compiler import own_folder

    return Bundle.open(own_folder(preset, ENGINE, "int8"))


def evenly(texts: Sequence[str], number: int) -> list[str]:
    """So many of the texts, evenly spaced: a file may be sorted. All where there are no more.

    Raises SettingError where the number is below 1.

    >>> evenly(["a", "b", "c", "d", "e"], 2)
    ['a', 'c']
    """
    if number < 1:
        raise SettingError(f"--rows is {number}", "at least 1", "some hundred are enough")
    number = min(number, len(texts))
    return [texts[place * len(texts) // number] for place in range(number)]


# --- the command ---


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "model", metavar="MODEL", help="a preset's folder, a model that ships, or a handle (hf://org/name)"
    )
    local_texts.add_arguments(parser, f"take N of the texts, evenly spaced (default: {DEFAULT_TEXTS})")
    parser.set_defaults(rows=DEFAULT_TEXTS)
    parser.add_argument(
        "--output",
        required=True,
        metavar="FOLDER",
        help="a new folder, or the model's own, which is added to",
    )
    parser.add_argument(
        "--max-length", type=int, default=128, metavar="N", help="pieces of a text at most (default: 128)"
    )
    table_job.add_debug(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what the parsed arguments say, print what came of it; returns the exit code."""
    from sparkxlmr.presets.open_model_folder import open_model

    model = open_model(arguments.model)
    found = local_texts.read_texts(
        arguments.texts,
        arguments.text or ["text"],
        input_format=arguments.input_format,
        encoding=arguments.encoding,
    )
    texts = evenly(found.texts, arguments.rows)
    bundle = quantize(model, texts, arguments.output, arguments.max_length)
    size = sum(file.size for file in bundle.manifest.files.values())
    print(f"Calibrated on {len(texts):,} texts. In int8 the model has {size / 1e6:,.1f} MB.")
    print(f"Written to {arguments.output}. What int8 does to its answers: sparkxlmr measure")
    return outcome.DONE
