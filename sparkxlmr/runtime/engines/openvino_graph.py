"""A model with its head as an OpenVINO graph, built from canonical weights. Needs openvino, not Keras.

Only what is read is computed: of the last layer a classifier needs the first row, a masked language model
the rows of its masks, and of the vocabulary's logits nobody needs any but those at the masks. An encoder
alone answers two vectors a text.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from sparkxlmr.errors import NotAPresetError
from sparkxlmr.presets.config import BackboneConfig, MaskedLMConfig, TaskConfig, TextClassifierConfig
from sparkxlmr.runtime.engines.openvino_layers import (
    Layers,
    Products,
    Weights,
    attention_mask,
    ints,
    text_vectors,
)


def task_graph(
    weights: Weights, config: BackboneConfig, task: TaskConfig | None, products: Products | None = None
) -> ov.Model:
    """The graph: int32 inputs (rows, width) `token_ids`, `padding_mask` and for ALBERT `segment_ids`, to

    - of a text classifier: `logits`, float32 (rows, classes), before any activation;
    - of a masked language model, which also takes `mask_positions`, int32 (n, 2), the row and the column of
      each mask: `logits`, float32 (n, vocabulary), at the masks only;
    - of an encoder alone (`task` None): `vectors`, float32 (rows, 2, hidden), of the first token, and the
      mean over all tokens, padding left out (zeros in a row of nothing but padding).

    - `weights`: canonical names to arrays, kernels as (in, out).
    - `products`: how products are computed; left out: in floats.

    All dimensions of the inputs are dynamic; a width beyond the position table is the caller's error. The
    graph of equal weights is the same to the byte, whatever else the process has built. Raises WeightsError
    where a name is missing, NotAPresetError for a family or a head that is not known here.
    """
    family = _FAMILIES.get(config.family)
    if family is None:
        raise NotAPresetError(
            f"The model's family is {config.family!r}", f"one of {sorted(_FAMILIES)}", "use a newer sparkxlmr"
        )
    return family(weights, config, products).build(task)


def write_graph(graph: ov.Model, graph_file: Path, half: bool) -> None:
    """Writes the graph and, beside it with the suffix `.bin`, its weights.

    `half`: keep weights as float16. OpenVINO reads each back as float32, but leaves the token table as it is
    mapped. Raises OSError where the disk takes no more.
    """
    try:
        ov.save_model(graph, graph_file, compress_to_fp16=half)
        # A stream that cannot be flushed is no error to OpenVINO: what is there has to be a whole graph.
        ov.Core().read_model(graph_file)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write {graph_file.name} ({str(error).strip()[-200:]})") from error


def fits_float16(weights: Weights) -> bool:
    """Whether float16 holds every number exactly: so it is for a preset that was stored in float16."""
    # Beyond float16's range the cast gives infinity, which differs from the number: no warning is needed.
    with np.errstate(over="ignore"):
        return all(np.array_equal(array.astype(np.float16), array) for array in weights.values())


class _Encoder(Layers):
    """A family: its inputs, its embeddings, its classifier's head."""

    inputs: tuple[str, ...] = ("token_ids", "padding_mask")

    def embeddings(self, inputs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def classifier(self, first: Any, task: TextClassifierConfig) -> Any:
        """Logits (rows, classes) of the first rows (rows, hidden)."""
        raise NotImplementedError

    def build(self, task: TaskConfig | None) -> ov.Model:
        inputs = {name: op.parameter([-1, -1], np.int32, name=name) for name in self.inputs}
        if task is None:
            answer = self._vectors(inputs)
        elif isinstance(task, MaskedLMConfig):
            inputs["mask_positions"] = op.parameter([-1, 2], np.int32, name="mask_positions")
            answer = self._masked_lm(inputs, task)
        elif isinstance(task, TextClassifierConfig):
            x = self._encoded(inputs, first_only=True)
            answer = self.classifier(op.squeeze(x, ints(1)), task)
        else:
            raise NotAPresetError(
                f"The head is a {task.kind}", "a head that is known here", "use a newer sparkxlmr"
            )
        answer.output(0).set_names({"vectors" if task is None else "logits"})
        result = op.result(answer)
        for name, parameter in inputs.items():
            parameter.output(0).set_names({name})
        model = ov.Model([result], list(inputs.values()), "encoder" if task is None else task.kind)
        # The names OpenVINO gives count everything this process ever built; the file must not.
        for number, node in enumerate(model.get_ordered_ops()):
            node.set_friendly_name(f"{number}_{node.get_type_name()}")
        return model

    def _encoded(
        self, inputs: dict[str, Any], first_only: bool = False, at: Callable[[Any], Any] | None = None
    ) -> Any:
        mask = attention_mask(inputs["padding_mask"])
        x = self.embeddings(inputs)
        *names, last = self.config.layer_names()
        for name in names:
            x = self.layer(x, mask, name)
        return self.layer(x, mask, last, first_only, at)

    def _vectors(self, inputs: dict[str, Any]) -> Any:
        return text_vectors(self._encoded(inputs), inputs["padding_mask"])

    def _masked_lm(self, inputs: dict[str, Any], task: MaskedLMConfig) -> Any:
        x = self._encoded(inputs, at=lambda rows: op.gather_nd(rows, inputs["mask_positions"], 0))
        x = self.activate(self.dense(x, "masked_lm.dense"), task.activation)
        x = self.norm(x, "masked_lm.norm", task.layer_norm_epsilon)
        name = "embeddings.token"
        return op.add(self.product(x, name, self.kernel(name)), self.stored("masked_lm.bias"))

    def _tokens(self, token_ids: Any) -> Any:
        return self.products.rows(self.kernel("embeddings.token"), token_ids)

    def _positions(self, token_ids: Any) -> Any:
        """The first rows of the position table: (1, width, ...)."""
        width = op.gather(op.shape_of(token_ids, "i32"), ints([1]), ints(0))
        rows = op.slice(self.stored("embeddings.position"), ints([0]), width, ints([1]), ints([0]))
        return op.unsqueeze(rows, ints(0))


class _XlmRoberta(_Encoder):
    def embeddings(self, inputs: dict[str, Any]) -> Any:
        x = op.add(self._tokens(inputs["token_ids"]), self._positions(inputs["token_ids"]))
        return self.norm(x, "embeddings.norm")

    def classifier(self, first: Any, task: TextClassifierConfig) -> Any:
        return self.dense(op.tanh(self.dense(first, "classifier.dense")), "classifier.logits")


class _Albert(_Encoder):
    """Groups of layers, each run several times over; small embeddings, projected; a pooler."""

    inputs = ("token_ids", "padding_mask", "segment_ids")

    def embeddings(self, inputs: dict[str, Any]) -> Any:
        x = op.add(self._tokens(inputs["token_ids"]), self._positions(inputs["token_ids"]))
        x = op.add(x, op.gather(self.stored("embeddings.segment"), inputs["segment_ids"], ints(0)))
        return self.dense(self.norm(x, "embeddings.norm"), "embeddings.projection")

    def classifier(self, first: Any, task: TextClassifierConfig) -> Any:
        return self.dense(op.tanh(self.dense(first, "pooler")), "classifier.logits")


_FAMILIES: dict[str, type[_Encoder]] = {"xlm_roberta": _XlmRoberta, "albert": _Albert}
