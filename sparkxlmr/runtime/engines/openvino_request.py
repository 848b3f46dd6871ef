"""Calls of a compiled OpenVINO model whose errors reach the caller.

``InferRequest.infer`` (2026.4.1) loses the exception of a failed call: it returns, and the output tensor
keeps the values of the call before. ``start_async`` followed by ``wait`` raises. After a failed call the
compiled model has prepared itself by half for the new shape and refuses valid inputs, so it is dropped and
opened again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError

# A NaN that no computation makes: every 64th value of a row holds it before a call.
_POISON = np.uint32(0x7FC5_A5A5)
_STEP = 64


class Request:
    """A compiled model with one infer request.

    Args:
        open_model: returns the compiled model; called now, and again after a call that failed.

    Calls from several threads run one after the other.
    """

    def __init__(self, open_model: Callable[[], Any]) -> None:
        self._open = open_model
        self._lock = threading.Lock()
        self._request: Any = open_model().create_infer_request()

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> list[NDArray[np.float32]]:
        """Return a copy of each output.

        Args:
            inputs: contiguous int32 arrays by the names of the inputs. OpenVINO reads them in place, and only
                during the call.

        Raises:
            RuntimeError: what OpenVINO raises where the call fails, or the model cannot be opened again.
            EngineError: the call returned without writing its output.
        """
        with self._lock:
            # Dropped unless the call succeeds, whatever ends it.
            request, self._request = self._request, None
            if request is None:
                request = self._open().create_infer_request()
            outputs = range(len(request.model_outputs))
            for index in outputs:
                _poisoned(request.get_output_tensor(index).data)[...] = _POISON
            try:
                request.start_async(dict(inputs), share_inputs=True)
            finally:
                # Also where an interrupt came in between: the arrays must live for as long as they are read.
                request.wait()
            found = [np.array(request.get_output_tensor(index).data, np.float32) for index in outputs]
            if any((_poisoned(output) == _POISON).any() for output in found):
                raise EngineError(
                    "OpenVINO returned from a call without writing its output",
                    "outputs of this call",
                    "report this with the model and OpenVINO's version",
                )
            self._request = request
        return found


def _poisoned(output: NDArray[Any]) -> NDArray[np.uint32]:
    """A view of the values that hold the poison before a call: some of each row, the first one included.

    Filling all of a masked language model's logits would cost as much as a hundredth of the call.
    """
    if output.dtype != np.float32 or not output.size:
        return np.zeros(0, np.uint32)
    rows = output.reshape(-1, output.shape[-1])
    return rows.view(np.uint32)[:, ::_STEP]
