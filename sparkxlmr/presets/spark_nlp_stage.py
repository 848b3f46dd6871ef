"""A classifier that Spark NLP saved: its folder laid out anew, as :mod:`~sparkxlmr.presets.saved_graph` reads
it.

::

    metadata/part-00000                 Spark's, with the class com.johnsnowlabs....ForSequenceClassification
    fields/labels/part-*                the labels
    *_classification_onnx | _openvino   a zip of the graph
    xlmroberta_spp | albert_spp         the vocabulary
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError
from sparkxlmr.presets.disk import writing_below
from sparkxlmr.presets.files import known_sha256_of, partial_path, to_disk
from sparkxlmr.presets.home import HOME, folder_in_home
from sparkxlmr.presets.java_labels import labels_of
from sparkxlmr.presets.locks import locked
from sparkxlmr.presets.saved_graph import ASSETS, LABELS

#: how the classes of Spark NLP's classifiers end, and the vocabularies of both layouts
_CLASSES = {
    "XlmRoBertaForSequenceClassification": ("xlmroberta_spp", "sentencepiece.bpe.model"),
    "AlbertForSequenceClassification": ("albert_spp", "spiece.model"),
}
#: how the names of Spark NLP's classes begin
OWNER = "com.johnsnowlabs."
_METADATA = "metadata/part-00000"
_GRAPHS = ("*_classification_openvino", "*_classification_onnx")
# Name of the graph in the zip, and here.
_NAMES = {".onnx": "model.onnx", ".xml": "openvino_model.xml", ".bin": "openvino_model.bin"}
_MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_MOST_METADATA, _MOST_MEMBERS, _MOST_EXPANSION, _SURELY_FITS = 1024**2, 16, 100, 16 * 1024**2
_CHUNK = 8 * 1024**2


def is_spark_nlp_stage(folder: Path) -> bool:
    """Whether a folder holds a stage that Spark NLP saved."""
    return str(_described(folder).get("class")).startswith(OWNER)


def laid_out(folder: Path) -> Path:
    """The model of such a stage as Spark NLP's `loadSavedModel` takes one, in `SPARKXLMR_HOME/spark_nlp`.

    Raises:
        NotAPresetError: the stage is no classifier, or its graph is in a form that only the JVM reads.
        DamagedModelError: a file is missing or not whole.
    """
    name = str(_described(folder).get("class")).rpartition(".")[2]
    if name not in _CLASSES:
        raise NotAPresetError(
            f"{folder} is a {name[:100]} of Spark NLP", f"one of {', '.join(_CLASSES)}", "load another stage"
        )
    vocabulary, called = _CLASSES[name]
    graph = next((path for glob in _GRAPHS for path in sorted(folder.glob(glob))), None)
    if graph is None:
        raise NotAPresetError(
            f"{folder} has its graph in TensorFlow's form for the JVM",
            "a model that Spark NLP saved with the engine onnx or openvino",
            "export the original to ONNX and load that with loadSavedModel, as Spark NLP's guides show",
        )
    if not (folder / vocabulary).is_file():
        raise DamagedModelError(f"{folder} has no {vocabulary}", "the vocabulary", "copy the stage again")
    labels = labels_of(folder / "fields/labels")
    if any("\n" in label for label in labels):  # they are laid out a label a line
        raise NotAPresetError(f"A label of {folder} has several lines", "one line each", "rename the label")
    total = hashlib.sha256("\n".join(labels).encode())
    for path in (graph, folder / vocabulary):
        total.update(known_sha256_of(path).encode())
    place = folder_in_home("spark_nlp") / total.hexdigest()
    with locked(place.with_suffix(".lock")):
        if not place.is_dir():
            with writing_below(place.parent, HOME):
                _lay_out(place, graph, folder / vocabulary, called, labels)
    return place


def _lay_out(place: Path, graph: Path, vocabulary: Path, called: str, labels: tuple[str, ...]) -> None:
    fresh = partial_path(place.parent, "unpacking")
    try:
        (fresh / ASSETS).mkdir(parents=True)
        shutil.copyfile(vocabulary, fresh / ASSETS / called)
        (fresh / ASSETS / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        for name, member, archive in _members(graph):
            with archive.open(member) as source, (fresh / name).open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        to_disk(fresh)
        fresh.rename(place)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedModelError(
            f"{graph} cannot be unpacked ({error})", "a zip of the graph", "copy the stage again"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _members(graph: Path) -> Iterator[tuple[str, zipfile.ZipInfo, zipfile.ZipFile]]:
    """The files of the zip, and what they are called here; a graph's weights keep their names."""
    with zipfile.ZipFile(graph) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        size = sum(member.file_size for member in members)
        allowed = max(_SURELY_FITS, _MOST_EXPANSION * graph.stat().st_size)
        names = _called([member.filename for member in members])
        plain = all(_MEMBER.fullmatch(member.filename) for member in members)
        if not plain or len(members) > _MOST_MEMBERS or size > allowed or len({*names}) != len(names):
            raise DamagedModelError(
                f"{graph} holds {len(members)} files of {size} bytes: {', '.join(names)[:200]}",
                "a graph and its weights, side by side",
                "copy the stage again",
            )
        for name, member in zip(names, members, strict=True):
            yield name, member, archive


def _called(members: list[str]) -> list[str]:
    """The graph's own files by the names of the layout. What an ONNX graph refers to keeps its name.

    >>> _called(["m.xml", "m.bin"]), _called(["m.onnx", "weights.bin"])
    (['openvino_model.xml', 'openvino_model.bin'], ['model.onnx', 'weights.bin'])
    """
    suffixes = [Path(member).suffix for member in members]
    renamed = {".xml", ".bin"} if ".xml" in suffixes else {".onnx"}
    pairs = zip(members, suffixes, strict=True)
    return [_NAMES[suffix] if suffix in renamed else member for member, suffix in pairs]


def _described(folder: Path) -> dict[str, Any]:
    file = folder / _METADATA
    if not file.is_file() or file.stat().st_size > _MOST_METADATA:
        return {}
    try:
        told = json.loads(file.read_text(encoding="utf-8").split("\n", 1)[0])
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
