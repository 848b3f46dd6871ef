"""The environment of each contestant, made from its requirements file the first time it is asked for.

    python benchmarks/contestants/environments.py [NAME ...]   # make them now; all where none is named

Contestants on PyTorch share one of it (gigabytes), that of ``tests/peers``. Spark NLP's jars come through
Maven (``mvn``) and lie in ``jars`` of its environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT / "tests" / "environments"))
from environment import kept, run  # noqa: E402

TORCH = CHECKOUT / "tests" / "peers" / "torch.txt"


def names() -> list[str]:
    """The contestants that have a requirements file."""
    return sorted(file.stem for file in HERE.glob("*.txt"))


def python_for(name: str) -> Path:
    """The Python of a contestant's environment, with all that it needs."""
    requirements = HERE / f"{name}.txt"
    python = kept(name, "-r", requirements, has_package=False)
    if "transformers" in requirements.read_text("utf-8"):
        torch = kept("torch", "-r", TORCH, has_package=False)
        (_site_packages(python) / "torch-of-the-peers.pth").write_text(f"{_site_packages(torch)}\n", "utf-8")
    pom = HERE / f"{name}_pom.xml"
    if pom.is_file():
        _jars(pom, python.parents[1] / "jars")
    return python


def _jars(pom: Path, folder: Path) -> None:
    """What a pom depends on, copied into `folder` unless that was made from this very pom."""
    made_from = folder / pom.name
    if made_from.is_file() and made_from.read_bytes() == pom.read_bytes():
        return
    maven = shutil.which("mvn")
    if maven is None:
        sys.exit(f"{pom.name} needs Maven (mvn) to fetch its jars; install it, or leave this contestant out")
    print(f"Fetching the jars of {pom.name} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    copy = ("dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-f", pom)
    run(maven, "--batch-mode", "--quiet", *copy)
    shutil.copy(pom, made_from)


def _site_packages(python: Path) -> Path:
    told = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([str(python), "-c", told], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


if __name__ == "__main__":
    for asked in sys.argv[1:] or names():
        print(asked, python_for(asked), flush=True)
