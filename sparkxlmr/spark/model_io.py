"""A stage that carries a model: its preset is saved beside its Params and loaded again through Spark's own
file systems, so hdfs, viewfs, s3a, abfss or a Volume work like a local folder.

Layout of a saved stage: `metadata/` (Spark's own, with an entry `model`: name, content hash, files, each with
its size and sha256) and `model/`, Parquet files of rows (file, part, data), where `data` is at most
:data:`CHUNK` bytes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from pyspark.errors import AnalysisException
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SettingError
from sparkxlmr.presets.files import sha256_of
from sparkxlmr.presets.home import home
from sparkxlmr.presets.locks import locked
from sparkxlmr.presets.preset import KERAS_HUB, Preset
from sparkxlmr.spark.compat import metadata_session

#: Bytes of a row, and of the rows written or read in one go: the driver never holds more than one group.
CHUNK = 8 << 20
GROUP = 64 << 20
FORMAT = 1
SCHEMA = "file string, part int, data binary"
#: Files that the answers do not depend on, and that opening a preset does.
BESIDE = ("metadata.json", "tokenizer.json")


class ModelWriter(MLWriter):
    """Writes a stage's Params as Spark does, and its model as rows of bytes."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write to `path`, any URI of this session. SettingError where the stage has no model."""
        preset: Preset = self.instance.model
        model = describe(preset)
        DefaultParamsWriter.saveMetadata(
            self.instance, path, metadata_session(self), extraMetadata={"model": model}
        )
        write_files(self.sparkSession, _files(preset), f"{path.rstrip('/')}/model")


class ModelReader(MLReader[Any]):
    """Reads what :class:`ModelWriter` wrote; the model comes to lie in `SPARKXLMR_HOME/models/<hash>`."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """The stage of `path`. Raises DamagedModelError where its model is not what was saved."""
        session = metadata_session(self)
        name = f"{self.cls.__module__}.{self.cls.__name__}"
        metadata = DefaultParamsReader.loadMetadata(path, session, name)
        stage = self.cls()
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        return stage.withModel(read_preset(self.sparkSession, path, metadata))


def describe(preset: Preset) -> dict[str, Any]:
    """The entry `model` of a saved stage's metadata."""
    files = {name: {"size": file.stat().st_size, "sha256": sha256_of(file)} for name, file in _files(preset)}
    return {"format": FORMAT, "name": preset.name, "hash": preset.content_hash, "files": files}


def write_files(spark: SparkSession, files: Iterator[tuple[str, Path]], path: str) -> None:
    """Write files (name, place) as rows into a new Parquet folder, a bounded group of rows at a time."""
    mode = "error"
    for rows in _groups(files):
        spark.createDataFrame(rows, SCHEMA).coalesce(1).write.mode(mode).parquet(path)
        mode = "append"


