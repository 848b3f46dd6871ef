"""What the README shows works as it is printed."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sparkxlmr import cli
from sparkxlmr.jobs import classify

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_examples_run(
    spark, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for example in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "deu_Latn" in printed
    assert "['Sports', 'Business']" in printed
    assert "The president of the United " in printed


def test_the_training_program_names_its_extra_and_imports_the_package_first() -> None:
    before, program = README.partition("## Train")[2].split("```python", 1)
    assert '"sparkxlmr[cpu]"' in before
    # Keras' own import fails with a page of frames where it has no backend; this package's error is one line.
    assert program.index("from sparkxlmr.models import") < program.index("import keras")


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_every_make_target_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z][a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def shown_commands() -> list[list[str]]:
    """The lines of the console blocks, continued lines joined, comments dropped, split as a shell would."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    # shlex would take the # of `env.tar.gz#env` for a comment too.
    uncommented = (re.sub(r"(^|\s)#.*", "", line) for line in lines)
    return [words for words in map(shlex.split, uncommented) if words]


def test_every_shown_command_is_understood() -> None:
    mine = [words[1:] for words in shown_commands() if Path(words[0]).name == "sparkxlmr"]
    assert mine
    for words in mine:
        assert callable(cli.parser().parse_args(words).action), words


def test_the_shown_job_of_spark_submit_is_understood() -> None:
    (words,) = [words for words in shown_commands() if words[0] == "spark-submit"]
    (position,) = [i for i, word in enumerate(words) if word.endswith(".py")]
    files = [words[position], words[words.index("--properties-file") + 1]]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    options = argparse.ArgumentParser(exit_on_error=False)
    classify.add_arguments(options)
    assert options.parse_args(words[position + 1 :]).text == "comment"


def test_numbers_are_those_that_scripts_wrote() -> None:
    done = subprocess.run(
        [sys.executable, "docs/refresh.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
