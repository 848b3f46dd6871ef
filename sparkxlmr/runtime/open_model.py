"""From a bundle to what runs it: each kind of task has its class."""

from __future__ import annotations

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.embedder import Embedder
from sparkxlmr.runtime.mask_filler import MaskFiller
from sparkxlmr.runtime.predictor import Predictor
from sparkxlmr.runtime.reader import Load, Reader

_TASKS: dict[str, type[Reader]] = {model.task: model for model in (Predictor, MaskFiller, Embedder)}


def open_model(
    bundle: Bundle, precision: str = "float32", threads: int | None = None, load: Load | None = None
) -> Reader:
    """The bundle, open: a :class:`Predictor` for a text classifier, a :class:`MaskFiller` for a masked
    language model, an :class:`Embedder` for an encoder. Arguments and errors are :class:`Reader`'s.

    Raises NotAPresetError where the bundle's task is unknown here.
    """
    task = bundle.manifest.task
    if task not in _TASKS:
        raise NotAPresetError(
            f"The bundle in {bundle.folder} is a {task}", f"one of {sorted(_TASKS)}", "use a newer sparkxlmr"
        )
    return _TASKS[task](bundle, precision, threads, load=load)
