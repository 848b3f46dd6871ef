"""Pipelines by name, by Spark NLP's name of this module: ``from sparkxlmr.pretrained import ...``.

Importing it does not import pyspark.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import PresetNotFoundError, SettingError
from sparkxlmr.light import LightPipeline
from sparkxlmr.presets import builtin
from sparkxlmr.presets.home import home
from sparkxlmr.presets.names import open_named, within
from sparkxlmr.presets.open_model_folder import open_model
from sparkxlmr.presets.saved_folder import METADATA, metadata_of, saved_folder
from sparkxlmr.presets.spark_nlp_stage import OWNER
from sparkxlmr.runtime.standard_pipeline import standard_pipeline

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

__all__ = ["PretrainedPipeline"]

Place = str | PathLike[str]


class PretrainedPipeline:
    """A whole pipeline in one line: a saved one, or the standard one around a model.

    `name` is, in this order: a saved pipeline (its folder or URL, or its name in a folder of models, as
    `pretrained` of the stages looks them up); else a model, by any name or handle that `pretrained` takes.
    Around a model stand the stages that read a column `text` and make `document`, `token`, and `class` (a
    classifier), `filled` (a masked language model) or `sentence_embeddings` (a bare encoder).

    Args:
        name: as above.
        lang: accepted as in Spark NLP; names are unique here, so it chooses nothing.
        remote_loc: a folder, or its URL, in which `name` is looked up instead.
        parse_embeddings: as for :class:`~sparkxlmr.light.LightPipeline`.
        disk_location: the folder or URL of a saved pipeline; `name` is then not used.

    Raises:
        PresetNotFoundError: there is neither a pipeline nor a model of that name.
        SettingError: neither `name` nor `disk_location` is given.
        NotAPresetError, DamagedModelError: what lies there cannot be used.

    >>> languages = PretrainedPipeline("xlm_roberta_tiny_language_id")
    >>> languages.annotate("Dies ist ein deutscher Satz.")["class"]
    ['deu_Latn']
    """

    #: the pipeline on strings
    light_model: LightPipeline

    def __init__(
        self,
        name: Place | None = None,
        lang: str | None = "en",
        remote_loc: Place | None = None,
        parse_embeddings: bool = False,
        disk_location: Place | None = None,
    ) -> None:
        saved = disk_location
        if saved is None:
            if not name:
                raise SettingError(
                    "PretrainedPipeline was given no name",
                    "the name of a pipeline or of a model",
                    'call for example PretrainedPipeline("xlm_roberta_tiny_language_id")',
                )
            saved = next((place for place in _candidates(name, remote_loc) if _is_saved(place)), None)
        if saved is not None:
            self.light_model = LightPipeline.load(saved, parse_embeddings)
            return
        assert name is not None
        model = open_named(name, _places()) if remote_loc is None else open_model(within(remote_loc, name))
        self.light_model = LightPipeline._of(standard_pipeline(model), parse_embeddings)

    @staticmethod
    def from_disk(path: Place, parse_embeddings: bool = False) -> PretrainedPipeline:
        """A saved pipeline of this machine or of a URL; errors are those of :class:`PretrainedPipeline`."""
        return PretrainedPipeline(parse_embeddings=parse_embeddings, disk_location=path)

    @property
    def model(self) -> PipelineModel:
        """The pipeline on DataFrames; made or loaded, with pyspark, when this is first asked for."""
        return self.light_model.pipeline_model

    def annotate(self, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`~sparkxlmr.light.LightPipeline.annotate`."""
        return self.light_model.annotate(*args, **kwargs)

    def fullAnnotate(self, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`~sparkxlmr.light.LightPipeline.fullAnnotate`."""
        return self.light_model.fullAnnotate(*args, **kwargs)

    def transform(self, data: DataFrame) -> DataFrame:
        """The pipeline on a DataFrame; it reads the column `text` where it stands around a model."""
        return self.model.transform(data)

    def __repr__(self) -> str:
        return f"PretrainedPipeline({self.light_model!r})"


def _candidates(name: Place, remote_loc: Place | None) -> Iterator[Place]:
    """Where a saved pipeline of that name may lie; a built-in name is a model's, and looked up nowhere."""
    if remote_loc is not None:
        yield within(remote_loc, name)
        return
    if name in builtin.names():
        return
    yield name
    if isinstance(name, str) and Path(name).name == name and not name.startswith("."):
        places: list[Place] = [*_places(), home(), home() / "models"]
        yield from (within(place, name) for place in places)


def _places() -> list[str]:
    """Folders of models that the session names; where pyspark was never imported there is no session."""
    if sys.modules.get("pyspark") is None:
        return []
    from sparkxlmr.spark.model_places import model_places

    return model_places()


def _is_saved(place: Place) -> bool:
    """Whether a Spark ML stage was saved there that is no model: a classifier of Spark NLP's is one."""
    if isinstance(place, str) and place.startswith(("hf://", "kaggle://")):
        return False
    try:
        folder = saved_folder(place)
    except PresetNotFoundError:
        return False
    return bool(folder.names(METADATA)) and not metadata_of(folder)["class"].startswith(OWNER)
