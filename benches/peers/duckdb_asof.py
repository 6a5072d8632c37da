"""The training set by DuckDB: one query with an ASOF JOIN per use of a view. `--help` says what it is asked."""

import duckdb
import request
from oracle.definitions import Use
from request import Request, Timer


def main() -> None:
    asked = request.read()
    with duckdb.connect() as connection:
        timer = Timer.start()
        _read(connection, asked)
        timer.step("read")
        connection.execute(f"CREATE TABLE training_set AS {_query(asked)}")
        timer.step("join")
        connection.execute(f"COPY training_set TO '{asked.output}' (FORMAT parquet)")
        timer.step("write")
    request.answer("DuckDB", duckdb.__version__, asked, timer)


def _read(connection: duckdb.DuckDBPyConnection, asked: Request) -> None:
    """Every file once, though a view may be used twice."""
    connection.execute(f"CREATE TABLE spine AS SELECT * FROM '{asked.spine}'")
    for view in {use.view.name: use.view for use in asked.service.uses.values()}.values():
        known_from = f"greatest({', '.join(request.visible(view))})"
        connection.execute(
            f"CREATE TABLE log_{view.name} AS SELECT *, {known_from} AS known_from FROM '{asked.logs[view.name]}'"
        )


def _query(asked: Request) -> str:
    columns = ["spine.*"]
    joins = []
    for use in asked.service.uses.values():
        columns += [f"{_value(use, feature.name, asked.time_column)} AS {use.alias}__{feature.name}" for feature in use.features]
        keys = [f"spine.{theirs} = {use.alias}.{ours.name}" for theirs, ours in zip(use.spine_keys, use.view.keys)]
        conditions = [*keys, f"spine.{asked.time_column} >= {use.alias}.known_from"]
        joins.append(f"ASOF LEFT JOIN log_{use.view.name} AS {use.alias} ON {' AND '.join(conditions)}")
    return f"SELECT {', '.join(columns)} FROM spine {' '.join(joins)}"


def _value(use: Use, feature: str, time_column: str) -> str:
    """The feature, unless its row is older than the time to live."""
    value = f"{use.alias}.{feature}"
    if use.view.ttl_us is None:
        return value
    oldest = f"spine.{time_column} - to_microseconds({use.view.ttl_us})"
    return f"CASE WHEN {use.alias}.{use.view.event_time} >= {oldest} THEN {value} END"


if __name__ == "__main__":
    main()
