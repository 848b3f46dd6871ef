"""How a bundle reaches the executors: both ends of each way, the driver's and the worker's.

- `path`: the worker opens the bundle's folder. Needs a disk that driver and executors see under one path.
- `files`: one archive, named by its content hash, through `SparkContext.addFile` (under Connect an artifact);
  the worker unpacks it.
- `broadcast`: that archive in pieces of at most 256 MB as broadcast variables; the worker joins and unpacks
  them. Each JVM holds a piece in memory while it passes.

Whatever the way, each worker process verifies the folder that it opens: the manifest (labels included)
against the hash that the driver names, and every byte of the files against the manifest. What that costs and
what it cannot find is in :mod:`sparkxlmr.runtime.host`.
Under Connect, where this process sees nothing of the executors, one task looks first whether they can run it.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from pyspark.sql import SparkSession

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SettingError
from sparkxlmr.presets.home import folder_in_home
from sparkxlmr.runtime.archive import pack
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engines import engine_named
from sparkxlmr.runtime.gpu_process import PROCESSES, SHARING
from sparkxlmr.runtime.host import unpacked_once
from sparkxlmr.spark.compat import conf, is_connect, is_local, session_key
from sparkxlmr.spark.model_ref import WAYS, ModelRef
from sparkxlmr.spark.probe import check

#: Bytes of one broadcast variable: Spark refuses 2 GB, and each JVM holds a whole one while it arrives.
PIECE = 256 << 20
#: Session setting by which a user says that driver and executors see the same folders: "auto" is then "path".
SHARED_DISK = "spark.sparkxlmr.sharedDisk"
#: Session setting for local mode: processes that compute on each visible GPU, for all workers together.
GPU_PROCESSES = "spark.sparkxlmr.gpu.processes"
#: Where executors mount storage that a Connect client's machine has under the same name (Databricks).
MOUNTED = (Path("/Volumes"), Path("/dbfs"))
#: Models whose broadcast pieces executors are asked to keep; workers have unpacked those of the others.
MAX_BROADCAST = 4

#: What this process has sent already: (session or context, bundle hash, way) -> reference; latest used last.
_sent: dict[tuple[str, str, str], ModelRef] = {}
#: What executors of a Connect session were asked about already: (session, engine, how the model travels).
_checked: set[tuple[str, str, str, str]] = set()


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
    bundle: Bundle, way: str, spark: SparkSession, precision: str, stream: bool = False
) -> ModelRef:
    """Send a verified bundle on its way, once a session, and return what the executors need to find it.

    `way` is one of :data:`WAYS`; `precision` is passed on to the predictor; `stream` says that the rows are
    those of a stream. Raises what :func:`sparkxlmr.spark.probe.check` raises where a Connect server's
    executors cannot run it, SettingError for a stream under Connect whose tasks would not get the model, or
    for a number of GPU processes that is none.
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
        ref = ModelRef(bundle.hash, way, str(bundle.folder), precision, assigned, shared=shared)
        _check_once(spark, ref, bundle.engine)
        return ref
    key = (session_key(spark), bundle.hash, way)
    if key not in _sent:
        archive = pack(bundle, folder_in_home("archives"))
        pieces: tuple[Any, ...] = ()
        if way == "broadcast":
            pieces = _broadcast(spark, archive)
        elif is_connect(spark):
            spark.addArtifacts(str(archive), file=True)
        else:
            spark.sparkContext.addFile(str(archive))
        _sent[key] = ModelRef(bundle.hash, way, archive.name, precision, pieces=pieces)
    _sent[key] = _sent.pop(key)
    _release_broadcasts(key[0])
    _check_once(spark, _sent[key], bundle.engine)
    return replace(_sent[key], precision=precision, assigned=assigned, shared=shared)


def _check_once(spark: SparkSession, ref: ModelRef, engine: str) -> None:
    """Under Connect let one task look for the package, the engine and the model; once a session and model."""
    if not is_connect(spark):
        return
    key = (session_key(spark), engine, ref.way, ref.place)
    if key not in _checked:
        check(spark, ref, engine)
        _checked.add(key)


def _release_broadcasts(session: str) -> None:
    """Let executors drop the pieces of all but the last few models.

    Nothing breaks: a job that still needs a piece has it sent again by the driver, which keeps it until its
    last DataFrame is gone.
    """
    keys = [key for key in _sent if key[2] == "broadcast"]
    for key in keys[:-MAX_BROADCAST]:
        old = _sent.pop(key)
        if key[0] == session:
            for piece in old.pieces:
                piece.unpersist()


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
