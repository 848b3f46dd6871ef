"""The stages without Spark: each is prepared from its record and adds its column to a table of plain rows."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkxlmr.errors import InputError, NotAPresetError, SettingError
from sparkxlmr.presets.encoder import Encoder
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime import cutting_options
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engine_choice import engine_for
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.precision_choice import precision_for
from sparkxlmr.runtime.reader import Reader
from sparkxlmr.runtime.row_annotations import categories, filled_masks, sentence_embeddings
from sparkxlmr.runtime.row_classifier import classify_rows
from sparkxlmr.runtime.row_embedder import embed_rows
from sparkxlmr.runtime.row_mask_filler import fill_rows
from sparkxlmr.runtime.stage_checks import check_labels, existing_column, no_model
from sparkxlmr.runtime.stage_options import embedding_options, fill_options, row_options
from sparkxlmr.runtime.stage_record import StageRecord
from sparkxlmr.text.annotate import Finder, documents, sentences, tokens, valid_text
from sparkxlmr.text.annotation import CATEGORY, DOCUMENT, SENTENCE_EMBEDDINGS, TOKEN, Annotation
from sparkxlmr.text.filled_masks import target_ids
from sparkxlmr.text.sentences import sentence_finder
from sparkxlmr.text.separators import separator_finder
from sparkxlmr.text.words import word_finder

Rows = list[list[Annotation]]


@dataclass
class Table:
    """What goes through a pipeline: n rows.

    Attributes:
        texts: plain columns by name, n items each.
        metadata: for each row what its document's metadata hold besides.
        columns: annotation columns by name, in the order in which they were made.
    """

    texts: Mapping[str, Sequence[str | None]]
    metadata: Sequence[Mapping[str, str | None]]
    columns: dict[str, Rows] = field(default_factory=dict)

    def put(self, name: str, rows: Rows) -> None:
        """Add a column, in the place of one whose name differs in case only."""
        for other in [other for other in self.columns if other.lower() == name.lower()]:
            del self.columns[other]
        self.columns[name] = rows


@dataclass
class Plan:
    """What is known of a table before it is there: which plain columns are read, in order, and the annotator
    type of each annotation column so far."""

    texts: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)

    def reads_text(self, name: str) -> str:
        """Note that the plain column `name` is read; returns its name."""
        if name not in self.texts:
            self.texts.append(name)
        return name

    def find(self, name: str) -> str | None:
        """The annotation column of that name, case not looked at where that is no question; else None."""
        if name in self.types:
            return name
        alike = [column for column in self.types if column.lower() == name.lower()]
        return alike[0] if len(alike) == 1 else None

    def makes(self, record: StageRecord, kind: str) -> str:
        """Note the stage's output column, of annotator type `kind`; returns its name.

        Raises:
            SettingError: outputCol is not set.
            InputError: the column exists already and the stage does not overwrite columns. Names are compared
                without case, as Spark's sessions do unless told otherwise.
        """
        name: str = required(record, "outputCol")
        alike = [other for other in (*self.types, *self.texts) if other.lower() == name.lower()]
        if alike and not record.chosen.get("overwriteColumns"):
            raise existing_column(record.name, "outputCol", name)
        self.types = {other: known for other, known in self.types.items() if other not in alike}
        self.types[name] = kind
        return name


Step = Callable[[Table], None]
Prepare = Callable[[StageRecord, Plan], Step]


def required(record: StageRecord, name: str) -> Any:
    """A setting that has to be there. Raises SettingError."""
    value = record.chosen.get(name)
    if value is None or value == [] or value == "":
        setter = f"set{name[0].upper()}{name[1:]}"
        raise SettingError(f"{record.name}: {name} is not set", "a value", f"call {setter}(...)")
    return value


def input_columns(
    record: StageRecord, plan: Plan, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, str]:
    """The stage's input columns by annotator type; the order in which they were set does not matter.

    Raises:
        SettingError: inputCols is not set, or there are too many.
        InputError: no stage before makes such a column, or it is of another type.
    """
    names = required(record, "inputCols")
    wanted = " and ".join(needed) + "".join(f" (and {kind}, if you like)" for kind in optional)
    found: dict[str, str] = {}
    for name in names:
        column = plan.find(name)
        kind = "" if column is None else plan.types[column]
        if column is None or kind not in (*needed, *optional) or kind in found:
            there = ", ".join(f"{name!r} ({kind})" for name, kind in plan.types.items()) or "none"
            came = f"there is no column {name!r}" if column is None else f"column {name!r} holds type {kind}"
            raise InputError(
                f"{record.name}: inputCols is {list(names)!r}, and {came}",
                f"columns of type {wanted}",
                f"choose among the annotation columns that are made before this stage: {there}",
            )
        found[kind] = column
    for kind in needed:
        if kind not in found:
            raise InputError(
                f"{record.name}: inputCols is {list(names)!r}",
                f"columns of type {wanted}",
                f"add the column of type {kind}",
            )
    return found


def assembled(record: StageRecord, plan: Plan) -> Step:
    """DocumentAssembler. The rows' own metadata go to the first one of a pipeline."""
    first = not plan.types
    name = required(record, "inputCol")
    if plan.find(name) is not None:
        raise InputError(
            f"{record.name}: inputCol {name!r} holds annotations",
            "a column of texts",
            "name the texts' column",
        )
    text = plan.reads_text(name)
    mode = record.chosen.get("cleanupMode") or "disabled"
    output = plan.makes(record, DOCUMENT)

    def step(table: Table) -> None:
        rows = [
            documents(text, mode, metadata if first else None)
            for text, metadata in zip(table.texts[text], table.metadata, strict=True)
        ]
        table.put(output, rows)

    return step


