"""A Hugging Face classifier as the ONNX folder that Spark NLP imports; run where torch and transformers are.

    python spark_nlp_onnx.py CHECKPOINT OUTPUT

As Spark NLP's own notebooks do it: one graph with inputs of any size, opset 14, the tokenizer and the labels
under ``assets``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification


class Logits(torch.nn.Module):
    """The model with the two inputs that Spark NLP gives, and its logits alone."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def export(checkpoint: Path, output: Path) -> None:
    """Write ``model.onnx`` and ``assets`` into `output`."""
    # Eager attention: the fused one has no operator in opset 14.
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager").eval()
    (output / "assets").mkdir(parents=True, exist_ok=True)
    ids = torch.full((2, 16), 5)
    sizes = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        Logits(model),
        (ids, torch.ones_like(ids)),
        str(output / "model.onnx"),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": sizes, "attention_mask": sizes, "logits": {0: "batch"}},
        opset_version=14,
        dynamo=False,  # the tracing exporter: the other one writes newer opsets
    )
    shutil.copy(checkpoint / "sentencepiece.bpe.model", output / "assets")
    labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
    (output / "assets" / "labels.txt").write_text("\n".join(labels), "utf-8")


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
