"""What Spark NLP's `loadSavedModel` takes: a compiled model of another library, and `assets/`.

::

    saved_model.pb variables/ | model.onnx | openvino_model.xml openvino_model.bin
    assets/sentencepiece.bpe.model      XLM-R's vocabulary; ALBERT's is spiece.model
    assets/labels.txt                   of a classifier: a label a line, in the order of the ids

Nothing in such a folder is run here: its files are looked at (:mod:`~sparkxlmr.presets.onnx_file` and its
siblings say what is refused), and an engine makes a bundle of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkxlmr.errors import DamagedModelError, NotAPresetError, PresetNotFoundError, SparkxlmrError
from sparkxlmr.presets import tensorflow_folder
from sparkxlmr.presets.contents import DEFAULT_SEQUENCE_LENGTH
from sparkxlmr.presets.files import sha256_of_files
from sparkxlmr.presets.graph_facts import GraphFacts, Shape
from sparkxlmr.presets.hugging_face import POSITION_OFFSET
from sparkxlmr.presets.hugging_face_tokenizer import ALBERT_NORMALIZATION
from sparkxlmr.presets.onnx_file import onnx_facts
from sparkxlmr.presets.openvino_file import openvino_facts
from sparkxlmr.text.families import tokenizer_for
from sparkxlmr.text.tokenizer import SentencePieceTokenizer

OPENVINO, ONNX, TENSORFLOW = "openvino", "onnx", "tensorflow"
#: file by which a format is known, the most direct one first where a folder has several
FORMATS = {"openvino_model.xml": OPENVINO, "model.onnx": ONNX, tensorflow_folder.GRAPH: TENSORFLOW}
#: engines that read each format, the one that `auto` takes first
READERS = {OPENVINO: ("openvino",), ONNX: ("openvino",), TENSORFLOW: ("openvino", "tensorflow")}
ASSETS, LABELS = "assets", "labels.txt"
VOCABULARIES = {"sentencepiece.bpe.model": "xlm_roberta", "spiece.model": "albert"}
#: Hugging Face's names of inputs, and this package's
INPUTS = {"input_ids": "token_ids", "attention_mask": "padding_mask", "token_type_ids": "segment_ids"}
_NEEDED = {"input_ids", "attention_mask"}
CLASSIFIER, ENCODER = "text_classifier", "encoder"
_OUTPUT = {CLASSIFIER: "logits", ENCODER: "last_hidden_state"}
_MOST_LABELS_BYTES = 64 * 1024**2
_LOOKS: Mapping[str, Callable[[Path], GraphFacts]] = {
    OPENVINO: openvino_facts,
    ONNX: onnx_facts,
    TENSORFLOW: lambda graph: tensorflow_folder.tensorflow_facts(graph.parent),
}


@dataclass(frozen=True, kw_only=True)
class SavedGraph:
    """A compiled model of another library, looked at and not yet read: a text classifier or, without labels,
    an encoder.

    Attributes:
        path: the folder.
        name: the folder's own name.
        format: ``"openvino"``, ``"onnx"`` or ``"tensorflow"``.
        graph_files: names of the graph's files, the graph itself first.
        family: ``"xlm_roberta"`` or ``"albert"``, told by the vocabulary's name.
        task_kind: ``"text_classifier"`` or ``"encoder"``.
        labels: one name a class in id order; an encoder has none.
        max_length: tokens of a text at most: what the position table is for, where it is known by its name,
            else 512.
        inputs: the graph's inputs by this package's names.
        output: the graph's output that holds the logits, or an encoder's vectors.
        dimension: numbers of an encoder's vectors; None of a classifier.
        vocabulary_path: the SentencePiece model.
        vocabulary_rows: ids that the graph has embeddings for, where known.
    """

    path: Path
    name: str
    format: str
    graph_files: tuple[str, ...]
    family: str
    task_kind: str
    labels: tuple[str, ...]
    max_length: int
    inputs: Mapping[str, str]
    output: str
    dimension: int | None
    vocabulary_path: Path
    vocabulary_rows: int | None

    @classmethod
    def open(cls, folder: Path) -> SavedGraph:
        """Looks at a folder.

        Raises:
            NotAPresetError: it has no graph, no vocabulary, or a graph that is refused; inputs or outputs are
                not those of a text classifier or an encoder; a classifier's labels are missing, or not as
                many as its outputs.
            DamagedModelError: a file is missing or not whole.
            PresetNotFoundError: a file cannot be read.
        """
        try:
            return cls._opened(folder.absolute())
        except SparkxlmrError:
            raise
        except OSError as error:
            raise PresetNotFoundError(
                f"The model {folder} cannot be reached: {error}",
                "a folder that this user may read",
                "check its permissions",
            ) from error

    @classmethod
    def _opened(cls, folder: Path) -> SavedGraph:
        graph = next((name for name in FORMATS if (folder / name).is_file()), None)
        if graph is None:
            raise NotAPresetError(f"{folder} has no {', no '.join(FORMATS)}", "one of them", "check the path")
        form = FORMATS[graph]
        # Before the graph is looked at: what the user can mend most easily is told first.
        vocabulary = _vocabulary(folder)
        listed = folder / ASSETS / LABELS
        labels = _labels(listed) if listed.exists() else ()
        facts = _LOOKS[form](folder / graph)
        kind = CLASSIFIER if labels else _kind_without_labels(facts, listed)
        family = VOCABULARIES[vocabulary.name]
        output, shape = _output(facts, kind, folder)
        if kind == CLASSIFIER and shape is not None and not _fits(shape, len(labels)):
            raise wrong_outputs(folder, shape, len(labels))
        return cls(
            path=folder,
            name=folder.name,
            format=form,
            graph_files=facts.files,
            family=family,
            task_kind=kind,
            labels=labels,
            max_length=facts.positions(POSITION_OFFSET[family]) or DEFAULT_SEQUENCE_LENGTH,
            inputs=_inputs(facts, folder),
            output=output,
            dimension=shape[2] if kind == ENCODER and shape is not None else None,
            vocabulary_path=vocabulary,
            vocabulary_rows=facts.vocabulary_size(),
        )

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that read this format, the one that ``auto`` takes first."""
        return READERS[self.format]

    @property
    def graph_path(self) -> Path:
        """The file by which the format is known."""
        return self.path / self.graph_files[0]

    @property
    def tokenizer_settings(self) -> Mapping[str, Any]:
        """What the tokenizer does to a text first: ALBERT's as Hugging Face's slow tokenizer by default."""
        return ALBERT_NORMALIZATION if self.family == "albert" else {}

    def text_tokenizer(self) -> SentencePieceTokenizer:
        """The family's tokenizer over the vocabulary.

        Raises:
            NotAPresetError: the vocabulary is of another family, or has more ids than the graph embeddings.
        """
        proto = self.vocabulary_path.read_bytes()
        tokenizer = tokenizer_for(self.family, proto, self.tokenizer_settings)
        if self.vocabulary_rows is not None and tokenizer.vocabulary_size > self.vocabulary_rows:
            raise NotAPresetError(
                f"The vocabulary of {self.path} has {tokenizer.vocabulary_size} ids, and its graph "
                f"embeddings for {self.vocabulary_rows}",
                "an embedding for each id",
                "copy or export the model again; vocabulary and graph are of two models",
            )
        return tokenizer

    def files(self) -> list[Path]:
        """Every file that the model's answers depend on, in a fixed order."""
        labels = [self.path / ASSETS / LABELS] if self.task_kind == CLASSIFIER else []
        return [*(self.path / name for name in self.graph_files), self.vocabulary_path, *labels]

    @property
    def content_hash(self) -> str:
        """sha256 (hex) over :meth:`files`, their names relative to the folder included."""
        return sha256_of_files(self.path, self.files())


