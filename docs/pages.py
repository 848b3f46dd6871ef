"""What the pages take from the code: their examples with what these print, and the tables of settings.

A page is Markdown. The `python` blocks of one page run in turn and share their names; a `text` block that
follows one directly is what it prints. A block between the comments `params-<Stage>` is the table of that
stage's settings. `docs/refresh.py` writes both kinds, and the tests hold them to the code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras_hub_names

FOLDER = Path(__file__).parent
#: the model of the model card that Spark NLP's documentation shows
CARD = "xlm_roberta_base_sequence_classifier_ag_news"
_EXAMPLE = re.compile(r"```python\n(?P<source>.*?)```(?:\n+```text\n(?P<printed>.*?)```)?", re.S)
_PARAMS = re.compile(r"(<!-- params-(?P<stage>\w+):[^>]*-->).*?(<!-- /params-(?P=stage) -->)", re.S)


def pages() -> list[Path]:
    """Every page of the documentation, in a fixed order."""
    return sorted(FOLDER.rglob("*.md"))


def has_examples(page: str) -> bool:
    return _EXAMPLE.search(page) is not None


def needs_spark(page: str) -> bool:
    """Whether the page's examples run in a Spark session."""
    return any(
        "spark." in match["source"] or "pyspark" in match["source"] for match in _EXAMPLE.finditer(page)
    )


def run_examples(page: str, name: str, replaced: dict[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Run the examples of a page; for each what stands on the page as printed, and what was printed now.

    Args:
        page: its Markdown.
        name: of the page, for tracebacks.
        replaced: strings of the examples and others to stand in their place, such as a model that would have
            to be downloaded.
    """
    names: dict[str, Any] = {"__name__": "example"}
    for match in _EXAMPLE.finditer(page):
        source = match["source"]
        for old, new in (replaced or {}).items():
            source = source.replace(old, new)
        lines_before = page[: match.start("source")].count("\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * lines_before + source, name, "exec"), names)
        yield _tidy(match["printed"] or ""), _tidy(printed.getvalue())


def stand_ins(home: Path) -> dict[str, str]:
    """What to put in the place of models that would have to be downloaded: argument of :func:`run_examples`.

    The model of Spark NLP's model card is put into `home`, which the caller makes `SPARKXLMR_HOME`, as a tiny
    one of that name.
    """
    fixtures = FOLDER.parent / "tests" / "fixtures" / "hugging_face"
    put_card_model(home / "models")
    return {
        "hf://org/name": str(fixtures / "xlmr_sequence_classification"),
        "hf://albert/albert-base-v2": str(fixtures / "albert_masked_lm"),
    }


def put_card_model(folder: Path) -> Path:
    """Write the built-in AG News model under the card's name, with the card's 512 places for pieces.

    Returns its folder. The places beyond the built-in model's hold zeros: a short text gets the same answer.
    """
    import numpy as np

    from sparkxlmr.presets.preset import Preset
    from sparkxlmr.presets.writer import write_preset

    if (folder / CARD).exists():
        return folder / CARD
    small = Preset.open("xlm_roberta_tiny_ag_news").contents()
    table = small.weights["embeddings.position"]
    longer = np.pad(table, [(0, 512 - len(table)), (0, 0)])
    contents = dataclasses.replace(
        small,
        config=dataclasses.replace(small.config, max_sequence_length=512),
        weights={**small.weights, "embeddings.position": longer},
        sequence_length=512,
    )
    return write_preset(folder / CARD, contents)


def with_outputs(page: str, printed: list[str]) -> str:
    """The page with `printed`, one text an example, in place of what its `text` blocks hold."""
    outputs = iter(printed)

    def written(match: re.Match[str]) -> str:
        output, shown = next(outputs), match["printed"]
        if shown is None:
            return match[0]
        start, stop = (place - match.start() for place in match.span("printed"))
        return f"{match[0][:start]}{output}\n{match[0][stop:]}"

    return _EXAMPLE.sub(written, page)


def with_tables(page: str) -> str:
    """The page with its tables of settings, and of keras-hub's names, as the code has them now."""
    page = keras_hub_names.with_table(page)
    return _PARAMS.sub(lambda match: f"{match[1]}\n{params_table(match['stage'])}\n{match[3]}", page)


def params_table(stage: str) -> str:
    """The settings of a stage in Markdown, in the order in which they are declared, the shared ones first."""
    from sparkxlmr import annotator, base

    cls = getattr(base if hasattr(base, stage) else annotator, stage)
    declared = [
        name for part in reversed(cls.__mro__) for name, value in vars(part).items() if _is_setting(value)
    ]
    rows = ["| setting | default | takes | what it means |", "|---|---|---|---|"]
    for name in dict.fromkeys(declared):
        param = getattr(cls, name)
        default = f"`{param.default!r}`" if param.has_default else ""
        rows.append(_cells(f"`{name}`", default, param.expected, param.doc))
    return "\n".join(rows)


def _is_setting(value: Any) -> bool:
    from sparkxlmr.spark.params import Setting

    return isinstance(value, Setting)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
