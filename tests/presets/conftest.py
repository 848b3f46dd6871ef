"""A server on this machine that stands in for a hub: it counts what it sends, and can break off."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Answer:
    """What a fake hub answers; a ``ranged`` body is sent from where the request's Range says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ranged: bool = False


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    sent: int = 0

    @property
    def start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(match[1]) if match else 0


class Hub:
    """Serves ``answer(request)``; ``cuts[part of a path]``: where its next answers break off."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.cuts: dict[str, list[int]] = {}
        self._connections: list[socket.socket] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                hub._connections.append(self.connection)

            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):  # who asked may have left
                    hub._handle(self)

            do_POST = do_HEAD = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """From now on nobody answers at this address."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def asked_for(self, end: str) -> list[Request]:
        """The requests whose path, less its query, ends so."""
        return [request for request in self.requests if request.path.partition("?")[0].endswith(end)]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        request = Request(handler.command, handler.path, headers, body)
        self.requests.append(request)
        answer = self.answer(request)
        start = request.start if answer.ranged else 0
        content = answer.body[start:]
        handler.send_response(206 if start else answer.status)
        if answer.ranged:
            answer.headers["Accept-Ranges"] = "bytes"
            if start:
                answer.headers["Content-Range"] = f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}"
        for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if request.method == "HEAD":
            return
        cut = next((left.pop(0) for part, left in self.cuts.items() if part in request.path and left), None)
        content = content if cut is None else content[:cut]
        handler.wfile.write(content)
        request.sent = len(content)
        handler.close_connection = cut is not None


@pytest.fixture
def start_hub() -> Iterator[Callable[[Callable[[Request], Answer]], Hub]]:
    """Starts hubs, and stops them when the test ends."""
    hubs: list[Hub] = []

    def start(answer: Callable[[Request], Answer]) -> Hub:
        hubs.append(Hub(answer))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.stop()


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty SPARKXLMR_HOME; the folder of fetched models in it."""
    monkeypatch.setenv("SPARKXLMR_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub"
