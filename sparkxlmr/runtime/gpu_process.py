"""A GPU's process: it runs the engine for all workers of a host, where Spark gives GPUs to none.

In local mode every core has a worker process of its own, and each would take a context and a copy of the
model on the GPU: a laptop's sixteen do not fit. Nor may one wait for another, which keeps its model for as
long as it lives; and on its own core a worker would hold up the whole job. So a few processes hold the
GPUs (:data:`PROCESSES` each), and workers send them batches: texts become ids in the workers, all cores at
work, and the GPU's process does nothing but compute. It starts with the first worker that needs it and ends
a while after the last one left.

The protocol, on a socket in this user's own folder, is that of :mod:`~sparkxlmr.runtime.child`: first
`(folder of the bundle, its hash, precision)`, answered with `(widths, batch_tokens)`; then an engine's
inputs, each answered with what it makes of them. An answer that is an exception is raised by the worker.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sparkxlmr.errors import EngineError
from sparkxlmr.presets.disk import writing_below
from sparkxlmr.presets.locks import locked
from sparkxlmr.runtime.bundle import Bundle
from sparkxlmr.runtime.devices import device_environment, visible_gpus
from sparkxlmr.runtime.engines import Runner, engine_named
from sparkxlmr.runtime.host import HOST_FOLDER, host_folder
from sparkxlmr.runtime.messages import portable, receive, send

#: Processes that compute on each GPU, unless said otherwise. One is kept busy by any number of workers; a
#: second one needs the model's memory again.
PROCESSES = 1

#: Whether this system has what the processes talk through; Windows has not.
SHARING = hasattr(socket, "AF_UNIX")

#: Seconds that a GPU's process outlives its last worker: as long as Spark keeps an idle one.
PATIENCE = 60.0

_READY = b"ready\n"
_started: list[subprocess.Popen[bytes]] = []
# Of a socket's path; Linux takes 107 bytes, others a few less.
_LONGEST = 100


class SharedRunner:
    """A :class:`~sparkxlmr.runtime.engines.Runner` whose engine runs in the process of a GPU.

    - `bundle`: verified; the GPU's process opens its folder.
    - `processes`: of each GPU that this process may use, at least 1. A worker's number among them follows
      from its process id, and workers' ids follow each other.

    Raises what loading raises there, EngineError where the process ends before it answers.
    """

    def __init__(self, bundle: Bundle, precision: str, processes: int) -> None:
        places = [(gpu, number) for number in range(processes) for gpu in visible_gpus()]
        if not places:
            raise EngineError(
                "No GPU is visible to this worker",
                "those that the driver saw",
                "set the engine to 'openvino', or start Spark where there is a GPU",
            )
        self._gpu, self._number = places[os.getpid() % len(places)]
        self._bundle = bundle
        self._opening = str(bundle.folder), bundle.hash, precision
        self._lock = threading.Lock()
        self._stream: IO[bytes] | None = None
        self.widths, self.batch_tokens = self._open()

    def run(self, inputs: Mapping[str, NDArray[np.int32]]) -> NDArray[np.float32]:
        """As the engine's own runner. A process that ended is an error once; the next call starts another."""
        with self._lock:
            if self._stream is None:
                self._bundle.verify()  # a new process maps the files anew
                self._open()
            answer: NDArray[np.float32] = self._ask(dict(inputs))
        return answer

    def close(self) -> None:
        """Leave the GPU's process; it drops the model with its last worker."""
        stream, self._stream = self._stream, None
        with suppress(OSError):  # a question that the process did not live to read
            if stream is not None:
                stream.close()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self.close()

    def _open(self) -> Any:
        self._stream = _connected(self._gpu, self._number)
        try:
            return self._ask(self._opening)
        except Exception:
            self.close()
            raise

    def _ask(self, question: Any) -> Any:
        assert self._stream is not None
        try:
            send(self._stream, question)
            answer = receive(self._stream)
        except Exception as error:
            self.close()
            raise EngineError(
                f"The process that computes on GPU {self._gpu} ended",
                "it to answer until this worker ends",
                "look at the driver's stderr for what it said; memory may be short on the GPU",
            ) from error
        except BaseException:  # an interrupt: the answer would be taken for that of the next call
            self.close()
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer


