"""Makes ``tests/fixtures/torch/checkpoint``: a tiny checkpoint in PyTorch's own files, and its twin.

    python tests/peers/torch_checkpoint.py FOLDER  # in the environment that run.py makes for transformers 4

A masked language model with random weights, in shards, its tied matrices saved with it; the same weights once
more in ``twin.safetensors``, under a name that no reader of checkpoints looks for.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Writes the folder that the first argument names."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.XLMRobertaConfig(
        vocab_size=9,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=6,
        max_position_embeddings=10,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    model = transformers.XLMRobertaForMaskedLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    folder = Path(sys.argv[1])
    model.save_pretrained(folder, safe_serialization=False, max_shard_size="1KB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    model.save_pretrained(folder / "twin")
    (folder / "twin" / "model.safetensors").rename(folder / "twin.safetensors")
    for left in (folder / "twin").iterdir():
        left.unlink()
    (folder / "twin").rmdir()


if __name__ == "__main__":
    main()
