"""Save the pipeline of saved_pipeline.py as a fixture, by the oldest and the newest Spark.

    python tests/environments/save_fixtures.py

Each goes to tests/fixtures/saved/<this package's version>-spark-<Spark's>, with what it answered. A fixture
of a release is never made again: tests/spark/test_saved_pipelines.py holds that it stays readable.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures" / "saved"


def save() -> None:
    """Save it by the Spark of this Python."""
    from saved_pipeline import answers, frame, pipeline, write_models

    import sparkxlmr

    spark = sparkxlmr.start(master="local[2]")
    folder = FIXTURES / f"{sparkxlmr.__version__}-spark-{spark.version}"
    if folder.exists():
        sys.exit(f"{folder} is there. If that version was never released, remove it and run this again.")
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-fixtures-") as name:
        made = Path(name)
        stages = pipeline(write_models(made / "models"))
        model = stages.fit(frame(spark))
        model.save(f"{made}/saved/pipeline")
        stages.getStages()[0].getStages()[2].save(f"{made}/saved/tokenizer")
        rows = json.dumps(answers(model, spark), ensure_ascii=False, indent=0)
        (made / "saved" / "answers.json").write_text(rows + "\n", "utf-8")
        shutil.copytree(made / "saved", folder)
    print(f"{folder.name}: {sum(file.stat().st_size for file in folder.rglob('*')) / 1e6:.1f} MB")


def main() -> None:
    """Save it by both Sparks, each in its own environment."""
    from environment import prepare_checkout, run
    from matrix import oldest_python

    for python in (oldest_python(), prepare_checkout("demo")):
        run(python, __file__, "here")


if __name__ == "__main__":
    save() if sys.argv[1:] == ["here"] else main()
