"""How a bundle reaches the executors: both ends of each way, the driver's and the worker's.

- `path`: the worker opens the bundle's folder. Needs a disk that driver and executors see under one path.
- `files`: one archive, named by its content hash, through `SparkContext.addFile` (under Connect an artifact);
  the worker unpacks it. Spark serves it from its own temporary folder (`spark.local.dir`), which it deletes.
- `broadcast`: that archive in pieces of at most 256 MB as broadcast variables; the worker joins and unpacks
  them. Each JVM holds a piece in memory while it passes.

Whatever the way, each worker process verifies the folder that it opens: the manifest (labels included)
against the hash that the driver names, and every byte of the files against the manifest. What that costs and
what it cannot find is in :mod:`sparkxlmr.runtime.host`.
Outside of local mode one task checks first whether the executors can run it.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from pyspark.sql import SparkSession

from sparkxlmr.errors import (
    DamagedModelError,
    EnvironmentNotReadyError,
    NotAPresetError,
    OutputError,
    SettingError,
)
from sparkxlmr.presets.home import folder_in_home
from sparkxlmr.runtime.archive import pack
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.runtime.gpu_process import PROCESSES, SHARING
from sparkxlmr.runtime.host import unpacked_once
from sparkxlmr.spark.compat import conf, files_root, is_connect, is_local, session_key
from sparkxlmr.spark.model_ref import WAYS, ModelRef
from sparkxlmr.spark.probe import check
from sparkxlmr.spark.sent_models import SentModels

#: Bytes of one broadcast variable: Spark refuses 2 GB, and each JVM holds a whole one while it arrives.
PIECE = 256 << 20
#: Session setting by which a user says that driver and executors see the same folders: "auto" is then "path".
SHARED_DISK = "spark.sparkxlmr.sharedDisk"
#: Session setting for local mode: processes that compute on each visible GPU, for all workers together.
GPU_PROCESSES = "spark.sparkxlmr.gpu.processes"
#: Where executors mount storage that a Connect client's machine has under the same name (Databricks).
MOUNTED = (Path("/Volumes"), Path("/dbfs"))
#: What this process has sent already.
_sent = SentModels()
#: What executors were checked for already: (session, engine, distribution, name or folder).
_checked: set[tuple[str, str, str, str]] = set()
_check_lock = threading.Lock()


def resolve_way(way: str, spark: SparkSession, folder: Path | None = None) -> str:
    """The way that "auto" means in this session for a bundle in `folder`; any other way as it is.

    Raises SettingError for an unknown way, and for "broadcast" under Connect, which has none.
    """
    if way not in WAYS:
        raise SettingError(
            f"distribution is {way!r}", f"one of {', '.join(WAYS)}", "use setDistribution('auto')"
        )
    if way == "broadcast" and is_connect(spark):
        raise SettingError(
            "distribution is 'broadcast' in a Spark Connect session, which has no broadcast variables",
            "'files' or 'path'",
            "use setDistribution('auto')",
        )
    if way != "auto":
        return way
    shared = conf(spark, SHARED_DISK, "false").strip().lower() == "true"
    mounted = folder is not None and is_connect(spark) and not {*folder.parents}.isdisjoint(MOUNTED)
    return "path" if shared or mounted or is_local(spark) else "files"


def _gpu_processes(spark: SparkSession) -> int:
    said = conf(spark, GPU_PROCESSES, str(PROCESSES)).strip()
    if not said.isdecimal() or int(said) < 1:
        raise SettingError(
            f"{GPU_PROCESSES} is {said!r}", "a whole number of processes, at least 1", "leave it out for 1"
        )
    return int(said)


def distribute(
    bundle: Bundle,
    way: str,
    spark: SparkSession,
    precision: str,
    stream: bool = False,
    owner: object = None,
) -> ModelRef:
    """Send a verified bundle on its way, once a session, and return what the executors need to find it.

    Several threads may call it at once. A model that was sent stays sent as long as `owner`, or a DataFrame
    made with the reference, is alive; :func:`release_unused_models` says what happens then.

    Args:
        bundle: the compiled model.
        way: one of :data:`WAYS`.
        spark: the session.
        precision: passed on to the predictor.
        stream: whether the rows are those of a stream.
        owner: an object that lives as long as the model may be used again, such as a stage's model.

    Raises:
        SettingError: a stream under Connect, whose tasks would not get the model, or a number of GPU
            processes that is none.
        EnvironmentNotReadyError, EngineError, NotAPresetError: the executors cannot run it, as
            :func:`sparkxlmr.spark.probe.check` says, or Spark's temporary folder cannot take it.
    """
    way = resolve_way(way, spark, bundle.folder)
    if stream and way == "files" and is_connect(spark):
        # Spark 4.3 runs micro-batches in a copy of the session that has none of its artifacts.
        raise SettingError(
            "A stream under Spark Connect gets no artifacts of its session, by which the model would come",
            "a model in a folder that the executors see",
            "put it on storage that they mount and call setDistribution('path'); the package has to be"
            " installed there",
        )
    # A worker of an engine without use for GPUs leaves its devices alone: the user's own functions run there.
    uses_gpu = engine_named(bundle.engine).uses_gpu
    assigned = not is_local(spark) and uses_gpu
    shared = _gpu_processes(spark) if is_local(spark) and uses_gpu and SHARING and gpu_visible() else 0
    if way == "path":
        ref = ModelRef(bundle.hash, way, str(bundle.folder), precision)
    else:
        context = None if is_connect(spark) else spark.sparkContext
        key = (session_key(spark), bundle.hash, way)
        ref = _sent.send_once(key, context, lambda: _send(bundle, way, spark), owner)
    _check_once(spark, ref, bundle.engine)
    return replace(ref, precision=precision, assigned=assigned, shared=shared)


def release_unused_models(spark: SparkSession | None = None) -> int:
    """Release the models that were sent to executors and that no stage, DataFrame or job uses any more.

    A model is released by itself some time after the last stage and the last DataFrame that use it are gone:
    executors that start later do not fetch it. The two most recent unused ones stay until this call, in case
    that the same stage is made again. The driver's copy is deleted when no job runs; what executors have
    received stays on their disks until the application ends, and under Spark Connect the server keeps all
    artifacts until the session ends.

    Args:
        spark: the session; by default the active one.

    Returns:
        The number of released models. 0 under Connect.

    Raises:
        EnvironmentNotReadyError: there is no session.

    Example::

        del stage, dataframe
        sparkxlmr.release_unused_models(spark)
    """
    spark = spark or SparkSession.getActiveSession()
    if spark is None:
        raise EnvironmentNotReadyError(
            "There is no active Spark session", "one that models were sent to", "pass the session"
        )
    return 0 if is_connect(spark) else len(_sent.release_unused(spark.sparkContext))


def _send(bundle: Bundle, way: str, spark: SparkSession) -> tuple[ModelRef, Path | None]:
    """Send the model; the reference to it, and the file that Spark serves from this machine."""
    if is_connect(spark):
        archive = pack(bundle, folder_in_home("archives"))
        spark.addArtifacts(str(archive), file=True)
        return ModelRef(bundle.hash, way, archive.name, ""), None
    if way == "files":
        # Not in the user's cache: Spark reads it whenever an executor starts, until the application ends.
        archive = _pack_for_spark(bundle, files_root())
        spark.sparkContext.addFile(str(archive))
        return ModelRef(bundle.hash, way, archive.name, ""), archive
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-", dir=files_root()) as folder:
        archive = _pack_for_spark(bundle, Path(folder))
        return ModelRef(bundle.hash, way, archive.name, "", pieces=_broadcast(spark, archive)), None


def _pack_for_spark(bundle: Bundle, folder: Path) -> Path:
    try:
        return pack(bundle, folder)
    except OutputError as error:
        raise EnvironmentNotReadyError(
            f"The model cannot be written to Spark's temporary folder: {error.came}",
            "room for a copy of each model",
            "set spark.local.dir (SPARK_LOCAL_DIRS) to a folder with room before Spark starts, or use "
            "setDistribution('path')",
        ) from error


def _check_once(spark: SparkSession, ref: ModelRef, engine: str) -> None:
    """Let one task check the package, the engine and the model; once a session and model.

    Not in local mode, whose workers are this machine's, and run this very Python.
    """
    if is_local(spark):
        return
    key = (session_key(spark), engine, ref.way, ref.place)
    with _check_lock:
        if key not in _checked:
            check(spark, ref, engine)
            _checked.add(key)


def arrived(ref: ModelRef) -> Bundle:
    """On a worker: the bundle of a reference, every byte of it verified by this process now.

    Raises DamagedModelError where what arrived is not that bundle, or not whole; with way "path"
    NotAPresetError where this host sees no such folder.
    """
    if ref.way == "path":
        return _visible(Path(ref.place), ref.hash).verify()
    if ref.way == "files":
        from pyspark import SparkFiles  # not in a client of Connect that has no Spark

        return unpacked_once(ref.hash, Path(SparkFiles.get(ref.place)))
    return unpacked_once(ref.hash, lambda archive: _join(ref.pieces, archive))


def _visible(folder: Path, bundle_hash: str) -> Bundle:
    if not folder.is_dir():
        raise NotAPresetError(
            f"This executor sees no model folder {folder}",
            "the same folder as on the driver (distribution is 'path')",
            "put the model on a disk that all machines share, or use setDistribution('files')",
        )
    bundle = Bundle.open(folder)
    if bundle.hash != bundle_hash:
        raise DamagedModelError(
            f"The model in {folder} on this executor is {bundle.hash[:12]}...",
            f"{bundle_hash[:12]}..., as on the driver",
            "copy the model again, or use setDistribution('files')",
        )
    return bundle


def _broadcast(spark: SparkSession, archive: Path) -> tuple[Any, ...]:
    """The archive as broadcast variables, in order; the driver's Python holds one piece at a time."""
    pieces = []
    with archive.open("rb") as file:
        while piece := file.read(PIECE):
            pieces.append(spark.sparkContext.broadcast(piece))
    return tuple(pieces)


