"""A stage that carries a model, whose folder is saved beside its Params and loaded again through Spark's own
file systems, so hdfs, viewfs, s3a, abfss or a Volume work like a local folder.

Layout of a saved stage: `metadata/` (Spark's own, with an entry `model`) and `model/`, Parquet files of rows
(file, part, data); :mod:`sparkxlmr.presets.stored_model` says what they hold.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.handles import resolve
from sparkxlmr.presets.hub_fsspec import is_url
from sparkxlmr.presets.hub_secrets import redacted, shown
from sparkxlmr.presets.open_model_folder import Model, open_folder
from sparkxlmr.presets.saved_folder import LocalFolder
from sparkxlmr.presets.spark_nlp_stage import OWNER
from sparkxlmr.presets.stored_model import CHUNK, describe, files_of, inside, kept
from sparkxlmr.runtime import saved_pipeline
from sparkxlmr.runtime.stage_checks import no_model
from sparkxlmr.spark.compat import is_connect, local_copy, metadata_session

#: Bytes of the rows written or read in one go: the driver never holds more than one group.
GROUP = 64 << 20
#: The same under Connect, whose server holds what a client sends several times over in its heap.
CONNECT_GROUP = 16 << 20
#: Bytes that a saved model's Parquet files may have beside twice the model's own.
LEAST_BYTES = 16 << 20
SCHEMA = "file string, part int, data binary"


class ModelWriter(MLWriter):
    """Writes a stage's Params as Spark does, and its model as rows of bytes."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write to `path`, any URI of this session. SettingError where the stage has no model."""
        model: Model = self.instance.model
        described = describe(model)
        DefaultParamsWriter.saveMetadata(
            self.instance, path, metadata_session(self), extraMetadata={"model": described}
        )
        write_files(self.sparkSession, files_of(model), f"{path.rstrip('/')}/model")


