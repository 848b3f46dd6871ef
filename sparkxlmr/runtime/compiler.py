"""Preset to bundle: once for each engine, then found again."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from pathlib import Path

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.home import home
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import BUNDLES, MANIFEST, Bundle, Manifest, describe_file, describe_files
from sparkxlmr.runtime.engine_choice import require_installed
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.runtime.locks import locked

TEXT_CLASSIFIER = "text_classifier"
_VOCABULARY = "vocabulary.spm"
_log = logging.getLogger(__name__)


def compile_bundle(preset: Preset, engine: str, folder: str | Path) -> Bundle:
    """Compiles the preset for the engine into `folder`, whole or not at all; a bundle there is replaced.

    In the preset's own `bundles/<engine>` the bundle refers to the preset's vocabulary, elsewhere it holds a
    copy. Raises NotAPresetError where the preset has no classifier head, EngineError where the engine is not
    installed, and what reading the weights raises.
    """
    if preset.task is None or preset.task.kind != TEXT_CLASSIFIER:
        raise NotAPresetError(
            f"{preset.path} has no classifier head", "the preset of a text classifier", "train one first"
        )
    require_installed(engine)
    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".compiling-{uuid.uuid4().hex}"
    partial.mkdir()
    try:
        files = describe_files(partial, engine_named(engine).compile(preset, partial))
        if folder == _own_folder(preset, engine):
            shared = Path(os.path.relpath(preset.vocabulary_path, folder)).as_posix()
            files[_VOCABULARY] = describe_file(preset.vocabulary_path, shared)
        else:
            shutil.copyfile(preset.vocabulary_path, partial / _VOCABULARY)
            files[_VOCABULARY] = describe_file(partial / _VOCABULARY, _VOCABULARY)
        manifest = Manifest(
            family=preset.config.family,
            task=preset.task.kind,
            engine=engine,
            revision=engine_named(engine).revision,
            precisions=engine_named(engine).precisions,
            max_length=preset.config.max_sequence_length,
            activation=preset.task.activation,
            labels=tuple(preset.labels),
            tokenizer={"family": preset.config.family, "file": _VOCABULARY},
            source=preset.content_hash,
            files=files,
        )
        (partial / MANIFEST).write_bytes(manifest.to_bytes())
        _replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Bundle.open(folder)


def bundle_for(preset: Preset, engine: str) -> Bundle:
    """The preset compiled for the engine: the bundle that lies beside it, else one kept in the cache.

    The bundle beside the preset is taken only if it was compiled from exactly these weights, labels and
    vocabulary. Else it is compiled once, under a lock, into `SPARKXLMR_HOME/bundles`. The files' hashes are
    not compared here: `host.verified_folder` does. Raises what `compile_bundle` raises, DamagedModelError
    where the bundle beside the preset is not whole.
    """
    revision = engine_named(engine).revision
    own = _own_folder(preset, engine)
    if (own / MANIFEST).is_file():
        bundle = Bundle.open(own)
        if bundle.manifest.source == preset.content_hash and bundle.manifest.revision <= revision:
            bundle.check_sizes()
            return bundle
        _log.info("%s was compiled from other weights than %s holds; compiling anew.", own, preset.path)
    cache = home() / BUNDLES
    folder = cache / f"{preset.content_hash[:32]}-{engine}-{revision}"
    if (folder / MANIFEST).is_file():
        return Bundle.open(folder)
    cache.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if (folder / MANIFEST).is_file():
            return Bundle.open(folder)
        _log.info("Compiling %s for %s; this happens once.", preset.name, engine)
        return compile_bundle(preset, engine, folder)


def _own_folder(preset: Preset, engine: str) -> Path:
    return Path(preset.path).absolute() / BUNDLES / engine


def _replace(partial: Path, folder: Path) -> None:
    """Puts the new folder in place of an old one; a reader sees one or the other, or for a moment none."""
    old = folder.parent / f".old-{uuid.uuid4().hex}"
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
