"""What is said when a model cannot be fetched: one line and the remedy."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from sparkxlmr.errors import EnvironmentNotReadyError, PresetNotFoundError
from sparkxlmr.presets.hub_secrets import redacted

Answer = TypeVar("Answer")

#: seconds until a hub that has not answered at all counts as out of reach
PATIENCE = 20.0

INSTALL = 'pip install "sparkxlmr[hub]"'


class Unreachable(EnvironmentNotReadyError):
    """The hub, or what speaks with it, is not there: a copy that was fetched before will do."""


def one_line(error: BaseException) -> str:
    """An exception as one redacted line."""
    text = " ".join(redacted(str(error)).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What ``ask()`` returns or raises, or TimeoutError after so many seconds.

    The libraries that speak with hubs differ in how, and whether, they limit a connection that nobody takes;
    this bounds each of them. One that hangs is left to a daemon thread.

    >>> within(5, lambda: 1)
    1
    """
    answers: queue.SimpleQueue[tuple[Answer | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]


def out_of_reach(handle: str, error: BaseException, mirror: str = "") -> Unreachable:
    """No connection, or one that broke. ``mirror``: one more thing to do about it."""
    return Unreachable(
        f"{handle} cannot be fetched ({one_line(error)})",
        "network access, or a copy that was fetched before",
        "open it again where there is network (what was fetched so far is kept), or copy the model's "
        f"folder here and pass its path{mirror}",
    )


def no_package(handle: str, package: str) -> Unreachable:
    """The optional package that fetches such handles is not installed."""
    return Unreachable(f"{handle} is fetched by {package}, which is not installed", package, INSTALL)


def refused(handle: str, why: str, remedy: str) -> EnvironmentNotReadyError:
    """The model is there, and this user may not have it."""
    return EnvironmentNotReadyError(f"{handle} may not be read: {why}", "access to the model", remedy)


def not_found(
    handle: str, why: str, expected: str, remedy: str = "check the spelling"
) -> PresetNotFoundError:
    """The hub answers that it has no such thing."""
    return PresetNotFoundError(f"There is no model {handle}: {why}", expected, remedy)
