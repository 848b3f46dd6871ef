"""Run in an environment with transformers 4 and torch: what it says where stages go beyond one text.

    python stages.py FIXTURES

For the classifiers in FIXTURES/hugging_face it writes ``expected_stages.json`` beside each: logits of the
texts and sentences that Spark NLP was asked about, whole and cut, and ids and logits of pairs and of long
texts in windows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

LONG = "The satellite, launched in 2019, sends its pictures of the far side of the moon every night."
SHORT = "It has been there since then."
OTHER = "Stocks rise as oil falls to 60 dollars, the lowest price of this and of the last two years."
FAMILIES = {
    "xlmr": (transformers.XLMRobertaTokenizer, transformers.XLMRobertaTokenizerFast),
    "albert": (transformers.AlbertTokenizer, transformers.AlbertTokenizerFast),
}


class Peer:
    """One checkpoint, its slow tokenizer, and the fast one, which alone cuts windows."""

    def __init__(self, folder: Path, family: str) -> None:
        slow, fast = FAMILIES[family]
        self.slow, self.fast = slow.from_pretrained(folder), fast.from_pretrained(folder)
        self.model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def logits(self, ids: list[int], segments: list[int] | None) -> list[float]:
        features = {"input_ids": torch.tensor([ids])}
        if segments is not None:
            features["token_type_ids"] = torch.tensor([segments])
        with torch.no_grad():
            found = self.model(**features).logits[0]
        return [round(float(x), 7) for x in found]

    def whole(self, text: str, max_length: int) -> list[float]:
        encoded = self.slow(text, truncation=True, max_length=max_length)
        return self.logits(encoded["input_ids"], encoded.get("token_type_ids"))

    def pair(self, first: str, second: str, max_length: int) -> dict[str, Any]:
        encoded = self.slow(first, second, truncation="longest_first", max_length=max_length)
        ids, segments = encoded["input_ids"], encoded.get("token_type_ids")
        asked = {"first": first, "second": second, "max_length": max_length}
        return {**asked, "ids": ids, "segments": segments, "logits": self.logits(ids, segments)}

    def windows(self, first: str, second: str | None, max_length: int, stride: int) -> dict[str, Any]:
        ways = {"truncation": "only_first", "max_length": max_length, "stride": stride}
        encoded = self.fast(first, second, return_overflowing_tokens=True, **ways)
        rows = encoded["input_ids"]
        segments = encoded.get("token_type_ids") or [None] * len(rows)
        asked = {"first": first, "second": second, "max_length": max_length, "stride": stride}
        logits = [self.logits(*row) for row in zip(rows, segments, strict=True)]
        return {**asked, "ids": rows, "segments": segments, "logits": logits}


def asked_of_spark_nlp(recorded: dict[str, Any], family: str) -> list[str]:
    """The texts, and the sentences that it found in them."""
    rows = recorded["expected"][f"{family}/sentence/default"]["rows"]
    sentences = [
        text[begin : end + 1]
        for text, row in zip(recorded["texts"], rows, strict=True)
        for begin, end, *_ in row
    ]
    return list(dict.fromkeys(text for text in [*recorded["texts"], *sentences] if text.strip()))


def main() -> None:
    """Both families."""
    transformers.logging.set_verbosity_error()
    fixtures = Path(sys.argv[1])
    for family in FAMILIES:
        folder = fixtures / "hugging_face" / f"{family}_sequence_classification"
        peer = Peer(folder, family)
        recorded = fixtures / "spark_nlp" / f"sequence_classification_{family}.json"
        texts = asked_of_spark_nlp(json.loads(recorded.read_text("utf-8")), family)
        pairs = [(LONG, SHORT), (SHORT, LONG), (LONG, OTHER), (SHORT, SHORT)]
        answers = {
            "transformers": transformers.__version__,
            "texts": [{"text": text, **{str(n): peer.whole(text, n) for n in (128, 8)}} for text in texts],
            "pairs": [peer.pair(*pair, n) for pair in pairs for n in (24, 64)],
            "windows": [
                peer.windows(first, second, max_length, stride)
                for first, second, max_length, stride in (
                    (LONG, None, 16, 3), (OTHER, None, 12, 0), (SHORT, None, 16, 5),
                    (f"{LONG} {LONG}", None, 7, 4), (LONG, SHORT, 30, 4), (OTHER, SHORT, 28, 0),
                    (SHORT, SHORT, 64, 9),
                )
            ],
        }  # fmt: skip
        text = json.dumps(answers, ensure_ascii=False, indent=None, separators=(",", ":"))
        (folder / "expected_stages.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
