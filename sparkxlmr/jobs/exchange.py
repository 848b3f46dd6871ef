"""Atomic output: a result is written aside and takes the place of an earlier one when complete.

Two renames exchange the results, and a process may be killed between them: :func:`recover`, called before
the next run writes there, finishes or undoes what was begun. Nothing here knows Spark: a :class:`Store` has
the few operations of a file system, and a test can let each of them be the last.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from sparkxlmr.errors import OutputError

_KINDS = ("unfinished", "replaced")
_SUCCESS = "_SUCCESS"
_SETTLED = 15 * 60.0
"""Seconds without a change after which a result is no part of an exchange that another process is making."""


class Store(Protocol):
    """A file system. All paths are strings; errors are :class:`OSError` or those of ``errors``.

    ``errors``: what its operations raise. ``exclusive``: whether :meth:`claim` keeps other processes out.
    """

    errors: tuple[type[Exception], ...]
    exclusive: bool

    def split(self, path: str) -> tuple[str, str]:
        """The folder that a path is in, and its name there."""

    def join(self, folder: str, name: str) -> str:
        """The path of a name in a folder."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is at the path."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder; none where it is a file or missing."""

    def age(self, path: str) -> float:
        """Seconds since the last change of a file or folder, not of what is in it."""

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents."""

    def rename(self, source: str, target: str) -> None:
        """Move a file or folder to a path where nothing is."""

    def delete(self, path: str) -> None:
        """Remove a file or folder with all that is in it; nothing happens where there is none."""

    @contextmanager
    def claim(self, path: str) -> Iterator[None]:
        """Hold a path against other processes; raises OutputError where another one holds it."""

    def reason(self, error: BaseException) -> str:
        """One line about one of ``errors``."""


@dataclass
class Placed:
    """Whether a result has taken its place; :func:`replacing` keeps it true, whatever interrupts it."""

    done: bool = False


def check_output(store: Store, path: str, overwrite: bool) -> None:
    """Refuse an output that would replace something unasked.

    Raises:
        OutputError: it exists and ``overwrite`` is false; or it is a folder full of something else.
    """
    try:
        exists = store.exists(path)
        names = store.names(path) if exists else []
    except store.errors as error:
        raise OutputError(
            f"{path} cannot be looked at ({store.reason(error)})",
            "a place that this user may write to",
            "choose another",
        ) from error
    if names and _SUCCESS not in names:
        raise OutputError(
            f"{path} is a folder with other things in it",
            "a new path, or a result of an earlier run (a folder with _SUCCESS in it)",
            "name another --output",
        )
    if exists and not overwrite:
        raise OutputError(f"{path} exists already", "a new path", "name another --output, or say --overwrite")


@contextmanager
def replacing(store: Store, path: str, overwrite: bool, placed: Placed) -> Iterator[str]:
    """Give a hidden folder beside ``path`` to write into; it takes the path's place when the block succeeds.

    What was at the path stays until then, and stays for good where the block fails or is interrupted. A
    process that is killed leaves hidden folders behind, which no reader of Spark looks at; :func:`recover`
    deals with them.

    Raises:
        OutputError: the folder cannot be created there; another process writes to the path; or, without
            ``overwrite``, a result appeared there in the meantime: then the new one stays in the hidden
            folder that the message names.
    """
    parent, name = store.split(path)
    token = uuid.uuid4().hex[:8]
    unfinished, replaced = (store.join(parent, hidden_name(name, token, kind)) for kind in _KINDS)
    failures: tuple[type[Exception], ...] = (*store.errors, OSError)
    try:
        store.make_folder(parent)
    except failures as error:
        raise _cannot_write(store, path, error) from error
    with store.claim(path):
        # Another process may have finished since the path was checked first.
        check_output(store, path, overwrite)
        try:
            store.make_folder(unfinished)
        except failures as error:
            raise _cannot_write(store, path, error) from error
        kept = False
        try:
            yield unfinished
            if not overwrite and store.exists(path):
                kept = True
                raise OutputError(
                    f"{path} was written by another process while this one ran",
                    "an output of one process only",
                    f"the result of this one is complete in {unfinished}: rename that folder",
                )
            put_in_place(store, unfinished, path, replaced, placed)
        finally:
            if not kept:
                store.delete(unfinished)


