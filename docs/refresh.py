"""Writes what README.md takes from measurements, so that no number in it is typed by hand.

    python docs/refresh.py            # the tables, from files that scripts of this repository wrote
    python docs/refresh.py --picture  # also records `make demo` anew as docs/images/demo.svg
    python docs/refresh.py --check    # changes nothing; exit code 1 where the tables are out of date

The numbers of the model come from its `metrics.json` (`evaluate.py` beside it writes that file), the speed
from `benchmarks/results/language_id_speed.jsonl` (`benchmarks/language_id_speed.py`).
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "demo.svg"
METRICS = ROOT / "models" / "xlm_roberta_tiny_language_id" / "metrics.json"
SPEED = ROOT / "benchmarks" / "results" / "language_id_speed.jsonl"


def model_numbers() -> str:
    """The built-in model beside the n-gram baseline, one row each, and its size and speed."""
    found = json.loads(METRICS.read_text("utf-8"))
    speed = [json.loads(line) for line in SPEED.read_text("utf-8").splitlines()]
    pipeline = next(line for line in speed if line["what"] == "pipeline")
    ngrams = found["baselines"]["ngrams"]
    rows = [
        "| | numbers | whole sentences, macro F1 | first sixth of each, accuracy |",
        "|---|---|---|---|",
        _row("this model", found),
        _row("Naive Bayes over character n-grams, far too large to ship", ngrams),
    ]
    return "\n".join(
        [
            *rows,
            "",
            f"{found['sizes']['preset'] / 1e6:.0f} MB on disk, and as much again compiled. The whole "
            f"pipeline (read Parquet, assemble, classify, write) does {pipeline['documents_per_second']:,} "
            f"documents a second on {pipeline['cores']} cores ({pipeline['machine'].split(',')[0]}): "
            "`benchmarks/language_id_speed.py`.",
        ]
    )


def _row(name: str, found: dict) -> str:
    whole, short = found["whole"]["macro_f1"], found["short"]["accuracy"]
    return f"| {name} | {found['numbers'] / 1e6:.1f} million | {whole:.3f} | {short:.3f} |"


def filled(text: str, name: str, content: str) -> str:
    """The text with `content` between the two comments that name the block.

    >>> filled("a <!-- x: by hand -->old<!-- /x --> b", "x", "new").splitlines()
    ['a <!-- x: by hand -->', 'new', '<!-- /x --> b']
    """
    block = re.compile(rf"(<!-- {name}:[^>]*-->).*?(<!-- /{name} -->)", re.S)
    if not block.search(text):
        raise SystemExit(f"README.md has no block {name}")
    return block.sub(lambda match: f"{match[1]}\n{content}\n{match[2]}", text)


def record_picture() -> None:
    """Run the demo and keep what it prints as a picture of a terminal."""
    from rich.console import Console
    from rich.text import Text

    command = [sys.executable, "-m", "sparkxlmr", "demo"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    console = Console(record=True, width=120, file=io.StringIO())
    for line in printed.splitlines():
        console.print(Text(line), no_wrap=True, overflow="ellipsis", crop=True)
    picture = console.export_svg(title="make demo", unique_id="demo")
    # A picture must not fetch fonts from elsewhere; the reader's own monospace font does.
    picture = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", picture, flags=re.S)
    # Nor squeeze a line of wide characters into a width that it computed for another font.
    picture = re.sub(r' textLength="[^"]*"', "", picture)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--picture", action="store_true")
    arguments = parser.parse_args()
    now = README.read_text("utf-8")
    new = filled(now, "model-numbers", model_numbers())
    if arguments.check:
        raise SystemExit("README.md is out of date: run docs/refresh.py" if new != now else 0)
    README.write_text(new, "utf-8")
    if arguments.picture:
        record_picture()


if __name__ == "__main__":
    main()