def cut(
    rules: Callable[[Any], Any],
    finder: Callable[[Any], Finder],
    pieces: Callable[[list[Annotation], Finder], list[Annotation]],
    kind: str,
) -> Prepare:
    """The stages that cut documents: `rules` of their settings, the `finder` of rules, the annotations of a
    row by `pieces`, of type `kind`."""

    def prepare(record: StageRecord, plan: Plan) -> Step:
        source = input_columns(record, plan, (DOCUMENT,))[DOCUMENT]
        find = finder(rules(record.chosen))
        output = plan.makes(record, kind)

        def step(table: Table) -> None:
            table.put(output, [pieces(row, find) for row in table.columns[source]])

        return step

    return prepare


def classified(record: StageRecord, plan: Plan) -> Step:
    """The sequence classifiers: all texts of all rows in one plan of engine calls."""
    source = input_columns(record, plan, (DOCUMENT,), (TOKEN,))[DOCUMENT]
    pair = record.chosen.get("pairCol")
    bundle, reader = opened(record, "text_classifier")
    check_labels(record.name, record.chosen.model, bundle.labels)
    options = row_options(record.chosen, bundle)
    seconds = None if pair is None else second_texts(record, plan, pair)
    output = plan.makes(record, CATEGORY)
    model: Any = reader

    def step(table: Table) -> None:
        rows = table.columns[source]
        second = None if seconds is None else seconds(table)
        answers = classify_rows(results(rows), model.logits, options, second)
        table.put(output, categories(rows, answers, bundle.labels, options))

    return step


def second_texts(record: StageRecord, plan: Plan, name: str) -> Callable[[Table], list[str | None]]:
    """The second text of each row's pairs: of a document column (sentences are one text), or a plain one."""
    column = plan.find(name)
    if column is None:
        plan.reads_text(name)
        return lambda table: [None if text is None else valid_text(text) for text in table.texts[name]]
    if plan.types[column] != DOCUMENT:
        raise InputError(
            f"{record.name}: pairCol {name!r} holds type {plan.types[column]}",
            "a column of strings, or annotations of type document",
            "name the column of the second texts",
        )
    return lambda table: [" ".join(texts) for texts in results(table.columns[column])]


def filled(record: StageRecord, plan: Plan) -> Step:
    """The masked language models."""
    source = input_columns(record, plan, (DOCUMENT,), (TOKEN,))[DOCUMENT]
    bundle, reader = opened(record, "masked_lm")
    options = fill_options(record.chosen, bundle)
    if options.targets is not None and record.model is not None:
        # Refused here, before there is a text.
        target_ids(record.model.text_tokenizer(), options.targets)
    output = plan.makes(record, TOKEN)
    model: Any = reader

    def step(table: Table) -> None:
        rows = table.columns[source]
        table.put(output, filled_masks(rows, fill_rows(results(rows), model.fill, options)))

    return step


