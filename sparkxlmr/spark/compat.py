"""What differs between Spark versions (3.5 and 4.x), each difference in one function."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pyspark.util
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType
from pyspark.sql.utils import is_remote

SPARK_VERSION = tuple(int(part) for part in pyspark.__version__.split(".")[:2])


def valid_utf8(text: Column) -> Column:
    """A string column whose malformed bytes are replaced by U+FFFD, as Python and Arrow need it.

    Spark strings may hold any bytes (``cast(X'FF' as string)``, a file in another encoding); Arrow refuses
    them in the middle of a job. Spark 4 has ``make_valid_utf8``. On 3.5 ``decode`` replaces; on 4 it would
    raise; where a 3.5 client has a Connect server of 4.x before it, the server's function is called by name.
    """
    if hasattr(F, "make_valid_utf8"):
        return F.make_valid_utf8(text)
    if _server_is_newer():
        return F.call_function("make_valid_utf8", text)
    return F.decode(text.cast("binary"), "UTF-8")


def ready_to_ship() -> None:
    """Let a 4.x server's workers read the types that a 3.5 client pickles with a UDF; else nothing.

    They ask strings for their collation, which 3.5 does not know.
    """
    if SPARK_VERSION < (4, 0) and _server_is_newer():
        StringType().collation = "UTF8_BINARY"  # one object for the whole process, in 3.5


def iterator_udf(function: Any, result_type: Any, arrow: bool) -> Any:
    """An iterator UDF: of Arrow arrays if asked for and known to this Spark (from 4.1 on), else of pandas.

    Arrow arrays become neither pandas objects nor Python numbers on their way. A Connect server has to know
    such UDFs as well as its client.
    """
    import pandas as pd  # slow to import, and not every session has a UDF
    import pyarrow as pa

    wide = arrow and hasattr(F, "arrow_udf") and _runs_spark(4, 1)
    # Spark reads the kind of a UDF off its annotations, and warns where it is told otherwise.
    taken = Iterator[pa.Array] if wide else Iterator[pd.Series]
    given = Iterator[pa.Array] if wide else Iterator[pd.DataFrame]
    function.__annotations__ = {"batches": taken, "return": given}
    make: Any = F.arrow_udf if wide else F.pandas_udf
    return make(function, result_type)


def _runs_spark(*least: int) -> bool:
    """Whether the active session's Spark, a Connect server's too, has at least this version."""
    if not is_remote():
        return least <= SPARK_VERSION
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    session = ConnectSession.getActiveSession()
    return session is not None and tuple(int(part) for part in session.version.split(".")[:2]) >= least


def _server_is_newer() -> bool:
    """Whether the active session is one of Connect whose server is Spark 4 or newer."""
    if not is_remote():
        return False
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    session = ConnectSession.getActiveSession()
    return session is not None and int(session.version.split(".")[0]) >= 4


def is_connect(spark: SparkSession) -> bool:
    """Whether the session talks to a Connect server: no SparkContext, no broadcast, no JVM at hand."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_client_only() -> bool:
    """Whether this pyspark is the client of Spark Connect, without a Spark of its own (`pyspark-client`)."""
    only = getattr(pyspark.util, "is_remote_only", None)  # 3.5 has no such client
    return only is not None and bool(only())


def session_key(spark: SparkSession) -> str:
    """What a file, artifact or broadcast lives as long as: the application; under Connect, the session."""
    connect: Any = spark  # classic sessions have no session_id in 3.5
    return str(connect.session_id if is_connect(spark) else spark.sparkContext.applicationId)


def is_local(spark: SparkSession) -> bool:
    """Whether tasks run on the driver's own machine, in its JVM (`local`, `local[4]`)."""
    master = "" if is_connect(spark) else conf(spark, "spark.master", "")
    return master == "local" or master.startswith("local[")


def conf(spark: SparkSession, name: str, default: str) -> str:
    """A session's setting, `default` where nobody set it."""
    value = spark.conf.get(name, default)
    return default if value is None else str(value)


def case_sensitive(spark: SparkSession) -> bool:
    """Whether `text` and `Text` are two columns in this session (`spark.sql.caseSensitive`)."""
    return conf(spark, "spark.sql.caseSensitive", "false").lower() == "true"


