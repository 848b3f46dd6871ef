"""What all sequence classifiers are: their settings, and how one call of a UDF becomes their columns."""

from __future__ import annotations

import logging
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pyspark.sql import DataFrame, SparkSession

from sparkxlmr.errors import InputError, NotAPresetError, SettingError
from sparkxlmr.presets.preset import Preset
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engine_choice import resolve_engine, resolve_precision
from sparkxlmr.runtime.host import verified_folder
from sparkxlmr.runtime.row_classifier import RowOptions
from sparkxlmr.spark import scoring
from sparkxlmr.spark.annotation import DOCUMENT, bind, quoted, with_annotations
from sparkxlmr.spark.annotator import Annotator
from sparkxlmr.spark.compat import case_sensitive, ensure_worker_python, gpus_of_tasks, is_local
from sparkxlmr.spark.distribution import distribute
from sparkxlmr.spark.model_io import ModelStage
from sparkxlmr.spark.model_ref import WAYS
from sparkxlmr.spark.params import param

Self = TypeVar("Self", bound="SequenceClassifier")
_log = logging.getLogger(__name__)


class SequenceClassifier(ModelStage, Annotator):  # type: ignore[misc]  # read() of ModelStage is meant
    """Base of the classifiers of a family; settings have Spark NLP's names and defaults where it has them.

    A stage is made by `pretrained`, `loadSavedModel` or `load`; one that was only constructed has no
    model, and `transform` says so.
    """

    #: what presets this stage runs, and the one that `pretrained()` takes
    family: ClassVar[str] = ""
    default_model: ClassVar[str] = ""

    batchSize = param(
        "Texts of one engine call at most. Unless set, a budget of tokens decides, which is faster.",
        int,
        8,
        minimum=1,
    )
    maxSentenceLength = param(
        "Pieces of a text that are read, <s> and </s> included; at most what the model allows.",
        int,
        128,
        minimum=3,
    )
    caseSensitive = param("False lower-cases the text first.", bool, True)
    coalesceSentences = param("One annotation a row, from the mean of its sentences' scores.", bool, False)
    activation = param(
        "softmax: one label a text. sigmoid: each label with a score above the threshold.",
        str, "softmax", choices=("softmax", "sigmoid"),
    )  # fmt: skip
    multilabel = param("True is another way to say activation sigmoid.", bool, False)
    threshold = param("Score above which sigmoid gives a label.", float, 0.5, minimum=0.0, maximum=1.0)
    engine = param("What computes: auto, openvino, tensorflow.", str, "auto")
    precision = param("What it computes in: auto, float32, bfloat16, ...", str, "auto")
    distribution = param("How the model reaches the executors.", str, "auto", choices=WAYS)
    topScores = param("How many of the best scores stand in the metadata; unset: all.", int, minimum=1)
    predictionCol = param("Name of a double column for the label's id; unset: none.", str)
    probabilityCol = param("Name of a vector column for the scores in id order; unset: none.", str)

    @classmethod
    def pretrained(
        cls: type[Self],
        name: str | PathLike[str] | None = None,
        lang: str | None = None,
        remote_loc: str | PathLike[str] | None = None,
    ) -> Self:
        """A stage with the model of a built-in name or of a preset folder.

        - `name`: e.g. "xlm_roberta_tiny_language_id", or a path; left out: the stage's default model.
        - `lang`: accepted as in Spark NLP; names are unique here, so it chooses nothing.
        - `remote_loc`: a folder of presets in which `name` is looked up instead.

        Raises PresetNotFoundError, NotAPresetError or DamagedModelError.
        """
        name = cls.default_model if name is None else name
        return cls()._accept(Preset.open(name if remote_loc is None else Path(remote_loc) / name))

    @classmethod
    def loadSavedModel(
        cls: type[Self], folder: str | PathLike[str], spark: SparkSession | None = None
    ) -> Self:
        """A stage with the model of a local folder (a preset). `spark` is accepted as in Spark NLP, not used.

        Raises NotAPresetError where the folder holds something else.
        """
        if not Path(folder).is_dir():
            raise NotAPresetError(f"There is no folder {folder}", "the folder of a preset", "check the path")
        return cls()._accept(Preset.open(Path(folder)))

    def getClasses(self) -> list[str]:
        """The labels, in the order of their ids."""
        return list(self.model.labels)

    def withModel(self: Self, model: Preset) -> Self:
        """Give this stage its model; returns the stage. NotAPresetError where it fits another stage."""
        return self._accept(model)

    def _accept(self: Self, preset: Preset) -> Self:
        kind = preset.task.kind if preset.task is not None else "bare encoder"
        if kind != "text_classifier" or preset.config.family != self.family:
            raise NotAPresetError(
                f"{type(self).__name__}: {preset.path} is a {kind} of family {preset.config.family!r}",
                f"a text classifier of family {self.family!r}",
                "take another preset, or the stage that is made for this one",
            )
        if len(set(preset.labels)) != len(preset.labels):
            raise NotAPresetError(
                f"{type(self).__name__}: labels of the preset {preset.path} are called alike",
                "a name of its own for each label",
                "rename them in the preset's task.json (classes)",
            )
        self._model = preset
        return self

    def _transform(self, df: DataFrame) -> DataFrame:
        document = quoted(self._input_fields(df)[DOCUMENT].name)
        self._check_new_columns(df)
        spark = df.sparkSession
        ensure_worker_python(spark)
        bundle, precision = self._bundle(spark)
        options = self._options(bundle)
        ref = distribute(bundle, self.getDistribution(), spark, precision)
        scored = scoring.scored(document["result"], ref, options)
        if not options.row_scores:
            # One expression, and so one projection: only through one does Spark push a limit below the UDF.
            column = bind(
                scored, lambda result: scoring.category_annotations(result, document, bundle.labels, options)
            )
            return with_annotations(df, self.required("outputCol"), column, self.output_type)
        name = f"__{self.uid}"
        result = quoted(name)
        df = df.withColumn(name, scored)
        column = scoring.category_annotations(result, document, bundle.labels, options)
        df = with_annotations(df, self.required("outputCol"), column, self.output_type)
        if self.isDefined(self.predictionCol):
            values = scoring.prediction(result)
            df = df.withColumn(self.getPredictionCol(), values.alias("p", metadata=_nominal(bundle.labels)))
        if self.isDefined(self.probabilityCol):
            df = df.withColumn(self.getProbabilityCol(), scoring.probability(result, len(bundle.labels)))
        return df.drop(name)

    def _check_new_columns(self, df: DataFrame) -> None:
        """Numeric columns must be new: replacing someone's `prediction` silently would be found out late."""
        fold = str if case_sensitive(df.sparkSession) else str.lower
        taken = {fold(name) for name in (*df.columns, self.required("outputCol"))}
        for name in ("predictionCol", "probabilityCol"):
            column = self.setting(name)
            if column is not None and fold(column) in taken:
                raise InputError(
                    f"{type(self).__name__}: {name} is {column!r}, and there is a column of that name",
                    "the name of a new column",
                    f"choose another name, or drop the column {column!r} first",
                )
            taken.add(fold(column or ""))

    def _bundle(self, spark: SparkSession) -> tuple[Bundle, str]:
        """The compiled, verified model and the precision it runs in: what can fail does so before a job."""
        gpu = gpus_of_tasks(spark) or (is_local(spark) and gpu_visible())
        engine = resolve_engine(self.getEngine(), gpu)
        precision = resolve_precision(self.getPrecision(), engine)
        bundle = verified_folder(bundle_for(self.model, engine))
        _tell_once(self.model.name, bundle.hash, engine, precision)
        return bundle, precision

    def _options(self, bundle: Bundle) -> RowOptions:
        length = int(self.getMaxSentenceLength())
        if length > bundle.max_length:
            if self.isSet(self.maxSentenceLength):
                raise SettingError(
                    f"{type(self).__name__}: maxSentenceLength is {length}",
                    f"at most {bundle.max_length}, what the model {self.model.name} allows",
                    f"call setMaxSentenceLength({bundle.max_length})",
                )
            length = bundle.max_length
        activation = self.getActivation()
        if self.getMultilabel() or (
            not self.isSet(self.activation) and bundle.manifest.activation == "sigmoid"
        ):
            activation = "sigmoid"
        return RowOptions(
            max_length=length,
            batch_size=self.getBatchSize() if self.isSet(self.batchSize) else None,
            activation=activation,
            threshold=self.getThreshold(),
            coalesce=self.getCoalesceSentences(),
            top=self.setting("topScores"),
            lower_case=not self.getCaseSensitive(),
            row_scores=self.isDefined(self.predictionCol) or self.isDefined(self.probabilityCol),
        )


@lru_cache(maxsize=256)
def _tell_once(name: str, bundle_hash: str, engine: str, precision: str) -> None:
    """Log what runs a model, once for a model and choice; the hash tells models of one name apart."""
    _log.info("%s (%s) runs with engine %s in %s", name, bundle_hash[:12], engine, precision)


def _nominal(labels: tuple[str, ...]) -> dict[str, Any]:
    """Column metadata by which Spark ML knows the names of the classes (IndexToString reads it)."""
    return {"ml_attr": {"type": "nominal", "vals": list(labels)}}
