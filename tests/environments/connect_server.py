"""A Spark Connect server in a process of its own: ``with connect_server(...) as address``."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds until a server that does not answer counts as broken; a busy machine needs many.
PATIENCE = 180


@contextlib.contextmanager
def connect_server(spark_python: Path, worker_python: Path, master: str, folder: Path) -> Iterator[str]:
    """Start a server of the Spark in one environment, whose workers run the Python of another.

    - `spark_python`: has pyspark, and this package to find Java.
    - `worker_python`: what the executors run; they inherit no PYTHONPATH.
    - `folder`: empty; the server works in it and writes `server.log`, its workers `host/` and `trace/`.

    Gives the address that `SPARK_REMOTE` takes. The server is gone when the block ends.
    """
    home = spark_home(spark_python, folder)
    port = _free_port()
    for name in ("host", "trace", "work"):
        (folder / name).mkdir(mode=0o700)
    settings = {
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": 2,
        "spark.task.maxFailures": 1,
        "spark.locality.wait": 0,
        "spark.log.level": "ERROR",
    }
    command = [
        str(home / "bin" / "spark-class"),
        "org.apache.spark.deploy.SparkSubmit",
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", master),
        *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
        "spark-internal",
    ]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "SPARK_REMOTE", "SPARK_CONF_DIR")
    }
    environment |= {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": java_home(spark_python),
        "PYSPARK_PYTHON": str(worker_python),
        "SPARKXLMR_HOST_FOLDER": str(folder / "host"),
        "SPARKXLMR_TRACE": str(folder / "trace"),
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder / "work", env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(server, port, folder / "server.log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        _end(server)


def spark_home(python: Path, folder: Path) -> Path:
    """The Spark of an environment under another path, because executors leave folders below it."""
    program = "import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parent)"
    home = folder / "spark"
    home.mkdir()
    for place in Path(_said_by(python, "-c", program)).iterdir():
        if place.name != "work":
            (home / place.name).symlink_to(place)
    return home


def java_home(python: Path) -> str:
    """The folder of a Java that Spark runs on, as the package of that environment finds it."""
    program = "from sparkxlmr.spark.java import ensure_java; print(ensure_java().home)"
    return _said_by(python, "-c", program)


def _said_by(python: Path, *arguments: str) -> str:
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.3)
    sys.exit(f"The Connect server did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _end(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
