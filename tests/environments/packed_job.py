"""Run the job by the real spark-submit on executors that have the packed environment and nothing else.

    python tests/environments/packed_job.py env.tar.gz [options of the job]

Executors run in a folder of their own with the archive unpacked in it, and an editable installation or a
PYTHONPATH of the driver must not reach them: the package they use is the archive's, or there is none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# Asks the workers where their package comes from, then is the job itself, in the same application.
SCRIPT = """
import json, runpy, sys
import sparkxlmr

def places(_):
    import sys, sparkxlmr
    return [(sys.executable, sparkxlmr.__file__, json.dumps(sys.path))]

spark = sparkxlmr.start()
print("PLACES", json.dumps(spark.sparkContext.parallelize(range(2), 2).mapPartitions(places).collect()))
runpy.run_path(JOB, run_name="__main__")
"""


def submit(archive: Path, script: Path, *arguments: str) -> str:
    """Run a script on local-cluster with the project's settings; returns what it printed."""
    binaries = Path(sys.executable).parent
    command = [
        str(binaries / "spark-submit"),
        *("--master", "local-cluster[2,1,1024]"),
        *("--properties-file", str(CHECKOUT / "conf/spark-defaults.conf")),
        *("--archives", f"{archive}#env"),
        # The machine is smaller than a cluster's.
        *("--conf", "spark.executor.memory=1g"),
        *("--conf", f"spark.pyspark.driver.python={sys.executable}"),
        str(script),
        *arguments,
    ]
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYSPARK_PYTHON")}
    # As in an activated environment: spark-submit looks for Spark by the first python3 on PATH.
    environ["PATH"] = f"{binaries}:{environ['PATH']}"
    done = subprocess.run(
        command, cwd=script.parent, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"spark-submit ended with {done.returncode}:\n{done.stdout}\n{done.stderr[-4000:]}")
    return done.stdout


def main() -> None:
    """Check where the workers' package comes from, then run the job and look at its result."""
    archive = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-packed-") as name:
        folder = Path(name)
        job = CHECKOUT / "sparkxlmr" / "jobs" / "classify.py"
        (folder / "script.py").write_text(SCRIPT.replace("JOB", repr(str(job))), encoding="utf-8")
        texts = CHECKOUT / "sparkxlmr" / "demo_texts.jsonl"
        output = folder / "languages.jsonl"
        arguments = (str(texts), "--output", str(output), *sys.argv[2:])
        said = submit(archive, folder / "script.py", *arguments)
        print(said)
        places = json.loads(said.partition("PLACES ")[2].splitlines()[0])
        for python, package, path in places:
            # local-cluster's executors leave their folders, with the unpacked archive, inside pyspark.
            shutil.rmtree(Path(python).parents[3], ignore_errors=True)
            assert "/env/" in python, python
            assert "/env/" in package, package
            assert str(CHECKOUT) not in json.loads(path), path
        rows = [json.loads(line) for part in output.glob("part-*") for line in part.open(encoding="utf-8")]
        assert len(rows) == len(texts.read_text(encoding="utf-8").splitlines()), len(rows)
        assert all(row["label"] for row in rows)


if __name__ == "__main__":
    main()
