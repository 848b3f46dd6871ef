"""Holds every exported model against transformers 4.57 and 5, and records what they answered.

    make test-peers

In ``.venv`` the goldens and the built-in presets are exported; in an environment of each version of
transformers (both use one PyTorch) they are loaded and asked. Logits must agree to 1e-5, ids and labels
exactly, no weight may be missing or left over, and what transformers saves again must be read here with
equal weights and ids: PyTorch's own file from version 4, ``tokenizer.json`` alone from version 5.
What was answered is recorded in ``tests/fixtures/peers``, which ``tests/presets/test_peers.py`` reads; what
it says to pairs and long texts, in ``expected_stages.json`` beside the goldens; and the ids that settings of
a tokenizer lead to, in ``tokenizer_settings.json`` there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import ours

from sparkxlmr.presets.preset import Preset

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "environments"))
from environment import kept, run  # noqa: E402

MAJORS = ("4", "5")
TOLERANCE = 1e-5
RELATIVE = 1e-6  # a trained model's logits are large, and float32 has seven digits


def peer(major: str) -> Path:
    """The Python of an environment with that version of transformers, and with the peers' PyTorch."""
    python = kept(f"transformers{major}", "-r", HERE / f"transformers{major}.txt", has_package=False)
    torch = kept("torch", "-r", HERE / "torch.txt", has_package=False)
    here, there = (_site_packages(path) for path in (python, torch))
    (here / "peers-torch.pth").write_text(f"{there}\n", "utf-8")
    return python


def _site_packages(python: Path) -> Path:
    told = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([str(python), "-c", told], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def ask(folder: Path) -> dict[str, list[np.ndarray]]:
    """Exports every model to its own folder, with what is to be asked; our own logits."""
    answers = {}
    for name in ours.sources():
        files = ours.export(name, folder / name / "checkpoint")
        preset = Preset.open(folder / name / "checkpoint")
        rows, labels = ours.inputs_of(preset), list(preset.labels)
        asked = {"files": files, "texts": ours.texts_of(preset), "rows": rows, "labels": labels}
        (folder / name / "asked.json").write_text(json.dumps(asked), "utf-8")
        answers[name] = ours.answers_of(name, rows)
    return answers


def problems(folder: Path, major: str, mine: list[np.ndarray]) -> list[str]:
    """In what one version of transformers does not agree."""
    asked, told, logits = _answers(folder, major)
    # An encoder of XLM-R has no pooler here; transformers makes one up.
    missing = [key for key in told["missing"] if not key.startswith("pooler.dense.")]
    found = [f"missing: {missing}"] if missing else []
    found += [f"unexpected: {told['unexpected']}"] if told["unexpected"] else []
    if asked["labels"] and asked["labels"] != told["labels"]:
        found.append(f"labels {told['labels']}")
    for text, row, ids in zip(asked["texts"], asked["rows"], told["ids"], strict=True):
        if row["ids"] != ids:
            found.append(f"ids of {text}: {ids} and not {row['ids']}")
    pairs = list(zip(mine, logits, strict=True))
    far = max(float(np.abs(a - b).max()) for a, b in pairs)
    print(f"{folder.name:45} transformers {told['transformers']:8} logits within {far:.1e}", flush=True)
    if not all(np.allclose(a, b, rtol=RELATIVE, atol=TOLERANCE) for a, b in pairs):
        found.append(f"logits differ by {far}")
    return found + _saved_again(folder, major)


def _saved_again(folder: Path, major: str) -> list[str]:
    """Whether what transformers saved is read here as what it was given."""
    before, after = Preset.open(folder / "checkpoint"), Preset.open(folder / f"again-{major}")
    found = []
    if (before.config, before.task, before.labels) != (after.config, after.task, after.labels):
        found.append(f"saved again: {after.config} {after.task} {after.labels}")
    one, two = before.weights(), after.weights()
    found += [f"saved again: {name}" for name in one if not np.array_equal(one[name], two.get(name))]
    if ours.inputs_of(before) != ours.inputs_of(after):
        found.append(f"saved again: ids from {after.vocabulary_path.name}")
    return found


def _answers(folder: Path, major: str) -> tuple[dict, dict, list[np.ndarray]]:
    asked = json.loads((folder / "asked.json").read_text("utf-8"))
    told = json.loads((folder / f"theirs-{major}.json").read_text("utf-8"))
    with np.load(folder / f"theirs-{major}.npz") as file:
        return asked, told, [file[f"arr_{i}"] for i in range(len(file.files))]


def record(folder: Path) -> None:
    """Writes what both versions answered: all logits of a classifier, the best ones of a masked model."""
    document: dict = {}
    for major in MAJORS:
        asked, told, logits = _answers(folder, major)
        document |= {"files": asked["files"], "texts": asked["texts"]}
        rows = []
        for ids, answer in zip(told["ids"], logits, strict=True):
            best = np.argsort(-answer)[: ours.BEST] if len(answer) > 1000 else np.arange(len(answer))
            found = [round(float(x), 7) for x in answer[best]]
            rows.append({"ids": ids, "of": best.tolist(), "logits": found})
        versions = {key: told[key] for key in ("transformers", "torch", "tokenizer")}
        document[f"transformers{major}"] = {**versions, "rows": rows}
    ours.RECORDED.mkdir(exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, indent=None, separators=(",", ":"))
    (ours.RECORDED / f"{folder.name}.json").write_text(text + "\n", "utf-8")


def main() -> None:
    """Everything, in a temporary folder."""
    peers = {major: peer(major) for major in MAJORS}
    with tempfile.TemporaryDirectory(prefix="sparkxlmr-peers-") as name:
        root = Path(name)
        mine = ask(root)
        for python in peers.values():
            run(python, HERE / "theirs.py", root)
        failed = False
        for folder in sorted(root.iterdir()):
            for major in MAJORS:
                for problem in problems(folder, major, mine[folder.name]):
                    failed = True
                    print(f"  {folder.name}, transformers {major}: {problem}", flush=True)
        if failed:
            sys.exit("transformers does not agree")
        run(peers["4"], HERE / "stages.py", ours.FIXTURES)
        settings = ours.FIXTURES / "hugging_face" / "tokenizer_settings.json"
        settings.unlink(missing_ok=True)
        for python in peers.values():
            run(python, HERE / "tokenizer_settings.py", settings)
        for old in ours.RECORDED.glob("*.json"):
            old.unlink()
        for folder in sorted(root.iterdir()):
            record(folder)


if __name__ == "__main__":
    main()
