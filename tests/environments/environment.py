"""Virtual environments beside the checkout, each kept under a hash of what was asked for.

    python tests/environments/environment.py demo|test|docs   # .venv, for make demo, make test, make docs

Needs only Python's standard library, because it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
EXTRAS = {
    "demo": ["spark"],
    "test": ["spark", "cpu", "java", "hub", "docs", "dev"],
    "docs": ["spark", "cpu", "hub", "docs"],
}
LEAST_PYTHON = (3, 11)


def digest(*parts: str | bytes) -> str:
    """A short hash of the parts and of this Python's version and place."""
    summed = hashlib.sha256(f"{sys.version}\0{sys.base_prefix}".encode())
    for part in parts:
        summed.update(b"\0" + (part.encode() if isinstance(part, str) else part))
    return summed.hexdigest()[:12]


def python_of(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def packaging_files() -> list[bytes]:
    """The contents of the files that decide how the checkout is installed."""
    return [(CHECKOUT / name).read_bytes() for name in ("pyproject.toml", "setup.py")]


def run(*command: str | Path, **settings: object) -> None:
    """Run a command; one that fails ends this program with its exit status and no traceback."""
    done = subprocess.run([str(part) for part in command], check=False, **settings)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(done.returncode)


def make(folder: Path, *requirements: str | Path) -> Path:
    """Create the environment if need be, install the requirements (pip's arguments), return its Python."""
    python = python_of(folder)
    if not python.exists():
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    return python


def kept(name: str, *requirements: str | Path, has_package: bool = True) -> Path:
    """The Python of ``.envs/<name>-<hash of the requirements>``, made once; older ones of it are removed.

    Paths among the requirements that are files count with their content, and the checkout's metadata too
    unless ``has_package`` says that the environment does not depend on it.
    """
    contents = [Path(r).read_bytes() if Path(r).is_file() else str(r) for r in requirements]
    metadata = packaging_files() if has_package else []
    folder = CHECKOUT / ".envs" / f"{name}-{digest(*metadata, *contents)}"
    finished = folder / "finished"
    if not finished.exists():
        for older in folder.parent.glob(f"{name}-*"):
            shutil.rmtree(older)
        print(f"Making the environment {folder.relative_to(CHECKOUT)} ...", flush=True)
        make(folder, *requirements)
        finished.touch()
    return python_of(folder)


def _has_java() -> bool:
    """Whether a Java that Spark runs on is installed (asked of the package, which needs nothing)."""
    asked = [sys.executable, "-m", "sparkxlmr.spark.java"]
    return subprocess.run(asked, cwd=CHECKOUT, capture_output=True, check=False).returncode == 0


def prepare_checkout(purpose: str) -> Path:
    """Make ``.venv`` ready for ``make demo`` or ``make test``; at once where nothing changed since."""
    extras = list(EXTRAS[purpose])
    if "java" not in extras and not _has_java():
        extras.append("java")
    folder = CHECKOUT / ".venv"
    finished = folder / f"installed-{'-'.join(extras)}-{digest(*packaging_files())}"
    if not finished.exists():
        print(f"Installing sparkxlmr[{','.join(extras)}] into .venv (once) ...", flush=True)
        make(folder, "-e", f"{CHECKOUT}[{','.join(extras)}]")
        finished.touch()
    return python_of(folder)


def main() -> None:
    """Prepare the environment that the first argument names."""
    if sys.version_info < LEAST_PYTHON:
        here = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"This is Python {here}; sparkxlmr needs 3.11 or newer: make PYTHON=python3.11 demo")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("purpose", choices=sorted(EXTRAS))
    prepare_checkout(parser.parse_args().purpose)


if __name__ == "__main__":
    main()
