"""A look at an OpenVINO IR: an XML file of layers, and beside it one file of weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.parsers import expat

from sparkxlmr.errors import DamagedModelError, NotAPresetError, SparkxlmrError
from sparkxlmr.presets.graph_facts import GraphFacts, Shape, beside, check_stored

# Of a large model it has some MB.
_MOST_BYTES = 512 * 1024**2
# Layers of OpenVINO itself; others come from libraries that a user loads ("extension").
_OWN = re.compile(r"opset\d+|experimental|ie_internal_opset")
# Layers that read a table by row, and those through which a table goes unchanged or converted.
_READING = {"Gather", "Slice", "StridedSlice"}
_PLAIN = {"Convert", "Multiply", "Subtract", "Reshape"}


def openvino_facts(graph: Path) -> GraphFacts:
    """What an IR says.

    Raises:
        NotAPresetError: it is none, or holds layers that are not OpenVINO's.
        DamagedModelError: it is not whole, or speaks of more weights than are stored.
    """
    weights = beside(graph.parent, graph, graph.with_suffix(".bin").name)
    if graph.stat().st_size > _MOST_BYTES:
        raise DamagedModelError(f"{graph} is too large", "the XML file of an IR", "export the model again")
    look = _Look(graph, weights.stat().st_size)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = look.start, look.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = look.text, look.doctype
    try:
        parser.Parse(graph.read_bytes(), True)
    except SparkxlmrError:
        raise
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise NotAPresetError(
            f"{graph} is no OpenVINO IR ({error!r:.100})",
            "the XML file that openvino.save_model writes",
            "export the model again",
        ) from error
    return look.facts(weights.name)


class _Look:
    """Collects layers, ports and edges of the outermost network while the file is parsed."""

    def __init__(self, graph: Path, stored: int) -> None:
        self.graph, self.stored = graph, stored
        self.layers: dict[str, dict[str, Any]] = {}
        # Of each layer its inputs: the own port, and the layer and the port that it comes from.
        self.sources: dict[str, list[tuple[int, str, str]]] = {}
        self.tables: dict[str, Shape] = {}
        self.path: list[str] = []
        self.nested = 0
        self.layer: dict[str, Any] = {}
        self.port: dict[str, Any] | None = None
        self.dim: str | None = None

    def doctype(self, *_: object) -> None:
        raise ValueError("a document type, with which a small file can become a large one")

    def start(self, tag: str, told: dict[str, str]) -> None:
        outermost = self.path == ["net", "layers"]
        self.path.append(tag)
        if tag == "layer":
            self._check(told)
        if outermost and tag == "layer":
            if told["id"] in self.layers:
                raise ValueError("two layers of one id")
            self.layer = {"type": told["type"], "name": told.get("name", ""), "ports": {}}
            self.layers[told["id"]] = self.layer
        elif tag == "data" and "offset" in told:
            self._weights(told)
        elif self.path[:-1] == ["net", "layers", "layer", "output"]:
            names = [name for name in told.get("names", "").split(",") if name]
            self.port = {"names": names, "shape": []}
            self.layer["ports"][told["id"]] = self.port
        elif tag == "dim" and self.port is not None:
            self.dim = ""
        elif self.path == ["net", "edges", "edge"]:
            edge = (int(told["to-port"]), told["from-layer"], told["from-port"])
            self.sources.setdefault(told["to-layer"], []).append(edge)

    def text(self, text: str) -> None:
        if self.dim is not None:
            self.dim += text

    def end(self, tag: str) -> None:
        self.path.pop()
        if self.dim is not None and self.port is not None:
            self.port["shape"].append(int(self.dim))
            self.dim = None
        elif tag == "port":
            self.port = None

    def _check(self, told: dict[str, str]) -> None:
        if not _OWN.fullmatch(told.get("version", "")):
            raise NotAPresetError(
                f"{self.graph} has a layer {told['type'][:100]!r} of {told.get('version', '')[:100]!r}",
                "OpenVINO's own layers",
                "export the model again without layers of its own",
            )

    def _weights(self, told: dict[str, str]) -> None:
        offset, size = int(told["offset"]), int(told["size"])
        shape = tuple(int(part) for part in told.get("shape", "").split(",") if part.strip())
        name = self.layer.get("name", "")
        if offset < 0 or size < 0 or offset + size > self.stored:
            raise DamagedModelError(
                f"{name[:100]!r} in {self.graph} ends at byte {offset + size} of the weights",
                f"at most {self.stored}, which are there",
                "copy the model again, both of its files",
            )
        check_stored(name, shape, size, str(self.graph))
        if len(shape) == 2:
            self.tables[name] = (shape[0], shape[1])
            self.layer.setdefault("matrix", (shape[0], shape[1]))

    def _first_source(self, layer: str) -> tuple[str, str]:
        """The layer and the port that a layer's first input comes from."""
        _, source, port = min(self.sources[layer])
        return source, port

    def _matrix(self, layer: str) -> Shape | None:
        """The stored matrix that a layer's first input is, converted or not."""
        for _ in range(len(self.layers)):
            if layer not in self.sources:
                return None
            layer, _port = self._first_source(layer)
            if self.layers[layer]["type"] not in _PLAIN:
                break
        return self.layers[layer].get("matrix")

    def facts(self, weights: str) -> GraphFacts:
        inputs, outputs = [], {}
        for key, layer in self.layers.items():
            if layer["type"] == "Parameter":
                inputs.append(next(iter(_names(layer["ports"].values())), layer["name"]))
            elif layer["type"] == "Result":
                source, number = self._first_source(key)
                port = self.layers[source]["ports"].get(number, {"names": [], "shape": []})
                outputs[next(iter(port["names"]), layer["name"])] = tuple(port["shape"])
        reading = [key for key, layer in self.layers.items() if layer["type"] in _READING]
        read = tuple(filter(None, map(self._matrix, reading)))
        return GraphFacts((self.graph.name, weights), tuple(inputs), outputs, self.tables, read)


def _names(ports: Any) -> list[str]:
    return [name for port in ports for name in port["names"]]
