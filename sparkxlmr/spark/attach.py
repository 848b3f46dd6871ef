"""``sparkxlmr.attach(spark)``: this package itself on its way to executors that lack it."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from sparkxlmr import __version__
from sparkxlmr.errors import EnvironmentNotReadyError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The first moment a zip can hold: equal packages give equal archives.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
#: Folders of the package that executors do without: models travel by themselves.
_LEFT_OUT = frozenset({"builtin", "__pycache__"})

#: Sessions that have it already, with the archive's name.
_attached: set[tuple[str, str]] = set()
_lock = threading.Lock()


def attach(spark: SparkSession | None = None) -> None:
    """Send this package, without the built-in models, to the executors of a session that lack it.

    For Spark Connect servers (an artifact of the session) and classic clusters alike; once a session, before
    or after its first job. DataFrames that a pipeline made before have to be made again on a classic cluster,
    whose jobs take what was there at that time. It takes the place of a version that is installed there. What
    the package needs (pandas, pyarrow, sentencepiece, an engine) has to be installed on the executors, and
    under Connect a stream does not get it.

    Args:
        spark: the session; by default the active one.

    Raises:
        EnvironmentNotReadyError: there is no session, or this package is itself imported from an archive,
            which the executors then have in the same way.

    Example::

        spark = sparkxlmr.start("sc://host:15002")
        sparkxlmr.attach(spark)
    """
    from pyspark.sql import SparkSession

    from sparkxlmr.presets.home import folder_in_home
    from sparkxlmr.spark.compat import files_root, is_connect, session_key

    spark = spark or SparkSession.getActiveSession()
    if spark is None:
        raise EnvironmentNotReadyError(
            "There is no active Spark session", "one to send the package to", "call attach(spark)"
        )
    # On a classic cluster not in the user's cache: Spark reads the file whenever an executor starts.
    archive = package_archive(folder_in_home("packages") if is_connect(spark) else files_root())
    key = (session_key(spark), archive.name)
    with _lock:
        if key in _attached:
            return
        if is_connect(spark):
            spark.addArtifacts(str(archive), pyfile=True)
        else:
            spark.sparkContext.addPyFile(str(archive))
        _attached.add(key)


def package_archive(folder: Path) -> Path:
    """A zip of this package's files in `folder`, named by version and content; Python imports from it.

    Raises EnvironmentNotReadyError where this package is imported from an archive itself.
    """
    package = Path(__file__).parents[1]
    if not package.is_dir():
        raise EnvironmentNotReadyError(
            f"This package is imported from the archive {package.parent}",
            "an installed package",
            "send that archive to the executors: spark-submit --py-files, or spark.addArtifacts",
        )
    contents = {
        f"{package.name}/{file.relative_to(package).as_posix()}": file.read_bytes()
        for file in sorted(package.rglob("*"))
        if file.is_file() and not _LEFT_OUT & set(file.relative_to(package).parts)
    }
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    target = folder / f"sparkxlmr-{__version__}-{digest.hexdigest()[:16]}.zip"
    if not target.exists():
        _write(target, contents)
    return target


def _write(target: Path, contents: dict[str, bytes]) -> None:
    """The zip, whole or not at all; two processes may write it at once."""
    from sparkxlmr.presets.files import partial_path

    partial = partial_path(target.parent, "packing")
    try:
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                entry = zipfile.ZipInfo(name, _NO_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