def metadata_session(io: Any) -> Any:
    """What `DefaultParamsWriter` and `DefaultParamsReader` want from an MLWriter or MLReader in this version.

    Spark 4 takes the session (so that Connect works), 3.5 the SparkContext.
    """
    return io.sparkSession if SPARK_VERSION >= (4, 0) else io.sc


def ensure_worker_python(spark: SparkSession) -> None:
    """In local mode let the workers run this very Python, unless environment or settings name another.

    Spark would take the first `python3` on PATH, which need not have this package. For a running session; a
    Connect server that pyspark started in this process (`remote("local[4]")`) is local too.
    """
    local = "SPARK_LOCAL_REMOTE" in os.environ if is_connect(spark) else is_local(spark)
    setting = "spark.sql.execution.pyspark.python"
    settings = (setting, "spark.pyspark.python", "spark.pyspark.driver.python")
    named = any(os.environ.get(name) for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"))
    if local and not named and not any(conf(spark, name, "") for name in settings):
        spark.conf.set(setting, sys.executable)


def gpus_of_tasks(spark: SparkSession) -> bool:
    """Whether Spark gives GPUs to tasks in this session (`spark.task.resource.gpu.amount`)."""
    return float(conf(spark, "spark.task.resource.gpu.amount", "0") or 0) > 0


def files_root() -> Path:
    """The driver's folder of the files that were added: Spark's own, deleted when the application ends."""
    from pyspark import SparkFiles  # not in a client of Connect that has no Spark

    return Path(SparkFiles.getRootDirectory())


def weak_broadcasts(context: Any) -> Any:
    """A map of the JVM for broadcast variables, which forgets each that the JVM has collected.

    A weak reference would not do: to look at its referent from Python makes a strong reference to it.
    """
    return context._jvm.java.util.WeakHashMap()


def has_active_jobs(context: Any) -> bool:
    """Whether the application runs a job."""
    return bool(context.statusTracker().getActiveJobsIds())


def remove_added_file(context: Any, name: str) -> bool:
    """Take a file of ``SparkContext.addFile`` from the list that new executors fetch; whether that succeeded.

    Spark has no public call for it. The list is a map per artifact set in Spark 3.5 and 4.x; a platform that
    hides it keeps the file until the application ends.
    """
    from py4j.protocol import Py4JError  # not in a client of Connect that has no Spark

    try:
        urls = [url for url in context.listFiles if url.rpartition("/")[2] == name]
        file_sets = context._jsc.sc().addedFiles().values().iterator()
        while file_sets.hasNext():
            files = file_sets.next()
            for url in urls:
                files.remove(url)
        return not any(url in urls for url in context.listFiles)
    except (Py4JError, AttributeError, TypeError):
        return False


def local_copy(spark: SparkSession, path: str, into: Path, most: int) -> Path:
    """A folder of any file system of a classic session as one of this machine; a local one as it is.

    The files that lie directly in it are copied, hidden ones (`_`, `.`) left out. Raises ValueError where
    there is no such folder, it cannot be read, or its files have more than `most` bytes together.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    session: Any = spark
    file_systems = session._jvm.org.apache.hadoop.fs
    source = file_systems.Path(path)
    try:
        storage = source.getFileSystem(session._jsparkSession.sessionState().newHadoopConf())
        files = [status for status in storage.listStatus(source) if status.isFile()]
        size = sum(status.getLen() for status in files)
        if size > most:
            raise ValueError(f"its files have {size} bytes, more than {most}")
        uri = storage.makeQualified(source).toUri()
        if uri.getScheme() == "file":
            return Path(uri.getPath())
        target = into / source.getName()
        target.mkdir()
        for status in files:
            name = status.getPath().getName()
            if not name.startswith((".", "_")):
                # No checksum files beside the copies.
                local = file_systems.Path((target / name).as_uri())
                storage.copyToLocalFile(False, status.getPath(), local, True)
    except Py4JJavaError as error:
        raise ValueError(str(error.java_exception.toString())) from error
    except PySparkException as error:  # what pyspark makes of the kinds of exceptions that it knows
        raise ValueError(str(error)) from error
    return target
