"""The few hundred bytes that stand for a model on its way to the executors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Ways a model reaches the executors, as `setDistribution` takes them; "auto" is resolved on the driver.
WAYS = ("auto", "broadcast", "files", "path")


@dataclass(frozen=True)
class ModelRef:
    """Which bundle a worker runs, how it reaches it, and how it runs it.

    - `hash`: content hash of the bundle; what the worker opens must have it.
    - `way`: "path", "files" or "broadcast".
    - `place`: the bundle's folder (way "path"), else the archive's file name.
    - `precision`: what the engine computes in, resolved on the driver.
    - `assigned`: whether the engine runs on the GPUs that Spark assigns to tasks, and on no other (clusters).
      False for an engine without GPUs, and in local mode, where Spark assigns none.
    - `pieces`: Spark broadcast variables. With way "broadcast" the archive, cut in order; with "files" one
      without content, which shows the driver how long the model is used
      (:mod:`sparkxlmr.spark.sent_models`).
    - `shared`: in local mode, how many processes a visible GPU compute for all workers; 0: each worker
      computes for itself.
    """

    hash: str
    way: str
    place: str
    precision: str
    assigned: bool = False
    pieces: tuple[Any, ...] = ()
    shared: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What makes two references the same loaded model, however it travelled."""
        return self.hash, self.precision

    def to_wire(self) -> tuple[Any, ...]:
        """A tuple of strings (and broadcast variables) that unpickles without this package.

        >>> ModelRef("ab12", "path", "/models/x", "float32").to_wire()
        ('ab12', 'path', '/models/x', 'float32', False, (), 0)
        """
        return self.hash, self.way, self.place, self.precision, self.assigned, self.pieces, self.shared

    @classmethod
    def from_wire(cls, wire: tuple[Any, ...]) -> ModelRef:
        """The reference that :meth:`to_wire` wrote."""
        return cls(*wire)
