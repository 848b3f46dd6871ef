"""What a stage's model is refused for, on Spark and without it."""

from __future__ import annotations

from collections.abc import Sequence

from sparkxlmr.errors import InputError, NotAPresetError, SettingError


def check_labels(stage: str, model: object, labels: Sequence[str]) -> None:
    """Refuse a classifier whose labels could not be told apart in an annotation's metadata.

    `model` names or locates it for the message. Raises NotAPresetError.

    >>> check_labels("AStage", "a_model", ["World", "Sports"])
    """
    if len(set(labels)) != len(labels):
        raise NotAPresetError(
            f"{stage}: labels of the model {model} are called alike",
            "a name of its own for each label",
            "rename them in the preset's task.json (classes), or in assets/labels.txt",
        )


def no_model(stage: str) -> SettingError:
    """The error of a stage that was constructed and given no model."""
    return SettingError(
        f"{stage} has no model", "one that was pretrained or saved", f"begin with {stage}.pretrained()"
    )


def existing_column(stage: str, setting: str, name: str, own: bool = False) -> InputError:
    """The error of an output column that exists already; `own`: the stage itself makes the other one.

    >>> print(str(existing_column("AStage", "outputCol", "label")).split(". ")[0])
    AStage: outputCol is 'label', and there is a column of that name
    """
    remedy = f"choose another name, or drop or rename the column {name!r} first"
    if not own:
        remedy += ", or call setOverwriteColumns(True) to replace it"
    return InputError(
        f"{stage}: {setting} is {name!r}, and there is a column of that name",
        "the name of a new column",
        remedy,
    )