def embedded(record: StageRecord, plan: Plan) -> Step:
    """The sentence embeddings."""
    source = input_columns(record, plan, (DOCUMENT,), (TOKEN,))[DOCUMENT]
    bundle, reader = opened(record, Encoder.kind)
    dimension = record.model.dimension if record.model is not None else None
    options = embedding_options(record.chosen, bundle, dimension)
    output = plan.makes(record, SENTENCE_EMBEDDINGS)
    model: Any = reader

    def step(table: Table) -> None:
        rows = table.columns[source]
        answers = embed_rows(results(rows), model.embed, options)
        table.put(output, sentence_embeddings(rows, answers))

    return step


def finished(record: StageRecord, plan: Plan) -> Step:
    """Finisher: as in Spark NLP nothing is finished; the columns it reads are kept and the others go."""
    kept = []
    for name in required(record, "inputCols"):
        column = plan.find(name)
        if column is None:
            raise InputError(
                f"{record.name}: there is no annotation column {name!r}",
                f"one of {', '.join(map(repr, plan.types)) or '(none)'}",
                "name an annotation column with setInputCols",
            )
        kept.append(column)
    plan.types = {name: kind for name, kind in plan.types.items() if name in kept}

    def step(table: Table) -> None:
        table.columns = {name: rows for name, rows in table.columns.items() if name in kept}

    return step


def unchanged(record: StageRecord, plan: Plan) -> Step:
    """EmbeddingsFinisher: annotations hold their numbers already."""
    return lambda table: None


def results(rows: Rows) -> list[list[str]]:
    """The texts of each row."""
    return [[annotation.result for annotation in row] for row in rows]


# What is open in this process: pipelines that run the same model share its memory, and free it with the last.
_open: weakref.WeakValueDictionary[tuple[str, str, str], Reader] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def opened(record: StageRecord, task: str) -> tuple[Bundle, Reader]:
    """The stage's model, compiled, verified and open.

    Raises SettingError where it has none, NotAPresetError where that is of another task, and what
    :func:`bundle_for` and :func:`open_model` raise.
    """
    chosen, model = record.chosen, record.model
    if model is None:
        raise no_model(record.name)
    if task == Encoder.kind and isinstance(model, Preset):
        model = Encoder.of(model)
    gpu = gpu_visible()
    engine = engine_for(model, chosen.get("engine") or "auto", gpu)
    quantization = chosen.get("quantization") or "auto"
    precision = precision_for(
        model, engine, chosen.get("precision") or "auto", gpu, quantization
    ).precision
    bundle = bundle_for(model, engine, precision, quantization)
    if bundle.manifest.task != task:
        raise NotAPresetError(
            f"{record.name}: the model {chosen.model} is a {bundle.manifest.task}",
            f"a {task}",
            "take another model, or the stage that is made for this one",
        )
    key = (bundle.hash, str(bundle.folder), precision)
    with _opening:
        reader = _open.get(key)
        if reader is None:
            reader = _open[key] = open_model(bundle.verify(), precision)
    return bundle, reader


_WORDS = cut(cutting_options.word_rules, word_finder, tokens, TOKEN)
_SEPARATED = cut(cutting_options.separator_rules, separator_finder, tokens, TOKEN)
_SENTENCES = cut(cutting_options.sentence_rules, sentence_finder, sentences, DOCUMENT)

#: How each stage is prepared, by the path of its class below ``sparkxlmr.stages``.
STAGES: dict[str, Prepare] = {
    "document_assembler.DocumentAssembler": assembled,
    "tokenizer.TokenizerModel": _WORDS,
    "regex_tokenizer.RegexTokenizer": _SEPARATED,
    "sentence_detector.SentenceDetector": _SENTENCES,
    "xlm_roberta_for_sequence_classification.XlmRoBertaForSequenceClassification": classified,
    "albert_for_sequence_classification.AlbertForSequenceClassification": classified,
    "xlm_roberta_for_masked_lm.XlmRoBertaForMaskedLM": filled,
    "albert_for_masked_lm.AlbertForMaskedLM": filled,
    "xlm_roberta_sentence_embeddings.XlmRoBertaSentenceEmbeddings": embedded,
    "albert_sentence_embeddings.AlbertSentenceEmbeddings": embedded,
    "finisher.Finisher": finished,
    "embeddings_finisher.EmbeddingsFinisher": unchanged,
}
