"""What all stages that run a model are: where the model comes from, and how it reaches the executors."""

from __future__ import annotations

import logging
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import ClassVar, TypeVar

from pyspark.sql import SparkSession

from sparkxlmr.errors import NotAPresetError, SettingError
from sparkxlmr.presets.names import open_named, within
from sparkxlmr.presets.open_model_folder import Model, open_model
from sparkxlmr.runtime.bundle import DEFAULT_TEXT_LENGTH, Bundle
from sparkxlmr.runtime.compiler import bundle_for
from sparkxlmr.runtime.devices import gpu_visible
from sparkxlmr.runtime.engine_choice import engine_for
from sparkxlmr.runtime.host import verified_folder
from sparkxlmr.runtime.precision_choice import Choice, precision_for
from sparkxlmr.runtime.quantization import QUANTIZATIONS
from sparkxlmr.runtime.stage_options import Chosen, text_length
from sparkxlmr.spark.annotator import Annotator
from sparkxlmr.spark.compat import ensure_worker_python, gpus_of_tasks, is_local
from sparkxlmr.spark.distribution import distribute
from sparkxlmr.spark.model_io import ModelStage
from sparkxlmr.spark.model_places import model_places
from sparkxlmr.spark.model_ref import WAYS, ModelRef
from sparkxlmr.spark.params import param

Self = TypeVar("Self", bound="ModelAnnotator")
_log = logging.getLogger(__name__)
_KINDS = {
    "text_classifier": "text classifier",
    "masked_lm": "masked language model",
    "encoder": "preset, with any head or none,",
}


