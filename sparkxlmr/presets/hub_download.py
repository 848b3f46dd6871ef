"""One file from elsewhere: a part that grows, goes on where it broke off, and takes its name when whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sparkxlmr.errors import DamagedModelError
from sparkxlmr.presets.files import sha256_of

# Seconds before each next attempt when one has brought nothing; a network that blinks is back by then.
_PAUSES = (0.5, 1.0, 2.0, 4.0)


def keep_on(attempt: Callable[[], Exception | None], had: Callable[[], int]) -> None:
    """Attempts a download until it is done, for as long as something comes.

    One that brings nothing ends it: at once where nothing came before, else after a few seconds of trying.

    Args:
        attempt: returns None when all is there, else what broke the connection, which is raised at the end.
        had: how many bytes are there.
    """
    pauses: tuple[float, ...] = ()
    while True:
        before = had()
        error = attempt()
        if error is None:
            return
        if had() > before:
            pauses = _PAUSES
        elif not pauses:
            raise error
        else:
            time.sleep(pauses[0])
            pauses = pauses[1:]


def download(
    target: Path,
    size: int,
    open_at: Callable[[int], Iterator[bytes]],
    broke: Callable[[Exception], bool],
    sha256: str | None = None,
) -> None:
    """Brings a file of known size to ``target``; what an earlier call left of it is not fetched again.

    A connection that breaks is taken up again: see :func:`keep_on`.

    Args:
        open_at: the file's bytes from an offset on.
        broke: whether an exception of ``open_at`` is a connection that broke.
        sha256: of the whole file, where the source tells it.

    Raises:
        DamagedModelError: what came is longer than announced, or has another hash.
    """
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.touch()

    def attempt() -> Exception | None:
        error = _append(part, size, open_at, broke)
        if (had := part.stat().st_size) == size:
            return None
        return error or ConnectionError(f"{target.name} ended after {had} of {size} bytes")

    keep_on(attempt, lambda: part.stat().st_size)
    if sha256 is not None and (found := sha256_of(part)) != sha256:
        part.unlink()
        raise DamagedModelError(
            f"{target.name} came with sha256 {found[:12]}...", f"{sha256[:12]}...", "fetch the model again"
        )
    part.replace(target)


def _append(
    part: Path, size: int, open_at: Callable[[int], Iterator[bytes]], broke: Callable[[Exception], bool]
) -> Exception | None:
    """Writes on from where the part ends; returns the error that broke the connection, if one did."""
    had = part.stat().st_size
    if had == size:
        return None
    with part.open("ab") as file:
        chunks = open_at(had)
        while True:
            try:
                chunk = next(chunks, None)
            except Exception as error:
                if broke(error):
                    return error
                raise
            if chunk is None:
                return None
            had += len(chunk)
            if had > size:
                break
            file.write(chunk)
    part.unlink()
    raise DamagedModelError(
        f"{part.stem} is longer than it was announced", f"{size} bytes", "fetch the model again"
    )