def is_saved_graph(folder: Path) -> bool:
    """Whether a folder holds a compiled model and, unless it has no ``config.json``, Spark NLP's assets.

    A checkpoint of Hugging Face often has a ``model.onnx`` beside its weights, and is a checkpoint.
    """
    if not any((folder / name).is_file() for name in FORMATS):
        return False
    if not (folder / "config.json").is_file():
        return True
    return any((folder / ASSETS / name).is_file() for name in VOCABULARIES)


def _vocabulary(folder: Path) -> Path:
    there = [name for name in VOCABULARIES if (folder / ASSETS / name).is_file()]
    if len(there) != 1:
        raise NotAPresetError(
            f"{folder / ASSETS} has {' and '.join(there) or 'no vocabulary'}",
            f"one of {' (XLM-R), '.join(VOCABULARIES)} (ALBERT)",
            f"copy the model's SentencePiece file into {ASSETS}/",
        )
    return folder / ASSETS / there[0]


def _labels(path: Path) -> tuple[str, ...]:
    if path.stat().st_size > _MOST_LABELS_BYTES:
        raise DamagedModelError(f"{path} is too large", "a label a line", "check the file")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise NotAPresetError(f"{path} is no text in UTF-8", "a label a line", "save it as UTF-8") from error
    labels = [line.rstrip("\r") for line in lines]
    while labels and not labels[-1].strip():
        labels.pop()
    if not labels or not all(label.strip() for label in labels):
        raise NotAPresetError(
            f"{path} has {'an empty line' if labels else 'no labels'}",
            "a label a line, in the order of their ids",
            "write one for each output of the model",
        )
    return tuple(labels)


