"""The examples that need Spark print what their pages show, all in one session; every stage has its page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pages
import pytest

import sparkxlmr.annotator
import sparkxlmr.base

TEXTS = {page: page.read_text(encoding="utf-8") for page in pages.pages()}
WITH_SPARK = [page for page, text in TEXTS.items() if pages.needs_spark(text)]


@pytest.fixture(scope="module")
def replaced() -> dict[str, str]:
    return pages.stand_ins(Path(os.environ["SPARKXLMR_HOME"]))


@pytest.mark.parametrize("page", WITH_SPARK, ids=lambda page: page.stem)
def test_examples_print_what_the_page_shows(page, spark, replaced, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = list(pages.run_examples(TEXTS[page], page.name, replaced))
    assert [printed for shown, printed in outputs if shown] == [shown for shown, _ in outputs if shown]


def test_every_stage_has_a_page_with_an_example_and_its_settings():
    stages = {
        name
        for door in (sparkxlmr.base, sparkxlmr.annotator)
        for name in door.__all__
        if hasattr(getattr(door, name), "params") and not name.endswith("Model")
    }
    assert stages >= {"DocumentAssembler", "Tokenizer", "XlmRoBertaForSequenceClassification"}
    for name in stages:
        file = re.sub(r"(?<!^)(?=[A-Z])", "_", name.replace("LM", "Lm").replace("RoBerta", "Roberta")).lower()
        text = TEXTS[Path(pages.__file__).parent / "stages" / f"{file}.md"]
        assert text.startswith(f"# {name}\n")
        assert f"<!-- params-{name}:" in text
        assert pages.needs_spark(text)