def _connected(gpu: str, number: int) -> IO[bytes]:
    """A stream to the process of that number on that GPU, which is started where it does not run."""
    place = _folder() / f"{_in_a_name(gpu)}-{number}"
    with locked(place.with_suffix(".lock")):
        try:
            return _dialled(place)
        except OSError:
            place.unlink(missing_ok=True)  # left by a process that was killed
            _start(gpu, place)
            return _dialled(place)


def _start(gpu: str, place: Path) -> None:
    environment = os.environ | device_environment(gpu)
    # The package may have come as a Spark artifact: on this process's path, not in its environment.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(place), str(PATIENCE)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # it serves other workers too, when this one is interrupted
    )
    # Kept, so that the system can be asked what became of them.
    _started[:] = [process, *(other for other in _started if other.poll() is None)]
    assert process.stdout is not None
    with process.stdout as said:
        if said.read(len(_READY)) != _READY:
            raise EngineError(
                f"The process for GPU {gpu} did not start ({process.wait()})",
                "a Python that can import this package",
                "look at the driver's stderr for what it said",
            )


def _dialled(place: Path) -> IO[bytes]:
    line = socket.socket(socket.AF_UNIX)
    try:
        with _address(place) as address:
            line.connect(address)
        stream: Any = line.makefile("rwb")
        return stream
    finally:
        line.close()  # the stream keeps it open


def _folder() -> Path:
    folder = host_folder() / "gpus"
    with writing_below(folder, HOST_FOLDER):
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _in_a_name(gpu: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in gpu)


@contextmanager
def _address(place: Path) -> Iterator[str]:
    """The socket's path, through a descriptor of its folder where it is too long for a socket."""
    if len(os.fsencode(place)) <= _LONGEST:
        yield str(place)
        return
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)


class _Models:
    """What is open here: each model once, for all workers that ask for it, until the last of them leaves."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, str], tuple[Runner, int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrowed(self, folder: str, bundle_hash: str, precision: str) -> Iterator[Runner]:
        key = folder, bundle_hash, precision
        with self._lock:
            runner, users = self._open.get(key, (None, 0))
            if runner is None:
                bundle = Bundle.open_known(folder, bundle_hash)
                runner = engine_named(bundle.engine).load(bundle, precision, None)
            self._open[key] = runner, users + 1
        try:
            yield runner
        finally:
            with self._lock:
                runner, users = self._open.pop(key)
                if users > 1:
                    self._open[key] = runner, users - 1


def serve_worker(stream: IO[bytes], models: _Models) -> None:
    """Answers one worker until it leaves."""
    with ExitStack() as held, suppress(OSError, EOFError):
        runner: Runner | None = None
        while True:
            question = receive(stream)
            answer: Any
            try:
                if runner is None:
                    runner = held.enter_context(models.borrowed(*question))
                    answer = runner.widths, runner.batch_tokens
                else:
                    answer = runner.run(question)
            except Exception as error:
                answer = portable(error)
            send(stream, answer)


def serve(place: Path, patience: float) -> None:
    """Listens at `place` and answers every worker, until none has been here for `patience` seconds."""
    models, workers = _Models(), set[threading.Thread]()
    with socket.socket(socket.AF_UNIX) as line:
        with _address(place) as address:
            line.bind(address)
        line.listen()
        os.write(1, _READY)
        # Nobody reads further; whatever prints goes to standard error.
        os.dup2(2, 1)
        while True:
            came, _, _ = select.select([line], [], [], patience)
            workers = {worker for worker in workers if worker.is_alive()}
            if came:
                connection, _ = line.accept()
                stream = connection.makefile("rwb")
                connection.close()
                worker = threading.Thread(target=_serve_and_close, args=(stream, models), daemon=True)
                worker.start()
                workers.add(worker)
            elif not workers:
                # Workers come under this lock: none comes between the last look and the end.
                with locked(place.with_suffix(".lock")):
                    if not select.select([line], [], [], 0)[0]:
                        place.unlink(missing_ok=True)
                        return


def _serve_and_close(stream: IO[bytes], models: _Models) -> None:
    with suppress(OSError), stream:
        serve_worker(stream, models)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]))
