"""One SQL window per view, in DuckDB. For inputs of any size.

Why it is exact. Number the rows of a log by their rank (event_time, created_time nulls first, commit_time, ordinal):
the winner among candidates is the one of greatest number. But for the time to live, a row is a candidate at T exactly
when `visible <= T`, where `visible` is the greatest of the times the mode looks at. So the winner at T is the running
maximum of the number over the rows of the key in order of `visible`, read where the label stands. Labels and rows go
through one window: ordered by time, with a RANGE frame, whose peers include rows with `visible = T` (both ends
inclusive) and whatever order ties come in does not matter. The time to live is then asked of the winner alone: it has
the greatest event_time of all, so if it is too old, every candidate is. 128-bit integers make `T - L` exact.
"""

import duckdb
import numpy as np
import pyarrow as pa

from .definitions import View
from .tables import Log


def winners(view: View, log: Log, keys: list[pa.Array], times_us: pa.Array, mode: str, snapshot_us: int | None) -> pa.Array:
    """For each label the number of the winning row of the log, or null."""
    names = [f"k{number}" for number in range(len(log.keys))]
    rows = pa.table(
        [*log.keys, log.event_us, log.created_us, log.commit_us, log.ordinal, log.deleted, _numbers(len(log.event_us))],
        names=[*names, "event", "created", "commit", "ordinal", "deleted", "number"],
    )
    labels = pa.table([*keys, times_us, _numbers(len(times_us))], names=[*names, "label_us", "label"])
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.register("log_rows", rows)
        connection.register("labels", labels)
        found = connection.sql(_query(view, names, mode, snapshot_us)).to_arrow_table()
    return pa.concat_arrays(found["number"].chunks) if found.num_rows else pa.array([], pa.int64())


def _query(view: View, names: list[str], mode: str, snapshot_us: int | None) -> str:
    keys = ", ".join(names)
    key_known = " AND ".join(f"{name} IS NOT NULL" for name in names)
    snapshot = "" if snapshot_us is None else f"WHERE commit <= {snapshot_us}"
    fresh = "true" if view.ttl_us is None else f"event::HUGEINT >= label_us::HUGEINT - {view.ttl_us}"
    return f"""
        WITH ranked AS (
            SELECT *, {_visible(view, mode)} AS visible,
                   row_number() OVER (ORDER BY event, created NULLS FIRST, commit, ordinal) AS rank
            FROM log_rows {snapshot}
        ), timeline AS (
            SELECT {keys}, visible AS time_us, rank, NULL::BIGINT AS label FROM ranked
            UNION ALL
            SELECT {keys}, label_us AS time_us, NULL::BIGINT AS rank, label FROM labels WHERE {key_known}
        ), matched AS (
            SELECT label, max(rank) OVER (
                PARTITION BY {keys} ORDER BY time_us RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS rank
            FROM timeline
        )
        SELECT CASE WHEN NOT deleted AND {fresh} THEN number END AS number
        FROM labels
        LEFT JOIN (SELECT * FROM matched WHERE label IS NOT NULL) USING (label)
        LEFT JOIN (SELECT rank, event, deleted, number FROM ranked) USING (rank)
        ORDER BY label
    """


def _visible(view: View, mode: str) -> str:
    times = ["event"]
    if mode == "known" or (mode == "served" and view.default_mode == "known"):
        times.append("coalesce(created, commit)")
    if mode == "served":
        times.append("commit")
    return f"greatest({', '.join(times)})"


def _numbers(count: int) -> pa.Array:
    return pa.array(np.arange(count, dtype=np.int64))
