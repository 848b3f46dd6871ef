"""The other environments, one after the other, with the time that each took.

    python tests/environments/matrix.py                # all
    python tests/environments/matrix.py spark35 wheel  # some
    python tests/environments/matrix.py pack           # only make env.tar.gz, for a cluster

| part | environment | what runs there |
|---|---|---|
| cluster | the main one | jobs on executors in JVMs of their own (`local-cluster`), and long ones |
| cpus | the main one | what depends on the CPU, as on CPUs with fewer instruction sets |
| spark35 | Spark 3.5 with the pandas, numpy and pyarrow of its time | all tests that need Spark |
| swap | both Sparks | a pipeline saved by each, read by the other |
| wheel | the built wheel, no TensorFlow, away from the checkout | demonstration, model list, doctor |
| packed | the wheel without pyspark, packed by venv-pack | the job, on executors that see only the archive |
| connect | pyspark-client, no Spark | the whole job on a Connect server that lacks the package |
| kerashub | keras-hub itself | presets of every kind, from here to there and back; the record of its names |
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from environment import CHECKOUT, kept, prepare_checkout, run

SPARK_TESTS = (
    "tests/spark",
    "tests/stages",
    "tests/cluster",
    # How a checkout is installed does not depend on Spark.
    "--ignore=tests/cluster/test_working_directory.py",
    "tests/doors/test_classify.py",
    "tests/doors/test_functions.py",
    "tests/doors/test_session.py",
)
ARCHIVE = CHECKOUT / "env.tar.gz"

IN_WHEEL = """
import importlib.util, sparkxlmr
assert importlib.util.find_spec("tensorflow") is None, "TensorFlow is installed"
print(sparkxlmr.__file__)
assert ".envs" in sparkxlmr.__file__, "this is the checkout, not the wheel"
"""


def cluster() -> None:
    """Jobs on executors in JVMs of their own, and long ones, in the environment of `make test`."""
    run(prepare_checkout("test"), "-m", "pytest", "tests/cluster", cwd=CHECKOUT)


def cpus() -> None:
    """Engines, precisions and recorded results on CPUs with fewer instruction sets than this one."""
    run(prepare_checkout("test"), CHECKOUT / "tests/environments/instruction_sets.py", cwd=CHECKOUT)


def oldest_python() -> Path:
    """The Python of the environment with the oldest Spark that is claimed."""
    return kept("spark35", "-r", CHECKOUT / "tests/environments/spark35.txt", "-e", CHECKOUT)


def spark35() -> None:
    """The whole Spark suite on the oldest versions that are claimed."""
    run(oldest_python(), "-m", "pytest", *SPARK_TESTS, cwd=CHECKOUT)


def swap() -> None:
    """What one Spark saves, the other reads, with the same answers."""
    pythons = oldest_python(), prepare_checkout("demo")
    script = CHECKOUT / "tests/environments/swap.py"
    for saver, reader in (pythons, pythons[::-1]):
        with tempfile.TemporaryDirectory(prefix="sparkxlmr-swap-") as folder:
            run(saver, script, "save", folder)
            run(reader, script, "load", folder)


def build_wheel(folder: Path, python: Path) -> Path:
    """Build the wheel from what git would give a newcomer, nothing else lying about in it.

    ``python`` is that of an environment made here: a system's own may come without pip.
    """
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, source / name)
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source)
    return next(folder.glob("*.whl"))


def wheel() -> None:
    """The wheel in an environment of its own, used as its user would, far from the checkout."""
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-wheel-") as name:
        folder = Path(name)
        python = kept("wheel", *_dependencies(), *_spark())
        built = build_wheel(folder, python)
        run(python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", built)
        away = folder / "away"
        away.mkdir()
        not_users = ("PYTHONPATH", "SPARKXLMR_PRECISION")
        clean = {key: value for key, value in os.environ.items() if key not in not_users}
        run(python, "-c", IN_WHEEL, cwd=away, env=clean)
        for command in ("doctor", "models", "demo"):
            run(python.with_name("sparkxlmr"), command, cwd=away, env=clean)


def pack() -> None:
    """Write env.tar.gz: this package and what it needs, for ``--archives env.tar.gz#env``; no pyspark, the
    cluster has its own.
    """
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-pack-") as name:
        python = kept("cluster", *_dependencies(), "venv-pack>=0.2.0")
        built = build_wheel(Path(name), python)
        run(python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", built)
    command = ("-m", "venv_pack", "--quiet", "--force", "--compress-level", "1")
    run(python, *command, "--prefix", python.parents[1], "--output", ARCHIVE)
    print(f"{ARCHIVE.name}: {ARCHIVE.stat().st_size / 1e6:.0f} MB")


def packed() -> None:
    """The job on executors whose only Python is the packed one."""
    pack()
    python = prepare_checkout("demo")
    run(python, CHECKOUT / "tests/environments/packed_job.py", ARCHIVE)


def connect() -> None:
    """The client of Spark Connect, which has no Spark, against servers that do; the package is attached."""
    python = kept("connect", *_dependencies(), "pyspark-client>=4.2", has_package=False)
    spark = prepare_checkout("demo")
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-client-") as name:
        folder = Path(name)
        built = build_wheel(folder, python)
        # In a folder, for the client alone: the server's workers run this environment too, and lack it.
        package = folder / "package"
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", package, built)
        oldest, wire = oldest_python(), kept("wire", "grpcio-status>=1.48", has_package=False)
        run(python, CHECKOUT / "tests/environments/connect.py", python, spark, oldest, wire, package)


def kerashub() -> None:
    """What is saved here keras-hub loads, and the other way round, with the same ids and answers."""
    folder = CHECKOUT / "tests/environments"
    python = kept("kerashub", "-r", folder / "kerashub.txt", has_package=False)
    run(python, folder / "kerashub_names.py")
    # The package from the checkout: it needs nothing here that keras-hub does not bring.
    run(python, folder / "kerashub.py", env={**os.environ, "PYTHONPATH": str(CHECKOUT)})


def _metadata() -> dict[str, list[str]]:
    import tomllib

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"base": project["dependencies"], **project["optional-dependencies"]}


def _dependencies() -> list[str]:
    return _metadata()["base"]


def _spark() -> list[str]:
    return _metadata()["spark"]


PARTS: dict[str, Callable[[], None]] = {
    "cluster": cluster,
    "cpus": cpus,
    "spark35": spark35,
    "swap": swap,
    "wheel": wheel,
    "packed": packed,
    "connect": connect,
    "kerashub": kerashub,
}


def main() -> None:
    """Run the parts that the arguments name, by default all; say how long each took."""
    asked = sys.argv[1:] or list(PARTS)
    # Answers are compared closely; the wheel alone is used as its user would.
    os.environ["SPARKXLMR_PRECISION"] = "float32"
    for name in asked:
        began = time.monotonic()
        print(f"-- {name}", flush=True)
        {**PARTS, "pack": pack}[name]()
        print(f"-- {name} passed in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
