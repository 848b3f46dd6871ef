"""Run in an environment with transformers and torch: loads each checkpoint folder that this package exported,
answers, and saves it again in transformers' own way.

    python theirs.py FOLDER

FOLDER holds one folder a model, with the checkpoint in ``checkpoint`` and texts and ids in ``asked.json``;
beside them come ``theirs-<major version>.json`` and ``.npz``, and the checkpoint saved again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def answer(folder: Path, major: str) -> None:
    """Ids and logits of one model, and the model saved again."""
    import numpy as np
    import torch
    import transformers

    asked = json.loads((folder / "asked.json").read_text("utf-8"))
    checkpoint = folder / "checkpoint"
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    model_class = getattr(transformers, config["architectures"][0])
    model, told = model_class.from_pretrained(checkpoint, output_loading_info=True)
    model.eval()
    slow = {"use_fast": False} if major == "4" else {}
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, **slow)
    ids = [tokenizer(*text, truncation=True)["input_ids"] for text in asked["texts"]]
    logits = []
    with torch.no_grad():
        for row in asked["rows"]:
            features = {"input_ids": torch.tensor([row["ids"]])}
            if "segments" in row:
                features["token_type_ids"] = torch.tensor([row["segments"]])
            logits.append(_vector(model(**features), row["ids"], config, tokenizer.mask_token_id))
    np.savez(folder / f"theirs-{major}.npz", *logits)
    facts: dict[str, Any] = {
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "tokenizer": type(tokenizer).__name__,
        "labels": [model.config.id2label[i] for i in sorted(model.config.id2label)],
        "missing": sorted(told["missing_keys"]),
        "unexpected": sorted(told["unexpected_keys"]),
        "ids": ids,
    }
    (folder / f"theirs-{major}.json").write_text(json.dumps(facts), "utf-8")
    again = folder / f"again-{major}"
    # Version 4 writes PyTorch's own file too, and both write their tokenizer as they do today.
    model.save_pretrained(again, **({"safe_serialization": False} if major == "4" else {}))
    tokenizer.save_pretrained(again)


def _vector(answer: Any, ids: list[int], config: dict[str, Any], mask_id: int) -> Any:
    """As ours.py: logits, those at the first mask, or of an encoder the first token's vector (and pooled)."""
    import torch

    if config["architectures"][0].endswith("MaskedLM"):
        return answer.logits[0, ids.index(mask_id)].numpy()
    if not config["architectures"][0].endswith("Model"):
        return answer.logits[0].numpy()
    first = answer.last_hidden_state[0, 0]
    if config["model_type"] == "albert":
        return torch.cat([first, answer.pooler_output[0]]).numpy()
    return first.numpy()


def main() -> None:
    """Answers for every model in the folder that the first argument names."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        answer(folder, transformers.__version__.split(".")[0])


if __name__ == "__main__":
    main()
