"""Models that this process has sent to executors: each once per session, released when nothing uses it.

Spark has no public call that takes back a file of ``SparkContext.addFile``: each executor that starts later
fetches every file that was ever added. A file is therefore used together with a broadcast variable without
content, a mark. The stage's model keeps the mark alive in Python, and every DataFrame and job that runs the
model keeps it alive in the JVM, because a Python UDF holds its broadcast variables. A mark that the JVM has
collected shows that nothing can request the file any more.
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparkxlmr.spark.compat import has_active_jobs, remove_added_file, weak_broadcasts
from sparkxlmr.spark.model_ref import ModelRef

#: Broadcast models whose pieces executors are asked to keep; workers have unpacked those of the others.
MAX_BROADCAST = 4
#: Unused models that stay sent, because programs often make the same stage again.
MAX_UNUSED = 2

#: Garbage collections for models that are released at once, and seconds in between: the Python side of
#: Spark reports once a second to the JVM which objects it has dropped.
ROUNDS, PAUSE = 4, 0.75

#: session or application, bundle hash, distribution
Key = tuple[str, str, str]


@dataclass
class _Entry:
    """A sent model.

    - `context`: the SparkContext; None under Connect, whose server keeps what it got until the session ends.
    - `file`: with distribution "files" what Spark serves to executors.
    - `marks`: by the id of each living owner, the mark that it keeps alive.
    - `alive`: the JVM's weak map of all marks; None where there is no file.
    """

    ref: ModelRef
    context: Any
    file: Path | None
    marks: dict[int, Any] = field(default_factory=dict)
    alive: Any = None

    def use(self, owner: object) -> ModelRef:
        """The reference for one DataFrame; the model stays sent as long as it or `owner` is alive."""
        if self.file is None:
            return self.ref
        mark = self.marks.get(id(owner))
        if mark is None:
            mark = self.context.broadcast(None)
            self.alive = weak_broadcasts(self.context) if self.alive is None else self.alive
            self.alive.put(mark._jbroadcast, True)
            if owner is not None:
                self.marks[id(owner)] = mark
                # Without a lock: it may run in any thread, also in one that holds the registry's.
                weakref.finalize(owner, self.marks.pop, id(owner), None).atexit = False
        return replace(self.ref, pieces=(mark,))

    def is_used(self) -> bool:
        """Whether an owner, a DataFrame or a job still holds a mark."""
        return self.alive is not None and not self.alive.isEmpty()


class SentModels:
    """The registry of one process; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sending: dict[Key, threading.Lock] = {}
        #: The most recently used one last.
        self._entries: dict[Key, _Entry] = {}
        #: Files that no new job lists; a running job may still have executors fetch them.
        self._retired: dict[Key, tuple[Any, Path]] = {}

    def send_once(
        self, key: Key, context: Any, send: Callable[[], tuple[ModelRef, Path | None]], owner: object = None
    ) -> ModelRef:
        """The reference of a model, which `send` sends where this session does not have it yet.

        Threads that ask for one model wait for the one that sends it; other models are sent meanwhile.

        Args:
            key: session, bundle hash and distribution.
            context: the SparkContext, None under Connect.
            send: sends the model; returns its reference, and the file that Spark serves, if it serves one.
            owner: the object whose lifetime keeps the model sent, for example a stage's model.

        Raises:
            Exception: what `send` raises; the next call sends again.
        """
        with self._lock:
            sending = self._sending.setdefault(key, threading.Lock())
        with sending:
            with self._lock:
                if key in self._entries:
                    return self._use(key, owner)
                self._retired.pop(key, None)  # its file is served again
            ref, file = send()
            with self._lock:
                self._entries[key] = _Entry(ref, context, file)
                return self._use(key, owner)

    def release_unused(self, context: Any) -> list[str]:
        """Release every model that no stage and no DataFrame uses; the hashes of the released ones.

        Collects garbage in this process and in the JVM first, for some seconds where DataFrames remain.
        """
        for _ in range(ROUNDS):
            gc.collect()
            if not self._has_ownerless(context):
                break
            context._jvm.System.gc()
            if not self._has_ownerless(context):
                break
            time.sleep(PAUSE)
        with self._lock:
            released = self._release(context, keep=0)
            self._delete_retired(context)
        return released

    def _has_ownerless(self, context: Any) -> bool:
        """Whether a model is used that no stage holds: by a DataFrame, or until garbage is collected."""
        with self._lock:
            entries = [entry for entry in self._entries.values() if entry.context is context]
            return any(entry.is_used() for entry in entries if not entry.marks)

    def refs(self) -> list[ModelRef]:
        """References of what is sent, the most recently used one last."""
        with self._lock:
            return [entry.ref for entry in self._entries.values()]

    def _use(self, key: Key, owner: object) -> ModelRef:
        entry = self._entries[key] = self._entries.pop(key)
        ref = entry.use(owner)
        if entry.context is not None:
            # Of an application that has ended, Spark has deleted everything.
            for other, found in list(self._entries.items()):
                if found.context is not None and found.context is not entry.context:
                    del self._entries[other]
            self._delete_retired(entry.context)
            self._release(entry.context, keep=MAX_UNUSED)
            self._unpersist_old_broadcasts()
        return ref

    def _release(self, context: Any, keep: int) -> list[str]:
        """Remove the unused files from those that new executors fetch, but the `keep` most recent ones."""
        unused = [
            (key, entry, entry.file)
            for key, entry in self._entries.items()
            if entry.file is not None and entry.context is context and not entry.is_used()
        ]
        released = []
        for key, entry, file in unused[: max(0, len(unused) - keep)]:
            if remove_added_file(context, entry.ref.place):
                del self._entries[key]
                self._retired[key] = context, file
                released.append(entry.ref.hash)
        return released

    def _delete_retired(self, context: Any) -> None:
        """Delete released files, unless a job is running that was started before they were released."""
        if self._retired and not has_active_jobs(context):
            for owner, file in self._retired.values():
                if owner is context:
                    file.unlink(missing_ok=True)
            self._retired.clear()

    def _unpersist_old_broadcasts(self) -> None:
        """Let executors drop the pieces of all but the last few broadcast models.

        Nothing breaks: a job that still needs a piece has it sent again by the driver, which keeps it until
        its last DataFrame is gone.
        """
        old = [key for key, entry in self._entries.items() if key[2] == "broadcast"]
        for key in old[:-MAX_BROADCAST]:
            for piece in self._entries.pop(key).ref.pieces:
                piece.unpersist()
