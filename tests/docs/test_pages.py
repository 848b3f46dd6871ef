"""The documentation: it builds without a warning, its examples run, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CHECKPOINT = ROOT / "tests" / "fixtures" / "hugging_face" / "xlmr_sequence_classification"


def examples() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
        found += [(f"{page.name}-{i}", block) for i, block in enumerate(blocks)]
    return found


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    models = (tmp_path / "site" / "api" / "models.html").read_text(encoding="utf-8")
    for name in ("XLMRobertaTextClassifier", "AlbertMaskedLM", "fill_mask", "predict_labels"):
        assert name in models


@pytest.mark.parametrize(("name", "source"), examples(), ids=[name for name, _ in examples()])
def test_examples_run(name: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(source.replace("hf://org/name", str(CHECKPOINT)), name, "exec"), {})


def test_every_link_leads_somewhere() -> None:
    missing = []
    for page in PAGES:
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        missing += [
            (page.name, link) for link in links if "://" not in link and not (page.parent / link).exists()
        ]
    assert missing == []
