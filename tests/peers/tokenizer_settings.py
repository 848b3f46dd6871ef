"""Records the ids of transformers for the folders of ``tokenizer_cases.py``.

    python tokenizer_settings.py FILE

Run in an environment with transformers (no PyTorch): adds the version's answers to FILE, by the version's
major number and, of version 4, by its two kinds of tokenizers. ``tests/fixtures/hugging_face`` holds the
file that ``tests/presets/test_checkpoint_settings.py`` reads.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import tokenizer_cases as cases


def ids_of(folder: Path, **kind: Any) -> list[list[int]]:
    """Ids of the texts, then of the pairs."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, **kind)
    texts = [(text,) for text in cases.TEXTS]
    return [tokenizer(*text, truncation=True)["input_ids"] for text in [*texts, *cases.PAIRS]]


def config_keys() -> dict[str, list[str]]:
    """The keys of ``config.json`` that each family's configuration class reads or writes."""
    from inspect import signature

    import transformers

    found = {}
    for family, name in (("xlm_roberta", "XLMRobertaConfig"), ("albert", "AlbertConfig")):
        made = getattr(transformers, name)
        keys = {*made().to_dict(), *signature(made.__init__).parameters}
        keys |= {*signature(transformers.PretrainedConfig.__init__).parameters}
        found[family] = sorted(keys - {"self", "args", "kwargs"})
    return found


def main() -> None:
    """Add the answers of this version."""
    import transformers

    transformers.logging.set_verbosity_error()
    path = Path(sys.argv[1])
    document = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    major = transformers.__version__.split(".")[0]
    kinds = {"4-slow": {"use_fast": False}, "4-fast": {"use_fast": True}} if major == "4" else {"5": {}}
    for name, case in cases.CASES.items():
        with tempfile.TemporaryDirectory() as root:
            folder = cases.write(name, Path(root))
            model_type = case["family"].replace("_", "-")
            (folder / "config.json").write_text(json.dumps({"model_type": model_type}), "utf-8")
            for kind, arguments in kinds.items():
                if kind == "4-slow" and case["vocabulary"] == "json":
                    continue  # there are no slow tokenizers without a SentencePiece model
                document.setdefault(kind, {})[name] = ids_of(folder, **arguments)
    document.setdefault("config_keys", {})[major] = config_keys()
    document.setdefault("versions", {})[major] = transformers.__version__
    path.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
