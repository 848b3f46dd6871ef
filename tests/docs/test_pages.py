"""The documentation: it builds without a warning, its examples run, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[2]
TEXTS = {page: page.read_text(encoding="utf-8") for page in pages.pages()}
WITHOUT_SPARK = [p for p, text in TEXTS.items() if pages.has_examples(text) and not pages.needs_spark(text)]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page, names in {
        "models": ("XLMRobertaTextClassifier", "AlbertMaskedLM", "fill_mask", "predict_labels"),
        "stages": ("XlmRoBertaForSequenceClassification", "setTopScores", "loadSavedModel"),
        "light": ("LightPipeline", "fullAnnotate", "from_disk"),
        "display": ("annotations_html", "show"),
    }.items():
        built = (tmp_path / "site" / "api" / f"{page}.html").read_text(encoding="utf-8")
        assert [name for name in names if name not in built] == []


@pytest.mark.parametrize("page", WITHOUT_SPARK, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = list(pages.run_examples(TEXTS[page], page.name, pages.stand_ins(tmp_path / "home")))
    assert [printed for shown, printed in outputs if shown] == [shown for shown, _ in outputs if shown]


def test_every_link_leads_somewhere() -> None:
    missing = []
    for page, text in TEXTS.items():
        links = re.findall(r"\]\(([^)#]+)\)", text)
        missing += [
            (page.name, link) for link in links if "://" not in link and not (page.parent / link).exists()
        ]
    assert missing == []


def test_every_page_is_in_the_index() -> None:
    def listed(page: Path) -> set[Path]:
        trees = re.findall(r"```\{toctree\}\n(.*?)```", TEXTS[page], re.S)
        names = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
        found = {(page.parent / f"{name}.md").resolve() for name in names}
        return found.union(*(listed(each) for each in found))

    index = ROOT / "docs" / "index.md"
    assert listed(index) | {index} == set(TEXTS)


def test_an_example_takes_its_output_and_a_table_its_rows() -> None:
    page = "a\n```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```text\nold\n```\nend\n"
    outputs = list(pages.run_examples(page, "page"))
    assert outputs == [("", ""), ("old", "1")]
    assert pages.with_outputs(page, [now for _, now in outputs]) == page.replace("old", "1")
    table = pages.with_tables("<!-- params-Finisher: x -->\n<!-- /params-Finisher -->")
    assert "| `outputAsArray` | `True` | True or False | Arrays of results" in table
    assert pages.with_tables(table) == table
