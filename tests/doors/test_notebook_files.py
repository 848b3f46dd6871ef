"""What the notebooks' files hold: a first cell that finds the package, and clean stored outputs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LOCAL_FOLDERS = ("tmp", "home", "root", "work", "Users", "dbfs", "mnt")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def check_outputs(outputs) -> None:
    """Fail for what a reader of the stored notebook should not see."""
    for output in outputs:
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", output["text"][:200]
        text = str(output)
        assert "\b" not in text, "a progress bar that goes back"
        assert "\\x08" not in text, "a progress bar that goes back"
        assert not any(f"/{folder}/" in text for folder in LOCAL_FOLDERS)


def test_stored_outputs_are_clean(notebook):
    for cell in notebook.cells:
        check_outputs(cell.get("outputs", []))


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "stream", "name": "stderr", "text": "WARN NativeCodeLoader"},
        {"output_type": "stream", "name": "stdout", "text": "1/2 ━━\b\b\b\b 2/2 ━━"},
        {"output_type": "stream", "name": "stdout", "text": "/home/someone/model"},
        {"output_type": "error", "ename": "KeyError", "evalue": "", "traceback": []},
    ],
)
def test_check_outputs_refuses(output):
    with pytest.raises(AssertionError):
        check_outputs([output])


def test_no_cell_installs_a_name_that_is_not_published(notebook):
    for cell in notebook.cells:
        assert "pip install" not in cell.source
        assert "%pip" not in cell.source


@pytest.fixture
def run_first_cell(notebook, monkeypatch):
    """`run_first_cell(cwd, installed, edit)`: the first code cell where only these modules are installed.

    Returns what it asks pip for. `edit` replaces a text of the cell.
    """
    (source, *_) = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    asked = []
    shell = SimpleNamespace(run_line_magic=lambda name, line: asked.append((name, line)))

    def run(cwd: Path, installed: tuple[str, ...], edit: tuple[str, str] = ("", "")) -> list[tuple[str, str]]:
        def find_spec(name):
            return SimpleNamespace(origin=f"/site-packages/{name}/__init__.py") if name in installed else None

        def version(name):
            if name in installed:
                return "1.0"
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.chdir(cwd)
        monkeypatch.setenv("JAVA_HOME", "/java")
        with monkeypatch.context() as patch:
            patch.setattr(importlib.util, "find_spec", find_spec)
            patch.setattr(importlib.metadata, "version", version)
            exec(source.replace(*edit) if edit[0] else source, {"get_ipython": lambda: shell})
        return asked

    return run


OTHERS = ("matplotlib", "tensorflow", "pyspark")


def test_first_cell_installs_nothing_that_is_installed(run_first_cell, tmp_path):
    assert run_first_cell(tmp_path, ("sparkxlmr", *OTHERS)) == []


def test_first_cell_installs_the_checkout_around_it(run_first_cell):
    checkout = FOLDER.parent
    assert run_first_cell(FOLDER, OTHERS) == [("pip", f"install --quiet {checkout}")]


def test_first_cell_installs_a_wheel(run_first_cell, tmp_path):
    wheel = "/Volumes/main/default/my wheels/sparkxlmr-1.0-py3-none-any.whl"
    asked = run_first_cell(tmp_path, ("matplotlib", "tensorflow"), ('SOURCE = ""', f'SOURCE = "{wheel}"'))
    assert asked == [("pip", f"install --quiet '{wheel}[spark]'")]


def test_first_cell_outside_of_a_checkout_says_what_to_set(run_first_cell, tmp_path):
    with pytest.raises(FileNotFoundError, match="set SOURCE"):
        run_first_cell(tmp_path, OTHERS)