def _inputs(facts: GraphFacts, folder: Path) -> dict[str, str]:
    """This package's name of each input to the graph's: ``serving_default_input_ids:0`` is ``input_ids``."""
    found = {_plain(name): name for name in facts.inputs}
    if not found.keys() >= _NEEDED or not found.keys() <= INPUTS.keys() or len(found) != len(facts.inputs):
        raise NotAPresetError(
            f"The graph in {folder} takes {', '.join(facts.inputs)[:200] or 'nothing'}",
            "input_ids and attention_mask, and token_type_ids if it likes",
            "export a sequence classifier with these inputs",
        )
    return {INPUTS[name]: found[name] for name in INPUTS if name in found}


def _plain(name: str) -> str:
    return name.removeprefix("serving_default_").partition(":")[0]


def _kind_without_labels(facts: GraphFacts, listed: Path) -> str:
    """An encoder, told by its output: other graphs without labels are classifiers that lost theirs."""
    if any(_is_of_vectors(shape) for shape in facts.outputs.values()):
        return ENCODER
    raise NotAPresetError(f"There is no {listed}", "a label a line, in the order of their ids", "write it")


def _output(facts: GraphFacts, kind: str, folder: Path) -> tuple[str, Shape | None]:
    """Name and shape of the output that is read."""
    wanted = _OUTPUT[kind]
    names = [name for name in facts.outputs if _plain(name) == wanted]
    if not names and len(facts.outputs) == 1:
        names = list(facts.outputs)
    if len(names) != 1 or (kind == ENCODER and not _is_of_vectors(facts.outputs[names[0]])):
        raise NotAPresetError(
            f"The graph in {folder} answers {', '.join(facts.outputs)[:200] or 'nothing'}",
            f"{wanted}, or one output only",
            "export a sequence classifier, or an encoder",
        )
    return names[0], facts.outputs[names[0]]


def _is_of_vectors(shape: Shape | None) -> bool:
    """Whether an output is a vector for each token: (rows, width, numbers of a vector)."""
    return shape is not None and len(shape) == 3 and shape[2] > 0


def _fits(shape: Shape, n_labels: int) -> bool:
    """Whether an output's shape is that of the logits of so many labels."""
    return len(shape) == 2 and shape[1] in (-1, n_labels)


def wrong_outputs(folder: Path, shape: tuple[int, ...], n_labels: int) -> NotAPresetError:
    """The error for a graph that does not answer a number for each label."""
    return NotAPresetError(
        f"The graph in {folder} answers arrays of shape {list(shape)}, and {ASSETS}/{LABELS} names "
        f"{n_labels} labels",
        "rows of as many logits as there are labels",
        f"mend {LABELS}, or export the classifier itself and not its encoder",
    )