class ModelAnnotator(ModelStage, Annotator):  # type: ignore[misc]  # read() of ModelStage is meant
    """Base of the stages that run a model.

    A stage is made by `pretrained`, `loadSavedModel` or `load`; one that was only constructed has no
    model, and `transform` says so.
    """

    #: what presets this stage runs, and the built-in one that `pretrained()` takes, "" where there is none
    family: ClassVar[str] = ""
    task: ClassVar[str] = ""
    default_model: ClassVar[str] = ""

    batchSize = param(
        "Texts of one engine call at most. Unless set, a budget of tokens decides, which is faster.",
        int,
        8,
        minimum=1,
    )
    maxSentenceLength = param(
        "Pieces of a text that are read, special ones at its ends included; at most what the model allows.",
        int,
        DEFAULT_TEXT_LENGTH,
        minimum=3,
    )
    caseSensitive = param(
        "False lower-cases the text first, True does not. Unless set, the model's own tokenizer decides.",
        bool,
        True,
    )
    engine = param("What computes: openvino, tensorflow, keras or auto, what is there and fits.", str, "auto")
    precision = param(
        "In which numbers: float32, bfloat16, float16, int8 or auto, what is fast here and keeps the labels.",
        str,
        "auto",
    )
    quantization = param(
        "How int8 finds the ranges of what it multiplies: static (the model's calibration), dynamic (while "
        "running) or auto, static where the model has a calibration.",
        str,
        "auto",
        choices=QUANTIZATIONS,
    )
    distribution = param("How the model reaches the executors.", str, "auto", choices=WAYS)

    @classmethod
    def pretrained(
        cls: type[Self],
        name: str | PathLike[str] | None = None,
        lang: str | None = None,
        remote_loc: str | PathLike[str] | None = None,
    ) -> Self:
        """A stage with the model of a built-in name, of a folder of models, or of a handle.

        - `name`: e.g. "xlm_roberta_tiny_language_id"; the name of a folder in `SPARKXLMR_HOME`, in
          `SPARKXLMR_HOME/models`, or in one that the session's `spark.sparkxlmr.models` names (paths or URLs,
          with commas between them); a path, or what else :func:`sparkxlmr.presets.handles.resolve` takes
          (`hf://org/name`, `s3://...`). Left out: the stage's default model.
        - `lang`: accepted as in Spark NLP; names are unique here, so it chooses nothing.
        - `remote_loc`: a folder of models, or its URL, in which `name` is looked up instead.

        Raises PresetNotFoundError, NotAPresetError or DamagedModelError; SettingError where no name is given
        and the stage has no default model.
        """
        name = cls.default_model if name is None else name
        if not name:
            raise SettingError(
                f"{cls.__name__}.pretrained() was given no name",
                "the name or the folder of a model; this package ships none for this stage",
                f'call {cls.__name__}.pretrained("path/of/a/preset")',
            )
        if remote_loc is not None:
            return cls()._accept(open_model(within(remote_loc, name)))
        return cls()._accept(open_named(name, model_places()))

    @classmethod
    def loadSavedModel(
        cls: type[Self], folder: str | PathLike[str], spark: SparkSession | None = None
    ) -> Self:
        """A stage with the model of a folder; `spark` is accepted as in Spark NLP, not used.

        The folder is a preset, a Hugging Face checkpoint, or what Spark NLP's `loadSavedModel` takes: a
        TensorFlow SavedModel, `model.onnx` or `openvino_model.xml` with `assets/`
        (:mod:`sparkxlmr.presets.saved_graph` says what is in them). The engine `openvino` reads all three,
        `tensorflow` SavedModels. No code in a file is run: operators that do more than compute are refused.

        Raises PresetNotFoundError where there is no such folder, NotAPresetError where it holds something
        else or something that is refused, DamagedModelError where a file is not whole.
        """
        return cls()._accept(open_model(folder if "://" in str(folder) else Path(folder)))

    def _title(self) -> str:
        if self._model is None:
            return f"{super()._title()} (no model)"
        labels = ", ".join(self._model.labels[:10]) + (", ..." if len(self._model.labels) > 10 else "")
        return f"{super()._title()}: {self._model.name}" + (f" ({labels})" if labels else "")

    def withModel(self: Self, model: Model) -> Self:
        """Give this stage its model; returns the stage. NotAPresetError where it fits another stage."""
        return self._accept(model)

    def _accept(self: Self, model: Model) -> Self:
        if not self._fits(model) or model.family != self.family:
            found = "bare encoder" if model.task_kind in (None, "encoder") else _KINDS[model.task_kind]
            raise NotAPresetError(
                f"{type(self).__name__}: {model.path} is a {found} of family {model.family!r}",
                f"a {_KINDS[self.task]} of family {self.family!r}",
                "take another preset, or the stage that is made for this one",
            )
        self._check_model(model)
        self._model = model
        return self

    def _fits(self, model: Model) -> bool:
        """Whether the model is of the kind that this stage runs."""
        return model.task_kind == self.task

    def _check_model(self, model: Model) -> None:
        """Refuse a model of the right kind that this stage cannot run. Raises NotAPresetError."""

    def _distributed(self, spark: SparkSession, stream: bool = False) -> tuple[Bundle, ModelRef]:
        """The compiled, verified model, and what stands for it on its way to the executors.

        `stream`: the rows are those of a stream. What can fail does so here, before a job.
        """
        ensure_worker_python(spark)
        gpu = gpus_of_tasks(spark) or (is_local(spark) and gpu_visible())
        engine = engine_for(self.model, self.getEngine(), gpu)
        model = self._compiled_model()
        quantization = self.getQuantization()
        choice = precision_for(model, engine, self.getPrecision(), gpu, quantization)
        bundle = verified_folder(bundle_for(model, engine, choice.precision, quantization))
        _tell_once(self.model.name, bundle.hash, engine, choice)
        # What depends on the bundle is refused before anything is sent.
        self._check_settings(bundle)
        way = self.getDistribution()
        return bundle, distribute(bundle, way, spark, choice.precision, stream, owner=self.model)

    def _compiled_model(self) -> Model:
        """What of the model is compiled."""
        return self.model

    def _check_settings(self, bundle: Bundle) -> None:
        """Refuse settings that the model does not allow. Raises SettingError."""
        text_length(self._chosen(), bundle)

    def _chosen(self) -> Chosen:
        """This stage's settings for the functions of `runtime.stage_options`."""
        return self.chosen(self.model.name)


@lru_cache(maxsize=256)
def _tell_once(name: str, bundle_hash: str, engine: str, choice: Choice) -> None:
    """Log what runs a model, once for a model and choice; the hash tells models of one name apart."""
    said = "%s (%s) runs with engine %s in %s: %s"
    _log.info(said, name, bundle_hash[:12], engine, choice.precision, choice.why)
