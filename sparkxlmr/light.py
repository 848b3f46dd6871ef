"""LightPipeline: a fitted pipeline on strings, without Spark: ``from sparkxlmr.light import LightPipeline``.

Neither this module nor what it does imports pyspark.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import NotAPresetError, SettingError, SparkxlmrError, WrongTypeError
from sparkxlmr.runtime.light_input import LightInput, is_text
from sparkxlmr.runtime.local_pipeline import LocalPipeline, prepare_of
from sparkxlmr.runtime.saved_pipeline import read_pipeline
from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.runtime.stage_record import StageRecord
from sparkxlmr.text.annotation import SENTENCE_EMBEDDINGS, Annotation
from sparkxlmr.text.annotation_html import AnnotatedText, AnnotatedTexts
from sparkxlmr.text.float_text import float_text

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

__all__ = ["LightPipeline"]

#: annotator types whose annotations hold numbers
_NUMERIC = ("word_embeddings", SENTENCE_EMBEDDINGS)
#: metadata of documents: one for each text, or a list for each key
Metadata = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Results = dict[str, list[str]]


class LightPipeline:
    """Runs a fitted pipeline on strings in this process: no JVM, no session, the same answers as `transform`.

    All texts of a call are one batch: a list is much faster than its texts one by one. The models are opened
    when this is made; pipelines with the same model share it. Any number of threads may call.

    What comes out are the annotation columns. As in Spark NLP a Finisher makes nothing here: the columns it
    reads are kept and the others left out; and numeric columns (`predictionCol`, ...) and `explodeSentences`
    are for DataFrames only.

    Args:
        pipelineModel: a fitted pipeline (``PipelineModel``) of this package's stages.
        parse_embeddings: let :meth:`annotate` give an embedding's numbers (as text) in place of its text.
        output_cols: the columns to give; all if left out.

    Raises:
        WrongTypeError: it is no fitted pipeline.
        SettingError, InputError: a stage's settings or columns do not go together.
        NotAPresetError, DamagedModelError, EngineError: a model cannot be opened.

    Example::

        light = LightPipeline(pipeline.fit(df))
        light.annotate("Ceci n'est pas une pipe.")["language"]  # ['fra_Latn']
        light.fullAnnotate(["Ein Satz.", "Una frase."])[1]["language"][0].metadata
    """

    def __init__(
        self,
        pipelineModel: PipelineModel,
        parse_embeddings: bool = False,
        output_cols: Sequence[str] | None = None,
    ) -> None:
        stages = getattr(pipelineModel, "stages", None)
        if not isinstance(stages, list | tuple):
            raise WrongTypeError(
                f"LightPipeline was given a {type(pipelineModel).__name__}",
                "a fitted pipeline (PipelineModel)",
                "pass what pipeline.fit(df) gives, or open a saved one with LightPipeline.load(path)",
            )
        self._begin(_records(stages), parse_embeddings, output_cols, pipelineModel)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        parse_embeddings: bool = False,
        output_cols: Sequence[str] | None = None,
    ) -> LightPipeline:
        """Opens a saved pipeline (what ``PipelineModel.save`` wrote) in a process that needs no pyspark.

        Its models are verified against their recorded hashes. One that is built in, or lies in
        ``SPARKXLMR_HOME/models`` already, is not read again.

        Args:
            path: a folder of this machine, a ``file:`` URL, or a URL that fsspec opens (``s3://``, ...).
            parse_embeddings, output_cols: as for :class:`LightPipeline`.

        Raises:
            PresetNotFoundError: there is no such folder.
            NotAPresetError: it holds no fitted pipeline.
            DamagedModelError: a part of it is missing or not what was saved.
        """
        light = cls.__new__(cls)
        records = read_pipeline(path)
        try:
            light._begin(records, parse_embeddings, output_cols, source=path)
        except SparkxlmrError:
            raise
        # What a setting of another kind than the stage's own raises where it is used.
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise NotAPresetError(
                f"The saved pipeline {path} has settings that cannot be used: {error!r:.200}",
                "settings as save() writes them",
                "save the pipeline again",
            ) from error
        return light

    @classmethod
    def _of(cls, records: Iterable[StageRecord], parse_embeddings: bool) -> LightPipeline:
        light = cls.__new__(cls)
        light._begin(records, parse_embeddings, None)
        return light

    def _begin(
        self,
        records: Iterable[StageRecord],
        parse_embeddings: bool,
        output_cols: Sequence[str] | None,
        pipeline_model: PipelineModel | None = None,
        source: str | PathLike[str] | None = None,
    ) -> None:
        self.parse_embeddings = parse_embeddings
        self.output_cols = [output_cols] if isinstance(output_cols, str) else list(output_cols or [])
        self._records = list(records)
        self._pipeline_model = pipeline_model
        self._source = source
        self._ignore_unsupported = False
        self._made: LocalPipeline | None = None
        self._making = threading.Lock()
        if all(prepare_of(record) is not None for record in self._records):
            self._local()

    @property
    def pipeline_model(self) -> PipelineModel:
        """The pipeline on DataFrames; loaded or made, with pyspark, when this is first asked for."""
        if self._pipeline_model is None:
            from sparkxlmr.spark.session import require_pyspark

            require_pyspark()
            from pyspark.ml import PipelineModel

            if self._source is not None:
                self._pipeline_model = PipelineModel.load(str(self._source))
            else:
                self._pipeline_model = PipelineModel([_stage(record) for record in self._records])
        return self._pipeline_model

    def annotate(
        self,
        target: str | Sequence[str | None] | Sequence[int] | None,
        optional_target: str | Sequence[str | None] | Metadata | None = None,
        metadata: Metadata | None = None,
    ) -> Results | list[Results]:
        """The results of each column: one dict for a string, a list of dicts for a list.

        Args:
            target: a text, a list of texts, or a list of ids (whole numbers); None counts as empty, as does a
                null of pandas (NaN, ``pd.NA``, ``NaT``).
            optional_target: with ids, their texts. Else the second text, or list of them, of a pipeline that
                reads two (a pair). Or `metadata`, as the second argument without a name.
            metadata: what the documents' metadata hold besides; for a text a dict, for a list of texts a list
                of dicts, or a dict of lists. Values are strings, or lists of one string.

        Raises:
            WrongTypeError: other arguments, or a stage that cannot run without Spark.
            InputError: lists of other lengths, or a second text that no stage reads.
        """
        answers = self.fullAnnotate(target, optional_target, metadata)
        found = [{name: self._results(items) for name, items in row.items()} for row in answers]
        return found[0] if is_text(target) else found

    def fullAnnotate(
        self,
        target: str | Sequence[str | None] | Sequence[int] | None,
        optional_target: str | Sequence[str | None] | Metadata | None = None,
        metadata: Metadata | None = None,
    ) -> AnnotatedTexts:
        """The annotations of each column, a dict for each text, in a list also for a string.

        Notebooks show list and dicts as the texts with what was found in them.

        Arguments and errors are those of :meth:`annotate`. Embeddings are in their annotations, whatever
        `parse_embeddings` says.
        """
        local = self._local()
        given = LightInput.of(target, optional_target, metadata)
        answers = local.run(given.columns(local.texts), given.metadata)
        if self.output_cols:
            answers = [{name: row[name] for name in self.output_cols} for row in answers]
        return AnnotatedTexts(map(AnnotatedText, answers))

    def transform(self, dataframe: DataFrame) -> DataFrame:
        """The pipeline on a DataFrame, by Spark; with `output_cols` its own columns and those."""
        transformed = self.pipeline_model.transform(dataframe)
        if not self.output_cols:
            return transformed
        kept = dict.fromkeys([*dataframe.columns, *self.output_cols])
        return transformed.select(*["`" + name.replace("`", "``") + "`" for name in kept])

    def setIgnoreUnsupported(self, value: bool) -> LightPipeline:
        """Whether stages that cannot run without Spark (Spark ML's, for example) are left out."""
        if bool(value) != self._ignore_unsupported:
            with self._making:
                self._ignore_unsupported, self._made = bool(value), None
        return self

    def getIgnoreUnsupported(self) -> bool:
        """Whether stages that cannot run without Spark are left out."""
        return self._ignore_unsupported

    def _local(self) -> LocalPipeline:
        """The stages, ready; made once, refused where one cannot run and is not to be left out."""
        with self._making:
            if self._made is None:
                made = LocalPipeline(self._records, self._ignore_unsupported)
                missing = [name for name in self.output_cols if name not in made.types]
                if missing:
                    raise SettingError(
                        f"LightPipeline: output_cols names {', '.join(map(repr, missing))}",
                        f"columns that come out: {', '.join(map(repr, made.types))}",
                        "name these, or leave output_cols out",
                    )
                self._made = made
        return self._made

    def _results(self, annotations: list[Annotation]) -> list[str]:
        return [
            " ".join(map(float_text, annotation.embeddings))
            if self.parse_embeddings and annotation.annotatorType in _NUMERIC
            else annotation.result
            for annotation in annotations
        ]

    def __repr__(self) -> str:
        return f"LightPipeline({' -> '.join(record.name for record in self._records)})"


def _stage(record: StageRecord) -> Any:
    """The live stage of plain values."""
    module, _, name = record.path.rpartition(".")
    given = {setting: record.chosen.get(setting) for setting in record.chosen.explicit}
    stage = getattr(importlib.import_module(module), name)(**given)
    return stage if record.model is None else stage.withModel(record.model)


def _records(stages: Iterable[Any]) -> Iterable[StageRecord]:
    """Live stages as plain values; those of pipelines in the pipeline too."""
    for stage in stages:
        inner = getattr(stage, "stages", None)
        if isinstance(inner, list | tuple):
            yield from _records(inner)
            continue
        kind = type(stage)
        path = f"{kind.__module__}.{kind.__name__}"
        record = StageRecord(path, Chosen({}, frozenset(), kind.__name__))
        if prepare_of(record) is not None:
            model = stage.model if hasattr(kind, "model") else None
            chosen = stage.chosen() if model is None else stage.chosen(model.name)
            record = StageRecord(path, chosen, model)
        yield record
