"""Predicting in a process of its own, started for one device.

A framework keeps the device it was imported with, and Spark hands a worker tasks of other addresses. Such
a task is answered by a child that saw its device before it imported anything, and that is kept for the
next one.

The protocol, :mod:`~sparkxlmr.runtime.messages` on the child's standard input and output: first what opens
the model, answered with None; then the name of a method and its arguments, each answered with what the method
gives. An answer that is an exception is raised by the caller. Both ends are this package's own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import IO, Any

from sparkxlmr.errors import EngineError
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import use_device
from sparkxlmr.runtime.embedder import Embedding
from sparkxlmr.runtime.mask_filler import MaskAnswer
from sparkxlmr.runtime.messages import portable, receive, send
from sparkxlmr.runtime.open_model import open_model
from sparkxlmr.runtime.predictor import Prediction


class ChildPredictor:
    """An open model that lives in a child process. Close it, or let it go: the child ends with it.

    - `bundle`: verified; the child opens its folder.
    - `precision`, `threads`: as for `Predictor`.
    - `device`: the GPU addresses that the child sees ("0", "0,1"), "" for none.

    Raises what `open_model` raises, EngineError where the child ends before or while it answers; the next
    call then starts another.
    """

    def __init__(self, bundle: Bundle, precision: str, threads: int | None, device: str) -> None:
        self._device = device
        self._bundle = bundle
        self._opening = (str(bundle.folder), bundle.hash, precision, threads, device)
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        """A new child that has opened the model."""
        # The package may have come as a Spark artifact: on this process's path, not in its environment.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        # Until the model is open: a child that could not open it would take the next call for an opening.
        self._failed = True
        self._request(self._opening)
        self._failed = False
        return self._process

    def logits(self, *arguments: Any) -> Prediction:
        """As `Predictor.logits`."""
        answer: Prediction = self._ask(("logits", arguments))
        return answer

    def fill(self, *arguments: Any) -> list[list[MaskAnswer]]:
        """As `MaskFiller.fill`."""
        answer: list[list[MaskAnswer]] = self._ask(("fill", arguments))
        return answer

    def embed(self, *arguments: Any) -> Embedding:
        """As `Embedder.embed`."""
        answer: Embedding = self._ask(("embed", arguments))
        return answer

    @property
    def ended(self) -> bool:
        """Whether the child is gone, closed or killed."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the child: it leaves when its input ends."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                with contextlib.suppress(OSError):  # a child that died has left already
                    stream.close()
        self._process.wait()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def _ask(self, question: Any) -> Any:
        """The answer to a call. A child that ended is an error once; the next call starts another."""
        if self._failed:
            self.close()
            self._bundle.verify()
            self._started()
        return self._request(question)

    def _request(self, question: Any) -> Any:
        sink, source = self._process.stdin, self._process.stdout
        assert sink is not None
        assert source is not None
        try:
            send(sink, question)
            answer = receive(source)
        except Exception as error:
            # Whatever else it may send belongs to this call, and no later one may receive it.
            self._failed = True
            self._process.kill()
            raise EngineError(
                f"The process that predicts on device {self._device!r} ended ({self._process.wait()})",
                "it to answer until this worker ends",
                "look at the executor's stderr for what it said; its memory may be too small",
            ) from error
        except BaseException:  # an interrupt: the answer would be taken for that of the next call
            self._failed = True
            self._process.kill()
            self._process.wait()
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """The child's side: one open model, and answers until the input ends."""
    model: Any = None
    while True:
        try:
            question = receive(source)
        except EOFError:
            return
        answer: Any = None
        try:
            if model is None:
                folder, bundle_hash, precision, threads, device = question
                use_device(device or None)
                model = open_model(Bundle.open_known(folder, bundle_hash), precision, threads)
            else:
                method, arguments = question
                answer = getattr(model, method)(*arguments)
        except Exception as error:
            answer = portable(error)
        send(sink, answer)


def main() -> None:
    """Serve on standard input and output; whatever else prints goes to standard error."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
