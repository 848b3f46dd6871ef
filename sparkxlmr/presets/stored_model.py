"""The model that a saved stage carries: how its metadata describe it, and where it comes to lie.

Metadata hold an entry `model`: name, content hash, and files, each with its size and sha256. The bytes lie
beside, as rows (file, part, data), where `data` is at most :data:`CHUNK` bytes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets import builtin, hugging_face_tokenizer
from sparkxlmr.presets.calibration import CALIBRATION
from sparkxlmr.presets.disk import writing_below
from sparkxlmr.presets.files import sha256_of
from sparkxlmr.presets.home import HOME, home
from sparkxlmr.presets.locks import locked
from sparkxlmr.presets.measured import MEASURED
from sparkxlmr.presets.open_model_folder import Model, open_folder
from sparkxlmr.presets.preset import KERAS_HUB, Preset

FORMAT = 1
#: Bytes of a row.
CHUNK = 8 << 20
# Of a file: no model has a larger one, and what is looked for in a folder grows with it.
_MOST_BYTES = 1 << 40
#: Files that the answers do not depend on, and that opening a preset does.
BESIDE = ("metadata.json", "tokenizer.json")
#: What was found out about a model, whatever its layout: how it is quantised, and what that does to it.
FOUND_OUT: tuple[str, ...] = (CALIBRATION, MEASURED)

#: writes the files of these names and sizes into a folder
Fetch = Callable[[Path, dict[str, int]], None]


def describe(model: Model) -> dict[str, Any]:
    """The entry `model` of a saved stage's metadata."""
    files = {name: {"size": file.stat().st_size, "sha256": sha256_of(file)} for name, file in files_of(model)}
    return {"format": FORMAT, "name": model.name, "hash": model.content_hash, "files": files}


def files_of(model: Model) -> Iterator[tuple[str, Path]]:
    """What of a folder is the model; bundles are made from it again, cards and scripts not needed."""
    names = FOUND_OUT
    if isinstance(model, Preset):
        # The settings of a checkpoint's tokenizer are part of the content hash, and come from these files.
        names += BESIDE if model.layout == KERAS_HUB else hugging_face_tokenizer.FILES
    beside = [model.path / name for name in names]
    for file in sorted({*model.files(), *(file for file in beside if file.is_file())}):
        yield file.relative_to(model.path).as_posix(), file


def kept(model: Any, source: str, fetch: Fetch) -> Model:
    """The model that `model`, an entry of metadata, describes, as a verified folder of this machine.

    A built-in preset is taken as it is installed. Another lies in `SPARKXLMR_HOME/models/<hash>`; where it is
    not there whole, `fetch` is called, under a lock.

    Args:
        model: what stands in the metadata, whoever wrote them.
        source: where it was saved, for messages.

    Raises:
        NotAPresetError: it describes no model, or one that this release refuses to open.
        DamagedModelError: what was fetched is not what was saved.
    """
    if not _is_described(model):
        raise NotAPresetError(
            f"The saved stage {source} holds no model that this release reads",
            f"an entry 'model' of format {FORMAT} in its metadata, with name, hash and files",
            "load it with the release that wrote it, or save it again",
        )
    if model["name"] in builtin.names():
        shipped = Preset.open(model["name"])
        if shipped.content_hash == model["hash"]:
            return shipped
    place = home() / "models" / model["hash"]
    with locked(place.with_suffix(".lock")):
        if not _is_intact(place, model):
            with writing_below(place.parent, HOME):
                _put(model, place, source, fetch)
    return replace(open_folder(place), name=model["name"])


def inside(name: str) -> PurePosixPath:
    """The name of a file as a path that stays in its folder. Raises DamagedModelError for another."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise DamagedModelError(
            f"A saved stage names the file {name!r}", "a path inside its folder", "discard it"
        )
    return place


def _put(model: dict[str, Any], place: Path, source: str, fetch: Fetch) -> None:
    """Put the model of a saved stage into the folder `place`, whole or not at all."""
    fresh = Path(tempfile.mkdtemp(prefix=".loading-", dir=place.parent))
    try:
        fetch(fresh, {name: file["size"] for name, file in model["files"].items()})
        try:
            is_what_was_saved = _matches(fresh, model)
        except NotAPresetError as error:
            # The temporary folder of the message is removed below.
            came, remedy = (text.replace(str(fresh), source) for text in (error.came, error.remedy))
            raise NotAPresetError(came, error.expected, remedy) from error
        if not is_what_was_saved:
            raise DamagedModelError(
                f"The model in {source} is not what was saved",
                f"files with the content hash {model['hash']}",
                "save the stage again, or restore the folder from a copy",
            )
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _is_described(model: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a metadata entry, which anyone may have written, is one of :func:`describe`."""
    if not isinstance(model, dict) or model.get("format") != FORMAT:
        return False
    files = model.get("files")
    return (
        isinstance(model.get("name"), str)
        and _is_sha256(model.get("hash"))  # it becomes the name of a folder
        and isinstance(files, dict)
        and all(
            isinstance(file, dict) and _is_size(file.get("size")) and _is_sha256(file.get("sha256"))
            for file in files.values()
        )
    )


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST_BYTES


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_intact(folder: Path, model: dict[str, Any]) -> bool:
    """Whether the folder holds the model of this hash and every file as it was saved; each byte is read."""
    try:
        return _matches(folder, model)
    except NotAPresetError:
        return False


def _matches(folder: Path, model: dict[str, Any]) -> bool:
    """As :func:`_is_intact`. Raises NotAPresetError where every file is as it was saved, and is refused."""
    try:
        for name, file in model["files"].items():
            if sha256_of(folder / inside(name)) != file["sha256"]:
                return False
        opened = open_folder(folder)
    except (DamagedModelError, OSError):
        return False
    return opened.content_hash == model["hash"] or _has_earlier_hash(opened, model)


def _has_earlier_hash(opened: Model, model: dict[str, Any]) -> bool:
    """Whether an earlier release, whose content hash left out some settings, saved exactly these files.

    A file that it did not save could hold settings that this hash says nothing about.
    """
    if not isinstance(opened, Preset) or opened.files_hash != model["hash"]:
        return False
    return {name for name, _ in files_of(opened)} - set(FOUND_OUT) <= model["files"].keys()
