"""Parquet files of this machine: their columns, their rows, and copies of those that Spark refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparkxlmr.errors import InputError


def schema_of(path: Path) -> Any:
    """The Arrow schema of a Parquet file; raises InputError where it is none.

    An INT96 timestamp, which pyarrow shows as local nanoseconds, is an instant in microseconds here, as Spark
    writes and reads it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            leaves = (file.schema.column(i).physical_type for i in range(len(file.schema)))
            return pa.schema([f.with_type(_with_instants(f.type, leaves)) for f in file.schema_arrow])
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as parquet: {error}", "a parquet file", "check the file"
        ) from error


def rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, with these of its columns only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(columns)):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as parquet: {error}", "a parquet file", "check the file"
        ) from error


def nanosecond_columns(schemas: Sequence[Any]) -> dict[str, bool]:
    """The columns of nanosecond timestamps, each with whether they are instants (in UTC) or local times."""
    import pyarrow as pa

    return {
        field.name: field.type.tz is not None
        for schema in schemas
        for field in schema
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
    }


def target_schemas(schemas: Sequence[Any]) -> list[Any | None]:
    """For each schema the one to copy the file to, so that Spark reads all of them; None: as it is.

    float16 becomes float32, a time of day its text, and a column of nulls has the type that it has in the
    other files. Nanoseconds within structs and arrays become microseconds.
    """
    import pyarrow as pa

    known: dict[str, Any] = {}
    for schema in schemas:
        for field in schema:
            if not pa.types.is_null(field.type):
                known.setdefault(field.name, field.type)
    targets = []
    for schema in schemas:
        fields = [field.with_type(_for_spark(known.get(field.name, field.type) if pa.types.is_null(field.type)
                                             else field.type)) for field in schema]  # fmt: skip
        target = pa.schema(fields)
        targets.append(None if target.equals(schema) else target)
    return targets


def _for_spark(kind: Any, within: bool = False) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_float16(kind):
        return pa.float32()
    if types.is_time(kind):
        return pa.string()
    if types.is_timestamp(kind) and within and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    return _with_children(kind, lambda child: _for_spark(child, True))


def _with_instants(kind: Any, leaves: Iterator[str]) -> Any:
    """The type with its INT96 timestamps as instants; ``leaves`` are the physical types of what follows."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        _with_instants(kind.storage_type, leaves)
        return kind
    if pa.types.is_nested(kind):
        return _with_children(kind, lambda child: _with_instants(child, leaves))
    return pa.timestamp("us", "UTC") if next(leaves) == "INT96" else kind


def _with_children(kind: Any, convert: Callable[[Any], Any]) -> Any:
    """A nested type with each child converted in order; the same object where none changes.

    The names and the nullability of the children are part of the type, and stay.
    """
    import pyarrow as pa

    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        old = [kind.value_field]
    elif types.is_map(kind):
        old = [kind.key_field, kind.item_field]
    elif types.is_struct(kind):
        old = list(kind)
    else:
        return kind
    new = [field.with_type(convert(field.type)) for field in old]
    if all(one.type.equals(other.type) for one, other in zip(old, new, strict=True)):
        return kind
    if types.is_struct(kind):
        return pa.struct(new)
    if types.is_map(kind):
        return pa.map_(*new, keys_sorted=kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(new[0], kind.list_size)
    return pa.large_list(new[0]) if types.is_large_list(kind) else pa.list_(new[0])


def copy(source: Path, target: Path, schema: Any) -> None:
    """Write the rows of a file to another one with another schema.

    Raises:
        InputError: a value has no exact equal in its new type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # INT96 reaches farther than nanoseconds do in 64 bits: read as microseconds, no date changes.
    file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us")
    with file, pq.ParquetWriter(target, schema) as writer:
        for batch in file.iter_batches():
            try:
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
            except pa.ArrowException as error:
                raise InputError(
                    f"{source} has a column that Spark cannot read, and a value of it cannot be converted:"
                    f" {error}",
                    "columns of types that Spark's Parquet reader has",
                    "convert it in pandas, or drop it",
                ) from error


def names(schemas: Sequence[Any]) -> tuple[str, ...]:
    """The names of the columns of all schemas, in the order in which they appear."""
    found: Mapping[str, None] = {name: None for schema in schemas for name in schema.names}
    return tuple(found)
