"""A fitted stage as plain values: what Spark holds in memory and what it saved come to the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkxlmr.runtime.stage_options import Chosen

if TYPE_CHECKING:
    from sparkxlmr.presets.open_model_folder import Model


@dataclass(frozen=True)
class StageRecord:
    """One stage of a fitted pipeline.

    Attributes:
        path: module and name of its class, as Spark ML saves it.
        chosen: its settings.
        model: the model it runs; None for a stage without.

    >>> StageRecord("sparkxlmr.stages.finisher.Finisher", Chosen({}, frozenset())).name
    'Finisher'
    """

    path: str
    chosen: Chosen
    model: Model | None = None

    @property
    def name(self) -> str:
        """The class's own name."""
        return self.path.rpartition(".")[2]
