"""Output columns: a column that exists already is refused, as Spark ML refuses it, unless the user asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyspark.sql import DataFrame

from sparkxlmr.runtime.stage_checks import existing_column
from sparkxlmr.spark.compat import case_sensitive
from sparkxlmr.spark.params import Settings, param


class OutputSettings(Settings):
    """The setting of all stages that add columns."""

    overwriteColumns = param(
        "Replace a column that has the name of an output column already, instead of refusing it.",
        bool,
        False,
    )

    def _check_output_columns(
        self, df: DataFrame, names: Mapping[str, str], dropped: Collection[str] = ()
    ) -> None:
        """Refuse output columns that exist already; names are compared as this session compares them.

        Args:
            names: name of the setting to the name of its output column; an empty one is no column.
            dropped: columns of ``df`` that the stage drops, so that nothing is lost by replacing them.

        Raises:
            InputError: a column of that name exists and ``overwriteColumns`` is not set, or two of the
                stage's own output columns have one name.
        """
        fold = str if case_sensitive(df.sparkSession) else str.lower
        overwrite = self.setting("overwriteColumns")
        kept = {fold(name) for name in df.columns} - {fold(name) for name in dropped}
        made: set[str] = set()
        for setting, name in names.items():
            if not name:
                continue
            if fold(name) in made or (fold(name) in kept and not overwrite):
                raise existing_column(type(self).__name__, setting, name, own=fold(name) in made)
            made.add(fold(name))
