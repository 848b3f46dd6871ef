"""The Parquet files of a contestant's job: texts in, labels out.

Every contestant does the same whole job: read texts from Parquet, one file a core, and write their labels to
Parquet. Rows carry a number, because engines write them in any order.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet


class JobFiles:
    """The texts of a JSON lines file as Parquet in `folder`, in as many files as there are `cores`."""

    def __init__(self, texts: Path, folder: Path, cores: int, rows: int | None = None) -> None:
        lines = texts.read_text("utf-8").splitlines()[:rows]
        self.texts = [json.loads(line)["text"] for line in lines]
        self.target = folder / "labels"
        self._folder = folder
        self._cores = cores

    def source(self, by_length: bool) -> Path:
        """The folder with the texts, as they come or sorted by length; dealt out so that files are alike."""
        folder = self._folder / ("texts-by-length" if by_length else "texts")
        if not folder.exists():
            folder.mkdir(parents=True)
            order = list(range(len(self.texts)))
            if by_length:
                order.sort(key=lambda row: -len(self.texts[row]))
            for core in range(self._cores):
                rows = order[core :: self._cores]
                table = pa.table({"id": rows, "text": [self.texts[row] for row in rows]})
                parquet.write_table(table, folder / f"part-{core:03}.parquet")
        return folder

    def one_a_core(self) -> Path:
        """A folder with one text a core: what makes workers load their model."""
        folder = self._folder / "one-a-core"
        if not folder.exists():
            folder.mkdir(parents=True)
            for core in range(self._cores):
                table = pa.table({"id": [core], "text": [self.texts[core % len(self.texts)]]})
                parquet.write_table(table, folder / f"part-{core:03}.parquet")
        return folder

    def labels(self) -> list[str]:
        """What the last job wrote to `target` (columns ``id`` and ``label``), in the order of the texts."""
        table = parquet.read_table(self.target, columns=["id", "label"]).sort_by("id")
        if table["id"].to_pylist() != list(range(len(self.texts))):
            raise ValueError(f"{table.num_rows} labels written for {len(self.texts)} texts")
        labels: list[str] = table["label"].to_pylist()
        return labels