class ModelReader(MLReader[Any]):
    """Reads what :class:`ModelWriter` wrote; the model comes to lie in `SPARKXLMR_HOME/models/<hash>`."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """The stage of `path`, saved by this package or, on a disk of this machine, by Spark NLP.

        Raises DamagedModelError where its model is not what was saved, NotAPresetError for another stage.
        """
        metadata = self._metadata(path)
        if metadata["class"].startswith(OWNER):
            return self._of_spark_nlp(path, metadata)
        if metadata["class"] != f"{self.cls.__module__}.{self.cls.__name__}":
            raise self._another(path, metadata["class"])
        stage = self.cls()
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        return stage.withModel(read_model(self.sparkSession, path, metadata))

    def _metadata(self, path: str) -> dict[str, Any]:
        try:
            metadata: dict[str, Any] = DefaultParamsReader.loadMetadata(path, metadata_session(self))
            _ = metadata["class"] + metadata["uid"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DamagedModelError(
                f"The metadata of the stage in {path} cannot be read ({error!r:.200})",
                "one line of JSON, as Spark ML writes it",
                "save the stage again, or restore the folder from a copy",
            ) from error
        return metadata

    def _of_spark_nlp(self, path: str, metadata: dict[str, Any]) -> Any:
        if metadata["class"].rpartition(".")[2] != self.cls.__name__:
            raise self._another(path, metadata["class"])
        if is_url(path) and not path.startswith("file:"):
            raise NotAPresetError(
                f"The stage in {shown(path)} was saved by Spark NLP",
                "such a stage on a disk of this machine",
                "copy the folder to one, and load it from there",
            )
        stage = self.cls().withModel(open_folder(resolve(path)))
        for name, value in metadata["paramMap"].items():
            # The engine is that of the JVM's library.
            if stage.hasParam(name) and name != "engine":
                stage.set(stage.getParam(name), value)
        return stage

    def _another(self, path: str, found: str) -> NotAPresetError:
        return NotAPresetError(
            f"{path} holds a stage of class {found}",
            f"one of class {self.cls.__name__}",
            "load it with its own class, or with PipelineModel.load where it is a pipeline",
        )


def write_files(spark: SparkSession, files: Iterator[tuple[str, Path]], path: str) -> None:
    """Write files (name, place) as rows into a new Parquet folder, a bounded group of rows at a time."""
    mode = "error"
    for rows in _groups(files, _group_size(spark)):
        spark.createDataFrame(rows, SCHEMA).coalesce(1).write.mode(mode).parquet(path)
        mode = "append"


def read_model(spark: SparkSession, path: str, metadata: dict[str, Any]) -> Model:
    """The model of a saved stage as a verified folder of this machine; read where it is not there whole.

    Raises NotAPresetError where the metadata describe no model, DamagedModelError where its bytes are not
    those that were saved.
    """

    def fetch(folder: Path, sizes: dict[str, int]) -> None:
        read_files(spark, f"{path.rstrip('/')}/model", folder, sizes)

    return kept(metadata.get("model"), path, fetch)


def read_files(spark: SparkSession, path: str, folder: Path, sizes: dict[str, int]) -> None:
    """Put the files of a Parquet folder of :func:`write_files` into `folder`.

    Without a Spark job, by the reader of :meth:`sparkxlmr.LightPipeline.load`, which bounds what it unpacks;
    under Connect, where the server reads, a bounded number of rows at a time.

    Raises DamagedModelError where a file is missing, cut short, larger than said or called something that
    leaves the folder.
    """
    for name in sizes:
        inside(name)
    if is_connect(spark):
        _read_rows(spark, path, folder, sizes)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as name:
        try:
            local = local_copy(spark, path, Path(name), 2 * sum(sizes.values()) + LEAST_BYTES)
        except ValueError as error:
            raise _unreadable(path, str(error)) from error
        source = LocalFolder(local.parent)
        source.shown = shown(path.rpartition("/")[0])
        saved_pipeline.read_files(source, local.name, folder, sizes)


def _read_rows(spark: SparkSession, path: str, folder: Path, sizes: dict[str, int]) -> None:
    """:func:`read_files` by Spark: what there is is counted first, then read a group of rows at a time."""
    try:
        rows = spark.read.schema(SCHEMA).parquet(path)
        n_bytes = F.length("data")
        found = rows.groupBy("file").agg(F.count("*"), F.sum(n_bytes), F.max(n_bytes)).limit(len(sizes) + 1)
        counts = {row[0]: tuple(row)[1:] for row in found.collect()}
    except PySparkException as error:
        raise _unreadable(path, str(error)) from error
    for name, size in sizes.items():
        n_rows, written, largest = counts.get(name, (0, 0, 0))
        if n_rows != -(-size // CHUNK) or (written or 0) != size or (largest or 0) > CHUNK:
            raise DamagedModelError(
                f"{name} in {path} has {written or 0} bytes in {n_rows} parts",
                f"{size} bytes in parts of {CHUNK}",
                "save the stage again",
            )
        _read_file(spark, rows.where(F.col("file") == name), folder / inside(name), size)


def _read_file(spark: SparkSession, rows: DataFrame, target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    per_read = max(1, _group_size(spark) // CHUNK)
    with target.open("wb") as out:
        for first in range(0, -(-size // CHUNK), per_read):
            wanted = F.col("part").between(first, first + per_read - 1)
            found = rows.where(wanted).limit(per_read).collect()
            for row in sorted(found, key=lambda row: row["part"]):
                out.write(row["data"])


def _unreadable(path: str, reason: str) -> DamagedModelError:
    return DamagedModelError(
        f"The model's bytes cannot be read from {shown(path)} ({redacted(reason.splitlines()[0]):.200})",
        "the Parquet files of a saved stage",
        "save the stage again",
    )


def _group_size(spark: SparkSession) -> int:
    return CONNECT_GROUP if is_connect(spark) else GROUP


def _groups(files: Iterator[tuple[str, Path]], size: int) -> Iterator[list[tuple[str, int, bytearray]]]:
    rows: list[tuple[str, int, bytearray]] = []
    held = 0
    for name, place in files:
        with place.open("rb") as file:
            for part, data in enumerate(iter(lambda file=file: file.read(CHUNK), b"")):  # type: ignore[misc]
                rows.append((name, part, bytearray(data)))
                held += len(data)
                if held >= size:
                    yield rows
                    rows, held = [], 0
    if rows:
        yield rows


class ModelStage:
    """Mixin: the stage carries a model, which is no Param; `copy` keeps it, saving stores it.

    `model` is a :class:`~sparkxlmr.presets.preset.Preset` or a
    :class:`~sparkxlmr.presets.saved_graph.SavedGraph`: a folder, its labels and its content hash, a few
    hundred bytes in memory.
    """

    _model: Model | None = None

    @property
    def model(self) -> Model:
        """The model that this stage runs. SettingError where none was given."""
        if self._model is None:
            raise no_model(type(self).__name__)
        return self._model

    def withModel(self, model: Model) -> Any:
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