def hidden_name(name: str, token: str, kind: str) -> str:
    """The name beside an output of what is not yet, or no longer, in its place; Hadoop writes into no folder
    with a colon in its name.

    >>> hidden_name("out 10:00", "0123abcd", "unfinished")
    '.out 10%3A00.0123abcd.unfinished'
    """
    return f".{name.replace(':', '%3A')}.{token}.{kind}"


def _cannot_write(store: Store, path: str, error: BaseException) -> OutputError:
    return OutputError(
        f"Nothing can be written beside {path} ({store.reason(error)})",
        "a place that this user may write to",
        "choose another",
    )


def put_in_place(store: Store, unfinished: str, path: str, replaced: str, placed: Placed) -> None:
    """Exchange a complete result for what is at the path, which is deleted in the end."""
    replaces = store.exists(path)
    try:
        if replaces:
            store.rename(path, replaced)
        store.rename(unfinished, path)
        placed.done = True
    except BaseException:
        # An interrupt may come when the file system has renamed already.
        placed.done = not store.exists(unfinished)
        # Renaming to a folder that exists would put the one into the other.
        if replaces and not store.exists(path) and store.exists(replaced):
            store.rename(replaced, path)
        raise
    finally:
        if placed.done:
            store.delete(replaced)


def recover(store: Store, path: str) -> list[str]:
    """Finish or undo what a killed process left beside a path.

    A result that was to take the place of another one and is complete takes it now; else the earlier one
    returns. Unfinished results are removed where no other process can be writing them. Where the store has no
    lock, an exchange whose results are younger than 15 minutes is left alone: it may be in progress.

    Returns:
        A line for each thing that was done, for the user.
    """
    parent, name = store.split(path)
    left: dict[str, set[str]] = {}
    start = re.escape(hidden_name(name, "", "").removesuffix(".."))
    pattern = rf"{start}\.([0-9a-f]{{8}})\.({'|'.join(_KINDS)})"
    for found in store.names(parent):
        match = re.fullmatch(pattern, found)
        if match:
            left.setdefault(match[1], set()).add(match[2])
    lines = []
    for token, kinds in sorted(left.items()):
        unfinished, replaced = (store.join(parent, hidden_name(name, token, kind)) for kind in _KINDS)
        if "replaced" in kinds and not _is_settled(store, unfinished, replaced):
            lines.append(
                f"{replaced} is an earlier result of {path}, which another run replaces now or was killed at:"
                f" it is left alone until the new one, {unfinished}, is {_SETTLED / 60:.0f} minutes old."
            )
        elif "replaced" in kinds:
            lines.append(_finish_exchange(store, path, unfinished, replaced, "unfinished" in kinds))
        elif store.exclusive:
            store.delete(unfinished)
            lines.append(f"Removed {unfinished}, which a killed run left unfinished.")
    return lines


def _is_settled(store: Store, unfinished: str, replaced: str) -> bool:
    """Whether no running process can be between the two renames of an exchange, which follow directly on the
    last file of the new result."""
    if store.exclusive:
        return True
    paths = (replaced, unfinished, store.join(unfinished, _SUCCESS))
    return all(store.age(path) >= _SETTLED for path in paths if store.exists(path))


def _finish_exchange(store: Store, path: str, unfinished: str, replaced: str, has_new: bool) -> str:
    if store.exists(path):
        if has_new:
            return f"{unfinished} and {replaced} are results of a killed run: remove them if not needed."
        store.delete(replaced)
        return f"Removed {replaced}, the earlier result that {path} has replaced."
    if has_new and store.exists(store.join(unfinished, _SUCCESS)):
        store.rename(unfinished, path)
        store.delete(replaced)
        return f"A run was killed while its complete result replaced {path}: the new result is there now."
    store.rename(replaced, path)
    store.delete(unfinished)
    return f"A run was killed while it replaced {path}: the earlier result is there again."
