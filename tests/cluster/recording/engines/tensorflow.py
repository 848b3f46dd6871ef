"""An engine of the name that `auto` takes where tasks get GPUs; it records what it saw, and every logit it
answers is the number of the GPU that it sees. Like a framework it stays on the device it first saw."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import numpy as np


class RecordingRunner:
    widths = None
    batch_tokens = 4096

    def __init__(self, n_classes, device):
        self.n_classes, self.device = n_classes, device

    def run(self, inputs):
        return np.full((len(inputs["token_ids"]), self.n_classes), self.device, np.float32)


class RecordingEngine:
    name = "tensorflow"
    install = "nothing to install"
    precisions = ("float32",)
    revision = 1
    uses_gpu = True

    def installed(self):
        return True

    def compile(self, preset, folder):
        (folder / "classes").write_text(str(len(preset.labels)))
        return ["classes"]

    def load(self, bundle, precision, threads):
        seen = {
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "order": os.environ.get("CUDA_DEVICE_ORDER"),
            "tensorflow": "tensorflow" in sys.modules,
            "threads": threads,
        }
        (Path(os.environ["RECORDS"]) / f"{os.getpid()}.json").write_text(json.dumps(seen))
        sys.modules.setdefault("tensorflow", types.ModuleType("tensorflow"))
        visible = seen["visible"] if (seen["visible"] or "").isdecimal() else -1
        return RecordingRunner(int(bundle.file("classes").read_text()), int(visible))


ENGINE = RecordingEngine()
