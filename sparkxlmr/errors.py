"""The exceptions a user of sparkxlmr can meet.

Every message has three parts: what came, what was expected, what to do. All of them derive from
:class:`SparkxlmrError`, so ``except SparkxlmrError`` catches whatever this package raises on purpose; each
also derives from the built-in exception that a Python user would expect (``ValueError``,
``FileNotFoundError``, ...).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SparkxlmrError(Exception):
    """Base of all errors that this package raises on purpose.

    >>> try:
    ...     raise SettingError("batchSize is 0.", "a whole number above 0", "set it with setBatchSize(8)")
    ... except SparkxlmrError as error:
    ...     print(error)
    batchSize is 0. Expected a whole number above 0. To mend it: set it with setBatchSize(8).
    """

    def __init__(self, came: str, expected: str = "", remedy: str = "") -> None:
        self.came, self.expected, self.remedy = came, expected, remedy
        parts = [came if came.endswith((".", "!", "?")) else came + "."]
        if expected:
            parts.append(f"Expected {expected.rstrip('.')}.")
        if remedy:
            parts.append(f"To mend it: {remedy.rstrip('.')}.")
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        # The three parts survive pickling: errors travel from Spark's Python workers to the driver.
        return type(self), (self.came, self.expected, self.remedy)


class SettingError(SparkxlmrError, ValueError):
    """A setting, argument or option has a value that cannot be used."""


class InputError(SparkxlmrError, ValueError):
    """A DataFrame or an input file does not have what a stage or command needs (column, type, schema)."""


class OutputError(SparkxlmrError, ValueError):
    """A result cannot be written where, or as, it was asked for."""


class PresetNotFoundError(SparkxlmrError, FileNotFoundError):
    """No preset of that name or at that place."""


class NotAPresetError(SparkxlmrError, ValueError):
    """A folder or file is there, but it is not a preset (or bundle) that can be read."""


class DamagedModelError(SparkxlmrError, ValueError):
    """Model files are incomplete or their content does not match their recorded hash."""


class WeightsError(SparkxlmrError, ValueError):
    """Weights do not fit the model: a name is missing, unused, or of another shape."""


class EngineError(SparkxlmrError, RuntimeError):
    """An engine is not installed or cannot run this model here."""


class NonFiniteOutputError(SparkxlmrError, ArithmeticError):
    """A model's output for some texts is NaN or infinite, so that no label, token or vector can be given.

    Attributes:
        task: the kind of the model, for example ``"text_classifier"``.
        rows: the positions of all such texts or rows, ascending, counted from 0; never their text.
        unit: what has these positions: ``"text"`` (of a call) or ``"row"``.
        where: what rows are counted in, for example ``"of partition 3"``.
        stage: the stage's class name where it is known.

    >>> print(str(NonFiniteOutputError("text_classifier", [4], "row", "of partition 3")).split(". ")[0])
    The output of the text classifier is NaN or infinite for row 4 of partition 3 (counted from 0)
    """

    def __init__(
        self, task: str, rows: Sequence[int], unit: str = "text", where: str = "", stage: str = ""
    ) -> None:
        self.task, self.rows, self.unit, self.where, self.stage = task, tuple(rows), unit, where, stage
        shown = ", ".join(map(str, self.rows[:10])) + (", ..." if len(self.rows) > 10 else "")
        named = unit if len(self.rows) == 1 else f"{unit}s"
        place = " ".join(filter(None, (named, shown, where)))
        came = f"The output of the {task.replace('_', ' ')} is NaN or infinite for {place} (counted from 0)"
        super().__init__(
            f"{stage}: {came}" if stage else came,
            "finite numbers",
            "compute in float32 where a narrower precision overflows (setPrecision('float32')); where "
            "float32 does so too, the model is damaged: fetch or train it again",
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.task, self.rows, self.unit, self.where, self.stage)


class EnvironmentNotReadyError(SparkxlmrError, RuntimeError):
    """Something outside the package is missing: Java, pyspark, or the package on an executor."""


class WrongTypeError(SparkxlmrError, TypeError):
    """An argument, or a stage, is of another kind than what is taken here."""