def read_preset(spark: SparkSession, path: str, metadata: dict[str, Any]) -> Preset:
    """The preset of a saved stage as a verified folder of this machine; read where it is not there whole.

    Raises NotAPresetError where the metadata describe no model, DamagedModelError where its bytes are not
    those that were saved.
    """
    model = metadata.get("model")
    if not _is_described(model):
        raise NotAPresetError(
            f"The saved stage {path} holds no model that this release reads",
            f"an entry 'model' of format {FORMAT} in its metadata, with name, hash and files",
            "load it with the release that wrote it, or save it again",
        )
    place = home() / "models" / model["hash"]
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_suffix(".lock")):
        if not _is_intact(place, model):
            _fetch(spark, path, model, place)
    return replace(Preset.open(place), name=model["name"])


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
            isinstance(file, dict) and type(file.get("size")) is int and _is_sha256(file.get("sha256"))
            for file in files.values()
        )
    )


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _fetch(spark: SparkSession, path: str, model: dict[str, Any], place: Path) -> None:
    """Put the model of a saved stage into the folder `place`, whole or not at all."""
    fresh = Path(tempfile.mkdtemp(prefix=".loading-", dir=place.parent))
    try:
        sizes = {name: file["size"] for name, file in model["files"].items()}
        read_files(spark, f"{path.rstrip('/')}/model", fresh, sizes)
        if not _is_intact(fresh, model):
            raise DamagedModelError(
                f"The model in {path} is not what was saved",
                f"files with the content hash {model['hash']}",
                "save the stage again, or restore the folder from a copy",
            )
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_files(spark: SparkSession, path: str, folder: Path, sizes: dict[str, int]) -> None:
    """Put the files of a Parquet folder of :func:`write_files` into `folder`.

    Raises DamagedModelError where a file is missing, cut short or called something that leaves the folder.
    """
    targets = {name: folder / _inside(name) for name in sizes}
    try:
        rows = spark.read.schema(SCHEMA).parquet(path)
    except AnalysisException as error:
        message = f"The model's bytes cannot be read from {path} ({str(error).splitlines()[0]})"
        raise DamagedModelError(
            message, "the Parquet files of a saved stage", "save the stage again"
        ) from error
    for name, size in sizes.items():
        target = targets[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        per_read = GROUP // CHUNK
        with target.open("wb") as out:
            for first in range(0, -(-size // CHUNK), per_read):
                wanted = (F.col("file") == name) & F.col("part").between(first, first + per_read - 1)
                for row in sorted(rows.where(wanted).collect(), key=lambda row: row["part"]):
                    out.write(row["data"])
            written = out.tell()
        if written != size:
            raise DamagedModelError(
                f"{name} in {path} has {written} bytes", f"{size} bytes", "save the stage again"
            )


def _files(preset: Preset) -> Iterator[tuple[str, Path]]:
    """What of a preset folder is the model; bundles are made from it again, cards and scripts not needed."""
    beside = [preset.path / name for name in BESIDE] if preset.layout == KERAS_HUB else []
    for file in sorted({*preset.files(), *(file for file in beside if file.is_file())}):
        yield file.relative_to(preset.path).as_posix(), file


def _groups(files: Iterator[tuple[str, Path]]) -> Iterator[list[tuple[str, int, bytearray]]]:
    rows: list[tuple[str, int, bytearray]] = []
    held = 0
    for name, place in files:
        with place.open("rb") as file:
            for part, data in enumerate(iter(lambda file=file: file.read(CHUNK), b"")):  # type: ignore[misc]
                rows.append((name, part, bytearray(data)))
                held += len(data)
                if held >= GROUP:
                    yield rows
                    rows, held = [], 0
    if rows:
        yield rows


def _inside(name: str) -> PurePosixPath:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise DamagedModelError(
            f"A saved stage names the file {name!r}", "a path inside its folder", "discard it"
        )
    return place


def _is_intact(folder: Path, model: dict[str, Any]) -> bool:
    """Whether the folder holds the preset of this hash and every file as it was saved; each byte is read."""
    try:
        for name, file in model["files"].items():
            if sha256_of(folder / _inside(name)) != file["sha256"]:
                return False
        return Preset.open(folder).content_hash == model["hash"]
    except (NotAPresetError, DamagedModelError, OSError):
        return False


class ModelStage:
    """Mixin: the stage carries a model, which is no Param; `copy` keeps it, saving stores it.

    `model` is a :class:`Preset`: a folder, its labels and its content hash, a few hundred bytes in memory.
    """

    _model: Preset | None = None

    @property
    def model(self) -> Preset:
        """The preset that this stage runs. SettingError where none was given."""
        if self._model is None:
            name = type(self).__name__
            raise SettingError(
                f"{name} has no model", "one that was pretrained or saved", f"begin with {name}.pretrained()"
            )
        return self._model

    def withModel(self, model: Preset) -> Any:
        """Give this stage its model; returns the stage."""
        self._model = model
        return self

    def write(self) -> ModelWriter:
        """Spark's writer of this stage, its model included."""
        return ModelWriter(self)

    @classmethod
    def read(cls) -> ModelReader:
        """Spark's reader of saved stages of this class."""
        return ModelReader(cls)
