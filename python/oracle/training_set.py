"""The training set: the spine's columns as they are, then `alias__feature` for every feature of the service."""

import pyarrow as pa

from . import brute, window
from .definitions import InputError, Service
from .tables import Load, key_column, micros, plain, read_log

MODES = ("known", "event", "served", "default")
ENGINES = ("window", "brute")


def training_set(
    service: Service,
    spine: pa.Table,
    loads: dict[str, list[Load]],
    mode: str = "default",
    engine: str = "window",
    time_column: str = "event_timestamp",
    snapshot_us: int | None = None,
) -> pa.Table:
    """Computes it with one of the engines. Mode `default` is each view's own."""
    for needed in (time_column, *(column for use in service.uses.values() for column in use.spine_keys)):
        if needed not in spine.column_names:
            raise InputError(f"the spine has no column `{needed}`; it has {', '.join(spine.column_names)}")
    times_us = _one(micros(plain(spine[time_column]), time_column))
    if times_us.null_count:
        raise InputError(f"`{time_column}` of the spine has nulls")

    gathered = {}
    logs = {}
    for alias, use in service.uses.items():
        view = use.view
        if view.name not in loads:
            raise InputError(f"no log was given for view `{view.name}`")
        if view.name not in logs:
            logs[view.name] = read_log(view, loads[view.name])
        log = logs[view.name]
        keys = [
            _one(key_column(spine[column], key.type, column))
            for column, key in zip(use.spine_keys, view.keys, strict=True)
        ]
        view_mode = view.default_mode if mode == "default" else mode
        if engine == "brute":
            lists = [key.to_pylist() for key in keys]
            found = brute.winners(view, log, lists, times_us.to_pylist(), view_mode, snapshot_us)
            rows = pa.array(found, pa.int64())
        else:
            rows = window.winners(view, log, keys, times_us, view_mode, snapshot_us)
        for feature in use.features:
            gathered[alias, feature.name] = log.features[feature.name].take(rows)

    result = spine
    for alias, feature in service.outputs:
        name = f"{alias}__{feature.name}"
        if name in result.column_names:
            raise InputError(f"the spine already has a column `{name}`")
        result = result.append_column(pa.field(name, feature.type), gathered[alias, feature.name])
    return result


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
