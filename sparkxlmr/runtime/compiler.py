"""Preset to bundle: once for each engine, then found again."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from sparkxlmr.errors import NotAPresetError, OutputError, SparkxlmrError
from sparkxlmr.presets.config import TextClassifierConfig
from sparkxlmr.presets.disk import described
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.files import partial_path, to_disk
from sparkxlmr.presets.home import folder_in_home
from sparkxlmr.presets.locks import locked
from sparkxlmr.presets.open_model_folder import Model
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import (
    BUNDLES,
    DEFAULT_TEXT_LENGTH,
    MANIFEST,
    Bundle,
    BundleFile,
    Manifest,
    describe_file,
    describe_files,
)
from sparkxlmr.runtime.engine_choice import require_installed, require_readable
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.runtime.quantization import INT8, Form, form_of

#: Kinds of models that engines run.
TASKS = ("text_classifier", "masked_lm", Encoder.kind)
_VOCABULARY = "vocabulary.spm"
_log = logging.getLogger(__name__)


def compile_bundle(
    preset: Model, engine: str, folder: str | Path, precision: str = "float32", quantization: str = "auto"
) -> Bundle:
    """Compiles the preset, or the compiled model of another library, for the engine into `folder`, whole or
    not at all; a bundle there is replaced.

    A bundle has one of two forms: weights as floats, which runs in all precisions of the engine but int8, or
    weights as int8, which runs in that alone and is made as `quantization` says (see
    :mod:`~sparkxlmr.runtime.quantization`). The manifest's `precisions` tell them apart.

    In the preset's own `bundles/<engine>` (`bundles/<engine>-int8`) the bundle refers to the preset's
    vocabulary, elsewhere it holds a copy. Raises NotAPresetError where the preset has no head or no
    tokenizer, SettingError where the engine does not read what the model lies in or has no such precision,
    EngineError where the engine is not installed, OutputError where the folder cannot be written, and what
    reading the weights raises.
    """
    kind = preset.task_kind
    if kind not in TASKS:
        raise NotAPresetError(
            f"{preset.path} has {'no head' if kind is None else f'a head of kind {kind}'}",
            "the preset of a text classifier or of a masked language model",
            "train one first",
        )
    vocabulary = preset.text_tokenizer().proto  # what fits neither family nor weights is refused here
    require_readable(preset, engine)
    require_installed(engine)
    form = form_of(preset, engine, precision, quantization)
    folder = Path(folder).absolute()
    partial = partial_path(folder.parent, "compiling")
    try:
        partial.mkdir(parents=True)
        files = describe_files(partial, form.compile(preset, engine, partial))
        file = preset.vocabulary_path
        if folder == _own_folder(preset, engine, form) and file.read_bytes() == vocabulary:
            files[_VOCABULARY] = describe_file(file, Path(os.path.relpath(file, folder)).as_posix())
        else:
            (partial / _VOCABULARY).write_bytes(vocabulary)
            files[_VOCABULARY] = describe_file(partial / _VOCABULARY, _VOCABULARY)
        manifest = _manifest(preset, engine, form, files)
        (partial / MANIFEST).write_bytes(manifest.to_bytes())
        to_disk(partial)
        _replace(partial, folder)
    except SparkxlmrError:
        raise
    except OSError as error:
        raise OutputError(
            f"The bundle cannot be written to {folder}: {described(error, folder.parent)}",
            "a folder with room that this user may write to",
            "make room, or set SPARKXLMR_HOME to another folder",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Bundle.open(folder)


def bundle_for(preset: Model, engine: str, precision: str = "float32", quantization: str = "auto") -> Bundle:
    """The preset compiled for the engine, in the form that runs in `precision` (float32 and bfloat16 share
    one): the bundle that lies beside it, else one kept in the cache.

    The bundle beside the preset is taken only if it was compiled from exactly these weights, labels and
    vocabulary, by this or an earlier release. Else it is compiled once, under a lock, into
    `SPARKXLMR_HOME/bundles`, and again where that copy lost a file since. The files' hashes are not compared
    here: `host.verified_folder` does. Raises what `compile_bundle` raises, DamagedModelError where the bundle
    beside the preset is not whole, EnvironmentNotReadyError where the cache cannot be written.
    """
    form = form_of(preset, engine, precision, quantization)
    own = _own_bundle(preset, engine, form)
    if own is not None:
        own.check_sizes()
        return own
    cache = folder_in_home(BUNDLES)
    source = form.source(preset)
    folder = cache / f"{source[:32]}-{engine}{form.suffix}-{engine_named(engine).revision}"
    if (bundle := _cached(folder, source, preset)) is not None:
        return bundle
    with locked(folder.with_suffix(".lock")):
        if (bundle := _cached(folder, source, preset)) is not None:
            return bundle
        _log.info("Compiling %s for %s%s; this happens once.", preset.name, engine, form.suffix)
        return compile_bundle(preset, engine, folder, precision, quantization)


def _manifest(preset: Model, engine: str, form: Form, files: dict[str, BundleFile]) -> Manifest:
    return Manifest(
        engine=engine,
        revision=engine_named(engine).revision,
        precisions=form.precisions(engine),
        source=form.source(preset),
        files=files,
        **_of_preset(preset),
    )


def _of_preset(preset: Model) -> dict[str, Any]:
    """The fields of a manifest that come from the preset alone, whatever the engine."""
    assert preset.task_kind is not None
    tokenizer: dict[str, Any] = {"family": preset.family, "file": _VOCABULARY}
    if preset.tokenizer_settings:
        tokenizer["settings"] = dict(preset.tokenizer_settings)
    return {
        "family": preset.family,
        "task": preset.task_kind,
        "max_length": preset.max_length,
        "text_length": _text_length(preset),
        "activation": _stated_function(preset),
        "labels": tuple(preset.labels) if preset.task_kind == TextClassifierConfig.kind else (),
        "tokenizer": tokenizer,
    }


def _text_length(preset: Model) -> int | None:
    """The length at which the preset truncates texts, where that is below the stages' default."""
    length = preset.sequence_length if isinstance(preset, Preset) else DEFAULT_TEXT_LENGTH
    return length if length < min(DEFAULT_TEXT_LENGTH, preset.max_length) else None


