"""Reads files into the shape both computations use: keys and times as plain columns, features left as they are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .definitions import InputError, View

FAR_FUTURE_US = 2**62
"""The commit time of a load that is not told: later than any label, earlier than the end of the range."""

TOMBSTONE = "__deleted"


@dataclass(frozen=True)
class Load:
    """Files committed at one time; their order, then the order of rows, is the ordinal in the commit."""

    files: tuple[Path, ...]
    commit_us: int | None = None


@dataclass(frozen=True)
class Log:
    """All rows of a view. Every column has one entry per row; times are microseconds."""

    keys: list[pa.Array]
    event_us: pa.Array
    created_us: pa.Array
    """Null where the row has none."""
    commit_us: pa.Array
    ordinal: pa.Array
    deleted: pa.Array
    features: pa.Table


def read_table(path: str | Path) -> pa.Table:
    """A Parquet or Arrow IPC file, whichever its first bytes say."""
    path = Path(path)
    with path.open("rb") as file:
        magic = file.read(6)
    if magic[:4] == b"PAR1":
        return pq.read_table(path)
    if magic == b"ARROW1":
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    raise InputError(f"`{path}` is neither Parquet nor an Arrow file")


def read_log(view: View, loads: list[Load]) -> Log:
    """The log of a view, in commit order."""
    parts = []
    for number, load in enumerate(loads):
        commit_us = FAR_FUTURE_US + number if load.commit_us is None else load.commit_us
        table = pa.concat_tables([_conform(view, read_table(path)) for path in load.files])
        parts.append(
            table.append_column("__commit", pa.repeat(pa.scalar(commit_us, pa.int64()), table.num_rows)).append_column(
                "__ordinal", pa.array(np.arange(table.num_rows, dtype=np.int64))
            )
        )
    commits = [part["__commit"][0].as_py() for part in parts if part.num_rows]
    if commits != sorted(set(commits)):
        raise InputError(f"the loads of `{view.name}` are not in the order of their commit times")
    return log_of(view, pa.concat_tables(parts))


def log_of(view: View, table: pa.Table) -> Log:
    """The log of a conformed table with `__commit` and `__ordinal`."""
    return Log(
        keys=[_one(table[key.name]) for key in view.keys],
        event_us=_one(table["__event"]),
        created_us=_one(table["__created"]),
        commit_us=_one(table["__commit"]),
        ordinal=_one(table["__ordinal"]),
        deleted=_one(table[TOMBSTONE]),
        features=table.select([f"feature.{feature.name}" for feature in view.features]).rename_columns(
            [feature.name for feature in view.features]
        ),
    )


def _conform(view: View, table: pa.Table) -> pa.Table:
    """The view's columns in its own types, times as microseconds beside them."""
    wanted = [column.name for column in (*view.keys, *view.features)]
    wanted += [name for name in (view.event_time, view.created_time) if name]
    for name in wanted:
        if name not in table.column_names:
            raise InputError(f"view `{view.name}` needs a column `{name}`; the file has {', '.join(table.column_names)}")
    columns = {key.name: key_column(table[key.name], key.type, f"{view.name}.{key.name}") for key in view.keys}
    columns["__event"] = micros(table[view.event_time], view.event_time, view.naive_utc)
    nothing = pa.chunked_array([pa.nulls(table.num_rows, pa.int64())])
    columns["__created"] = (
        micros(table[view.created_time], view.created_time, view.naive_utc) if view.created_time else nothing
    )
    deleted = table[TOMBSTONE] if TOMBSTONE in table.column_names else pa.nulls(table.num_rows, pa.bool_())
    columns[TOMBSTONE] = pc.fill_null(deleted, False)
    for feature in view.features:
        columns[f"feature.{feature.name}"] = _feature(table[feature.name], feature.type)
    for name in (*(key.name for key in view.keys), "__event"):
        if columns[name].null_count:
            raise InputError(f"`{name}` of view `{view.name}` has nulls")
    return pa.table(columns)


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary, extension, large offsets or views: the same values in their plain type."""
    data_type = column.type
    if isinstance(data_type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], data_type.storage_type)
        return plain(column)
    if pa.types.is_dictionary(data_type):
        return plain(column.cast(data_type.value_type))
    if pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type):
        return column.cast(pa.string())
    if pa.types.is_large_binary(data_type) or pa.types.is_binary_view(data_type):
        return column.cast(pa.binary())
    return column


def key_column(column: pa.ChunkedArray, data_type: pa.DataType, name: str) -> pa.ChunkedArray:
    """A key in the type both sides are compared in: times and dates as integers."""
    column = plain(column)
    try:
        if pa.types.is_timestamp(data_type):
            return micros(column, name)
        if pa.types.is_date32(data_type):
            return column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        return column.cast(data_type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        raise InputError(f"key `{name}` should be {data_type}: {cause}") from cause


def micros(column: pa.ChunkedArray, name: str, naive_utc: bool = False) -> pa.ChunkedArray:
    """Microseconds since the epoch of a timestamp column."""
    if not pa.types.is_timestamp(column.type):
        raise InputError(f"`{name}` is {column.type}, not a timestamp")
    if column.type.tz is None and not naive_utc:
        raise InputError(f"`{name}` has no zone; store it with UTC or say `naive_times: utc`")
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())


def _feature(column: pa.ChunkedArray, data_type: pa.DataType) -> pa.ChunkedArray:
    column = plain(column)
    return column if column.type == data_type else column.cast(data_type)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
