"""The package against Spark Connect servers.

    python connect.py CLIENT SPARK OLDEST WIRE PACKAGE

| argument | the Python of an environment with |
|---|---|
| CLIENT | pyspark-client and what the package needs, not the package itself |
| SPARK | a whole Spark of the newest version |
| OLDEST | Spark 3.5 and the package |
| WIRE | what Spark 3.5 needs besides for Connect |

PACKAGE: a folder with the package as a wheel has it, for the client alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from connect_server import connect_server, java_home, spark_home

HERE = Path(__file__).parent
#: What must not reach a client from the one who runs this.
NOT_INHERITED = ("PYTHONPATH", "SPARK_HOME", "PYSPARK_PYTHON", "SPARK_REMOTE")


def client(
    python: Path, script: str, *arguments: Path, paths: list[Path], home: Path, **environ: str
) -> None:
    """Run a script as a client with `paths` to import from; one that fails ends this program.

    A script and not `-c`, which pyspark takes for a doctest of its own.
    """
    began = time.monotonic()
    home.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    environment = {
        **inherited,
        **environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "SPARKXLMR_HOME": str(home),
    }
    command = [str(part) for part in (python, HERE / script, *arguments)]
    done = subprocess.run(command, cwd=home, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    print(f"   {script} passed in {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    python, spark, oldest, wire, package = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-connect-") as name:
        folder = Path(name)
        for part in ("server", "job", "local"):
            (folder / part).mkdir()
        home = folder / "home"
        client(python, "connect_no_server.py", paths=[package], home=home)
        with connect_server(spark, python, "local-cluster[2,1,1024]", folder / "server") as address:
            places = (folder / "job", folder / "server" / "trace")
            client(python, "connect_job.py", *places, paths=[package], home=home, SPARK_REMOTE=address)
            wires = next(wire.parents[1].glob("lib/python*/site-packages"))
            client(oldest, "connect_oldest.py", paths=[wires], home=folder / "home35", SPARK_REMOTE=address)
        # A whole Spark laid over the client's environment.
        installed = spark_home(spark, folder / "local")
        client(
            python,
            "connect_in_process.py",
            paths=[package, *(installed / "python" / "lib").glob("*.zip")],
            home=home,
            SPARK_HOME=str(installed),
            SPARK_LOCAL_IP="127.0.0.1",
            JAVA_HOME=java_home(spark),
            SPARK_REMOTE="local[2]",
        )


if __name__ == "__main__":
    main()
