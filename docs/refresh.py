"""Writes what README.md and the pages take from measurements and code, so that none of it is typed by hand.

    python docs/refresh.py            # the tables: of models in README.md, of settings on the stages' pages
    python docs/refresh.py --outputs  # also what the pages' examples print, by running them
    python docs/refresh.py --picture  # also records `make demo` anew as docs/images/demo.svg
    python docs/refresh.py --check    # changes nothing; exit code 1 where the tables are out of date

The numbers of a model come from its `metrics.json` (`evaluate.py` beside it writes that file), what narrower
precisions do to it from its `measured.json` (`sparkxlmr measure` writes that one), times from
`benchmarks/results` (each file there is written by the script of its name), the settings from the stages'
classes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import measured
import pages

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import cluster_size  # noqa: E402
import large_model  # noqa: E402
import profile_pipeline  # noqa: E402
import report  # noqa: E402

README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "demo.svg"
MODELS = ROOT / "models"
RESULTS = ROOT / "benchmarks" / "results"
PRECISIONS = ROOT / "docs" / "engines_and_precision.md"


def model_numbers() -> str:
    """The built-in models beside their baselines, one row each, and how quick one of them is."""
    pipeline = _measured("language_id_speed", "pipeline")
    light = _measured("light_start", "PretrainedPipeline")
    rows = [
        "| model | what it does | numbers | on texts it has not seen | beside it |",
        "|---|---|---|---|---|",
        *(describe(name, _metrics(name)) for name, describe in DESCRIBED.items()),
    ]
    size = sum(path.stat().st_size for path in MODELS.rglob("*") if _ships(path))
    return "\n".join(
        [
            *rows,
            "",
            f"Together {size / 1e6:.0f} MB, compiled bundles included. With the first of them the whole "
            f"pipeline (read Parquet, assemble, classify, write) does {pipeline['documents_per_second']:,} "
            f"documents a second on {pipeline['cores']} cores ({pipeline['machine'].split(',')[0]}): "
            "`benchmarks/language_id_speed.py`. Without Spark a new process gives its first answer after "
            f"{light['seconds']:.2f} s: `benchmarks/light_start.py`.",
        ]
    )


def _measured(script: str, what: str) -> dict[str, Any]:
    lines = (RESULTS / f"{script}.jsonl").read_text("utf-8").splitlines()
    found: dict[str, Any] = next(line for line in map(json.loads, lines) if line["what"] == what)
    return found


def _metrics(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MODELS / name / "metrics.json").read_text("utf-8"))
    return found


def _ships(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc")


def _row(name: str, what: str, numbers: int, found: str, beside: str) -> str:
    link = f"[`{name}`](models/{name}/README.md)"
    return f"| {link} | {what} | {numbers / 1e6:.1f} million | {found} | {beside} |"


def _language_id(name: str, found: dict[str, Any]) -> str:
    whole, short = found["whole"]["macro_f1"], found["short"]["accuracy"]
    ngrams = found["baselines"]["ngrams"]
    return _row(
        name,
        f"which of {found['languages']} languages a text is in",
        found["numbers"],
        f"macro F1 {whole:.3f}; {short:.3f} of first sixths of a sentence (SIB-200)",
        f"Naive Bayes over character n-grams, {ngrams['numbers'] / 1e6:.0f} million numbers: "
        f"{ngrams['whole']['macro_f1']:.3f}; {ngrams['short']['accuracy']:.3f}",
    )


def _ag_news(name: str, found: dict[str, Any]) -> str:
    regression = found["baselines"]["logistic_regression"]["accuracy"]
    return _row(
        name,
        "World, Sports, Business or Sci/Tech",
        found["numbers"],
        f"accuracy {found['whole']['accuracy']:.3f} (AG News)",
        f"TF-IDF of words and bigrams with logistic regression: {regression:.3f}",
    )


def _masked_lm(name: str, found: dict[str, Any]) -> str:
    scores = {row: of["whole"]["top_5"] for row, of in found["scores"].items()}
    trigram = max(scores["trigram"], scores["kneser_ney"])  # two ways to interpolate one
    return _row(
        name,
        "fills `<mask>`; a start for fine-tuning",
        found["numbers"],
        f"{scores['model']:.3f} of hidden pieces among the five likeliest (SIB-200, AG News)",
        f"interpolated trigram model: {trigram:.3f}; counts of both neighbours: {scores['both_sides']:.3f}",
    )


DESCRIBED = {
    "xlm_roberta_tiny_language_id": _language_id,
    "xlm_roberta_tiny_ag_news": _ag_news,
    "albert_tiny_ag_news": _ag_news,
    "xlm_roberta_tiny_masked_lm": _masked_lm,
}


def filled(text: str, name: str, content: str) -> str:
    """The text with `content` between the two comments that name the block.

    >>> filled("a <!-- x: by hand -->old<!-- /x --> b", "x", "new").splitlines()
    ['a <!-- x: by hand -->', 'new', '<!-- /x --> b']
    """
    block = re.compile(rf"(<!-- {name}:[^>]*-->).*?(<!-- /{name} -->)", re.S)
    if not block.search(text):
        raise SystemExit(f"a page has no block {name}")
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


def record_outputs(names: list[str]) -> None:
    """Run the examples of the pages (all, or those of these file names) and write what they print."""
    chosen = [Path(name).resolve() for name in names] or pages.pages()
    os.environ["SPARKXLMR_PRECISION"] = "float32"  # as the tests, which hold the pages to it on any CPU
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SPARKXLMR_HOME"] = scratch
        replaced = pages.stand_ins(Path(scratch))
        for page in chosen:
            text = page.read_text("utf-8")
            if "```text" in text:
                with contextlib.chdir(scratch):
                    printed = [now for _, now in pages.run_examples(text, page.name, replaced)]
                page.write_text(pages.with_outputs(text, printed), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--picture", action="store_true")
    parser.add_argument("--outputs", nargs="*", metavar="PAGE", help="pages, by default all with outputs")
    arguments = parser.parse_args()
    now = README.read_text("utf-8")
    now = filled(now, "speed", report.summary())
    texts = {README: filled(now, "model-numbers", model_numbers())}
    texts |= {page: pages.with_tables(page.read_text("utf-8")) for page in pages.pages()}
    texts[PRECISIONS] = filled(texts[PRECISIONS], measured.BLOCK, measured.all_models())
    for name in measured.names():
        card = MODELS / name / "README.md"
        texts[card] = filled(card.read_text("utf-8"), measured.BLOCK, measured.card_table(name))
    for script in (report, profile_pipeline, cluster_size, large_model):
        texts[script.PAGE] = filled(texts[script.PAGE], script.BLOCK, script.results())
    if arguments.check:
        old = [str(page.relative_to(ROOT)) for page, text in texts.items() if text != page.read_text("utf-8")]
        raise SystemExit(f"{', '.join(old)}: out of date, run docs/refresh.py" if old else 0)
    for page, text in texts.items():
        page.write_text(text, "utf-8")
    if arguments.outputs is not None:
        record_outputs(arguments.outputs)
    if arguments.picture:
        record_picture()


if __name__ == "__main__":
    main()
