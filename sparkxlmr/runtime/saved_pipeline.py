"""A fitted pipeline that Spark saved, read without Spark: JSON metadata, and models from Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.saved_folder import SavedFolder, files_below, metadata_of, saved_folder
from sparkxlmr.presets.spark_nlp_stage import OWNER
from sparkxlmr.presets.stored_model import CHUNK, inside, kept
from sparkxlmr.runtime.local_pipeline import prepare_of
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.runtime.stage_record import StageRecord

_FITTED = ("pyspark.ml.pipeline.PipelineModel", "org.apache.spark.ml.PipelineModel")
_UNFITTED = ("pyspark.ml.pipeline.Pipeline", "org.apache.spark.ml.Pipeline")
COLUMNS = ["file", "part", "data"]
#: Pipelines in pipelines; a folder that links to itself has no end.
_DEEPEST = 16
# Bytes in a group of rows beside the files' own, at most.
_NAMES_AND_NUMBERS = 1 << 20


def read_pipeline(path: str | PathLike[str]) -> list[StageRecord]:
    """The stages of a saved PipelineModel, those of pipelines in it included, in order.

    Args:
        path: of this machine, a ``file:`` URL, or a URL that fsspec opens.

    Raises:
        PresetNotFoundError: there is no such folder.
        NotAPresetError: it holds no fitted pipeline.
        DamagedModelError: a part is missing or not what was saved.
        EnvironmentNotReadyError: what reads that storage is not installed.
    """
    return list(_stages(saved_folder(path), "", 0))


def _stages(folder: SavedFolder, below: str, depth: int) -> Iterator[StageRecord]:
    metadata = metadata_of(folder, below)
    if metadata["class"] not in _FITTED:
        if depth:
            yield _stage(folder, below, metadata)
            return
        raise NotAPresetError(
            f"{folder.shown} holds a {metadata['class']}",
            "a fitted pipeline (PipelineModel)",
            "fit the pipeline and save what fit() gives"
            if metadata["class"] in _UNFITTED
            else "put the stage into a pipeline, fit and save that",
        )
    place = f"{below}/stages".lstrip("/")
    there = folder.names(place)
    uids = metadata.get("paramMap", {}).get("stageUids")
    if not isinstance(uids, list):
        raise _damaged(folder, below, "its metadata name no stages")
    if depth > _DEEPEST:
        raise _damaged(folder, below, f"pipelines inside pipelines, more than {_DEEPEST} deep")
    for number, uid in enumerate(uids):
        # A stage's folder is called 00_uid.
        named = [name for name in there if name.partition("_")[0].isdecimal()]
        found = [name for name in named if int(name.partition("_")[0]) == number]
        if not isinstance(uid, str) or [name.partition("_")[2] for name in found] != [uid]:
            raise _damaged(folder, below, f"stage {number} ({uid}) is missing")
        yield from _stages(folder, f"{place}/{found[0]}", depth + 1)


def _stage(folder: SavedFolder, below: str, metadata: Mapping[str, Any]) -> StageRecord:
    path = metadata["class"]
    name = path.rpartition(".")[2]
    if path.startswith(OWNER):
        raise NotAPresetError(
            f"{folder.shown}/{below} is a {name} that Spark NLP saved",
            "a pipeline of this package's stages",
            "build the pipeline anew; a classifier of it is loaded from its own folder, below stages/",
        )
    given = metadata.get("paramMap", {})
    values = {**metadata.get("defaultParamMap", {}), **given}
    chosen = Chosen(values, frozenset(given), name)
    record = StageRecord(path, chosen)
    if "model" not in metadata or prepare_of(record) is None:
        return record

    def fetch(target: Path, sizes: dict[str, int]) -> None:
        read_files(folder, f"{below}/model", target, sizes)

    model = kept(metadata["model"], f"{folder.shown}/{below}", fetch)
    return StageRecord(path, Chosen(values, frozenset(given), name, model.name), model)


def read_files(folder: SavedFolder, below: str, target: Path, sizes: Mapping[str, int]) -> None:
    """Put the files of a saved stage's Parquet files (rows of file, part, data) into `target`.

    A row is held at a time. Raises DamagedModelError where a row is none of those files or has another size,
    rows are missing, a table says that it holds more than those files, or a file is called something that
    leaves the folder.
    """
    import pyarrow
    from pyarrow import parquet

    parts: dict[str, set[int]] = {name: set() for name in sizes}
    for name in sizes:
        place = target / inside(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    for table in files_below(folder, below, ".parquet"):
        try:
            with folder.open(table) as source, parquet.ParquetFile(source) as rows:
                _check_groups(rows.metadata, sizes, f"{folder.shown}/{table}")
                for batch in rows.iter_batches(batch_size=1, columns=COLUMNS):
                    for row in batch.to_pylist():
                        _put(target, sizes, row, f"{folder.shown}/{table}")
                        parts[row[COLUMNS[0]]].add(row[COLUMNS[1]])
        except (pyarrow.ArrowException, OSError) as error:
            raise DamagedModelError(
                f"The model's bytes cannot be read from {folder.shown}/{table} ({error!s:.200})",
                "the Parquet files of a saved stage",
                "save the pipeline again",
            ) from error
    for name, size in sizes.items():
        there, wanted = len(parts[name]), -(-size // CHUNK)
        if there != wanted:
            raise DamagedModelError(
                f"The model in {folder.shown}/{below} is not what was saved: {name} has {there} parts",
                f"{wanted} parts",
                "save the pipeline again, or restore the folder from a copy",
            )


def _check_groups(told: Any, sizes: Mapping[str, int], source: str) -> None:
    """That no group of rows unpacks to more than all of the files, or than its rows may hold: a few bytes can
    stand for gigabytes."""
    for number in range(told.num_row_groups):
        group = told.row_group(number)
        most = min(sum(sizes.values()), group.num_rows * CHUNK) + _NAMES_AND_NUMBERS
        if group.total_byte_size > most:
            raise DamagedModelError(
                f"{source} unpacks to {group.total_byte_size} bytes",
                f"at most {most} bytes, of the {sum(sizes.values())} bytes of {', '.join(sizes)}",
                "save the pipeline again",
            )


def _put(target: Path, sizes: Mapping[str, int], row: Any, source: str) -> None:
    name: Any = row.get(COLUMNS[0])
    part: Any = row.get(COLUMNS[1])
    data: Any = row.get(COLUMNS[2])
    size = sizes.get(name) if isinstance(name, str) else None
    is_whole = (
        size is not None
        and isinstance(part, int)
        and part >= 0
        and isinstance(data, bytes)
        and len(data) == min(CHUNK, size - part * CHUNK)
    )
    if not is_whole:
        held = f"{len(data)} bytes" if isinstance(data, bytes) else "no bytes"
        raise DamagedModelError(
            f"{source} has part {part} of {name!r} with {held}",
            f"parts of {CHUNK} bytes (the last one: the rest) of {', '.join(sizes)}",
            "save the pipeline again",
        )
    with Path(target, inside(name)).open("r+b") as file:
        file.seek(part * CHUNK)
        file.write(data)


def _damaged(folder: SavedFolder, below: str, came: str) -> DamagedModelError:
    return DamagedModelError(
        f"The saved pipeline {folder.shown}/{below} is not whole: {came}",
        "the folder as save() wrote it",
        "save the pipeline again, or restore the folder from a copy",
    )
