"""A fitted pipeline without Spark: texts in, annotation columns out, by the functions that Spark's workers
run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sparkxlmr.errors import NonFiniteOutputError, WrongTypeError
from sparkxlmr.runtime.local_stages import STAGES, Plan, Prepare, Table
from sparkxlmr.runtime.stage_record import StageRecord
from sparkxlmr.text.annotation import Annotation

_STAGES = "sparkxlmr.stages."


def prepare_of(record: StageRecord) -> Prepare | None:
    """How the stage is prepared; None for a stage that does not run without Spark."""
    return STAGES.get(record.path.removeprefix(_STAGES)) if record.path.startswith(_STAGES) else None


class LocalPipeline:
    """Stages whose models are open and whose settings and columns were checked. Any thread may call it.

    Args:
        records: the stages, in order.
        ignore_unsupported: leave out stages that do not run without Spark.

    Raises:
        WrongTypeError: a stage does not run without Spark (of Spark ML or of another package).
        SettingError, InputError: a setting or an input column that cannot be used.
        NotAPresetError, DamagedModelError, EngineError: what opening the models raises.
    """

    def __init__(self, records: Iterable[StageRecord], ignore_unsupported: bool = False) -> None:
        records = list(records)
        strange = [record.path for record in records if prepare_of(record) is None]
        if strange and not ignore_unsupported:
            raise WrongTypeError(
                f"LightPipeline: {', '.join(strange)} cannot run without Spark",
                "stages of this package that are fitted",
                "leave the stage out, or call setIgnoreUnsupported(True) to have it skipped",
            )
        plan = Plan()
        prepared = [(prepare_of(record), record) for record in records]
        self._steps = [
            (record.name, prepare(record, plan)) for prepare, record in prepared if prepare is not None
        ]
        #: the plain columns that are read, in order: the texts, and the second ones of pairs
        self.texts: tuple[str, ...] = tuple(plan.texts)
        #: the annotation columns that come out, with their annotator types
        self.types: dict[str, str] = dict(plan.types)

    def run(
        self,
        texts: Mapping[str, Sequence[str | None]],
        metadata: Sequence[Mapping[str, str | None]],
    ) -> list[dict[str, list[Annotation]]]:
        """The annotations of each row by column.

        Args:
            texts: a column for each name of `texts`, n texts each.
            metadata: n times what a document's metadata hold besides.

        Raises:
            NonFiniteOutputError: a model's output for some rows is NaN or infinite; it has their positions.
        """
        table = Table(texts, metadata)
        for stage, step in self._steps:
            try:
                step(table)
            except NonFiniteOutputError as error:
                raise NonFiniteOutputError(error.task, error.rows, error.unit, error.where, stage) from None
        return [
            {name: rows[number] for name, rows in table.columns.items()} for number in range(len(metadata))
        ]
