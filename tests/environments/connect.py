"""The package against Spark Connect servers in processes of their own.

    python connect.py CLIENT SPARK PACKAGE

CLIENT: the Python of an environment with pyspark-client and what the package needs, not the package itself.
SPARK: the Python of an environment with a whole Spark. PACKAGE: a folder with the package, as a wheel has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from connect_server import connect_server, java_home, spark_home

HERE = Path(__file__).parent

IN_PROCESS = """
import sparkxlmr
from sparkxlmr.annotator import XlmRoBertaForSequenceClassification
from sparkxlmr.base import DocumentAssembler

spark = sparkxlmr.start()
assert type(spark).__module__.startswith("pyspark.sql.connect"), spark
texts = spark.createDataFrame([("Спасибо большое",)], ["text"])
documents = DocumentAssembler().setInputCol("text").transform(texts)
stage = XlmRoBertaForSequenceClassification.pretrained("xlm_roberta_tiny_language_id")
stage.setInputCols("document").setOutputCol("language")
found = stage.transform(documents).select("language.result").collect()
assert found[0]["result"] == ["rus_Cyrl"], found

# Its workers have the package, and see the model's folder: what a stream needs.
spark.conf.set("spark.sparkxlmr.sharedDisk", "true")
texts.write.parquet("source")
arriving = spark.readStream.schema("text string").parquet("source")
stream = DocumentAssembler().setInputCol("text").transform(arriving)
writer = stage.transform(stream).select("language.result").writeStream.format("parquet")
writer.option("checkpointLocation", "checkpoint").trigger(availableNow=True).start("sink").awaitTermination()
assert [row["result"] for row in spark.read.parquet("sink").collect()] == [["rus_Cyrl"]]
spark.stop()
"""

NO_SERVER = """
import sparkxlmr
from sparkxlmr.errors import EnvironmentNotReadyError
try:
    sparkxlmr.start()
except EnvironmentNotReadyError as error:
    assert 'sparkxlmr.start("sc://host:15002")' in str(error), error
else:
    raise AssertionError("a session without a server")
"""


def client(python: Path, *arguments: str | Path, package: Path, home: Path, **environ: str) -> None:
    """Run the client's Python; one that fails ends this program, after what it said."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "SPARK_HOME", "PYSPARK_PYTHON", "SPARK_REMOTE")
    }
    paths = os.pathsep.join(filter(None, (str(package), environ.pop("PYTHONPATH", ""))))
    environment = {**inherited, **environ, "PYTHONPATH": paths, "SPARKXLMR_HOME": str(home)}
    done = subprocess.run([str(python), *map(str, arguments)], cwd=home, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    python, spark_python, package = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-connect-") as name:
        folder = Path(name)
        for part in ("home", "server", "job", "local"):
            (folder / part).mkdir()
        # Files, because pyspark takes a program given by -c for a doctest of its own.
        for script, program in (("no_server.py", NO_SERVER), ("in_process.py", IN_PROCESS)):
            (folder / script).write_text(program, encoding="utf-8")
        common = {"package": package, "home": folder / "home"}
        client(python, folder / "no_server.py", **common)
        server = connect_server(spark_python, python, "local-cluster[2,1,1024]", folder / "server")
        with server as address:
            job = (HERE / "connect_job.py", folder / "job", folder / "server" / "trace")
            client(python, *job, **common, SPARK_REMOTE=address)
        # A whole Spark over the client's environment: a server that starts with the session, in this process.
        home = spark_home(spark_python, folder / "local")
        client(
            python,
            folder / "in_process.py",
            **common,
            PYTHONPATH=os.pathsep.join(str(zipped) for zipped in (home / "python" / "lib").glob("*.zip")),
            SPARK_HOME=str(home),
            SPARK_LOCAL_IP="127.0.0.1",
            JAVA_HOME=java_home(spark_python),
            SPARK_REMOTE="local[2]",
        )
        print("   a server in the session's own process")


if __name__ == "__main__":
    main()