def _stated_function(preset: Model) -> str | None:
    """The output function that the model states, None for the usual one of its number of classes."""
    task = preset.task if isinstance(preset, Preset) else None
    return task.stated_function if isinstance(task, TextClassifierConfig) else None


def _own_bundle(preset: Model, engine: str, form: Form) -> Bundle | None:
    """The bundle beside the preset, if it says the same as the preset and this release can read it."""
    folder = _own_folder(preset, engine, form)
    if not (folder / MANIFEST).is_file():
        return None
    try:
        manifest = (bundle := Bundle.open(folder)).manifest
    except NotAPresetError as error:
        _log.info("%s is of another release (%s); compiling anew.", folder, error)
        return None
    if manifest.task != preset.task_kind:
        return None  # of the whole model, and this is its encoder
    is_same = manifest.source == form.source(preset) and _same_answers(preset, manifest)
    if is_same and manifest.revision <= engine_named(engine).revision:
        return bundle
    _log.info("%s was not compiled by this release from what %s holds; compiling anew.", folder, preset.path)
    return None


def _cached(folder: Path, source: str, preset: Model) -> Bundle | None:
    bundle = Bundle.open_whole(folder)
    if bundle is None or bundle.manifest.source != source:
        return None
    if not _same_answers(preset, bundle.manifest):
        _log.warning("%s does not say what %s says; compiling anew.", folder / MANIFEST, preset.path)
        return None
    return bundle


def _same_answers(preset: Model, manifest: Manifest) -> bool:
    """Whether a manifest turns the engine's numbers into the preset's labels: an edited one does not, nor one
    of a release that read the preset otherwise."""
    own = _of_preset(preset)
    return all(getattr(manifest, name) == value for name, value in own.items() if name != "tokenizer") and {
        **manifest.tokenizer,
        "file": _VOCABULARY,
    } == own["tokenizer"]


def own_folder(preset: Model, engine: str, precision: str = "float32") -> Path:
    """Where the bundle that a preset brings along lies, in the form for a precision, if it brings one."""
    return _own_folder(preset, engine, Form(int8=precision == INT8))


def _own_folder(preset: Model, engine: str, form: Form) -> Path:
    return Path(preset.path).absolute() / BUNDLES / f"{engine}{form.suffix}"


def _replace(partial: Path, folder: Path) -> None:
    """Puts the new folder in place of an old one; a reader sees one or the other, or for a moment none."""
    old = partial_path(folder.parent, "old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