def _join(pieces: tuple[Any, ...], target: Path) -> None:
    """Write the pieces one after another into `target`."""
    with target.open("wb") as out:
        for piece in pieces:
            _append(piece, out)


def _append(piece: Any, out: IO[bytes]) -> None:
    """One piece: from the file that Spark left on this host, or, where encryption hides it, its value.

    Spark's file is the pickle of one `bytes`. Copying its payload from file to file keeps a piece out of this
    process's memory, which a worker would never give back.
    """
    path = getattr(piece, "_path", None)
    if path is not None:
        with open(path, "rb") as file:
            size = _payload_size(file)
            if size is not None:
                _copy(file, out, size)
                return
    out.write(piece.value)


def _payload_size(file: IO[bytes]) -> int | None:
    """Bytes of payload behind the header of a pickled `bytes`, where `file` then stands; else None.

    Pickle's opcodes: PROTO (2 bytes), maybe FRAME (9), then BINBYTES with 4 or BINBYTES8 with 8 bytes of
    size.
    """
    header = file.read(2)
    opcode = file.read(1)
    if opcode == pickle.FRAME:
        file.seek(8, os.SEEK_CUR)
        opcode = file.read(1)
    n_digits = {pickle.BINBYTES: 4, pickle.BINBYTES8: 8}.get(opcode)
    if header[:1] != pickle.PROTO or n_digits is None:
        return None
    return int.from_bytes(file.read(n_digits), "little")


def _copy(file: IO[bytes], out: IO[bytes], size: int) -> None:
    left = size
    while left:
        chunk = file.read(min(left, 1 << 20))
        if not chunk:
            raise DamagedModelError(
                f"A broadcast piece ends {left} bytes early", f"{size} bytes", "run the job again"
            )
        out.write(chunk)
        left -= len(chunk)
