"""The training set by Polars: one join_asof per use of a view. `--help` says what it is asked."""

from datetime import timedelta

import polars as pl
import request
from oracle.definitions import Use
from request import Request, Timer

KNOWN_FROM = "__known_from"
EVENT_TIME = "__event_time"


def main() -> None:
    asked = request.read()
    timer = Timer.start()
    spine = pl.read_parquet(asked.spine)
    logs = {name: pl.read_parquet(path) for name, path in asked.logs.items()}
    timer.step("read")
    joined = _join(asked, spine, logs)
    timer.step("join")
    joined.write_parquet(asked.output)
    timer.step("write")
    request.answer("Polars", pl.__version__, asked, timer)


def _join(asked: Request, spine: pl.DataFrame, logs: dict[str, pl.DataFrame]) -> pl.DataFrame:
    joined = spine.sort(asked.time_column)
    for use in asked.service.uses.values():
        joined = joined.join_asof(
            _rows(use, logs[use.view.name]),
            left_on=asked.time_column,
            right_on=KNOWN_FROM,
            by_left=list(use.spine_keys),
            by_right=[key.name for key in use.view.keys],
            strategy="backward",
            check_sortedness=False,  # It cannot be checked per group; both sides are sorted as a whole.
        )
        joined = _cut_by_age(use, joined, asked.time_column).drop(EVENT_TIME, KNOWN_FROM, strict=False)
    return joined


def _rows(use: Use, log: pl.DataFrame) -> pl.DataFrame:
    """The rows of one use in the order they became known, with the columns named as in the training set."""
    keys = [pl.col(key.name) for key in use.view.keys]
    features = [pl.col(feature.name).alias(f"{use.alias}__{feature.name}") for feature in use.features]
    known_from = pl.max_horizontal(request.visible(use.view)).alias(KNOWN_FROM)
    return log.select(*keys, known_from, pl.col(use.view.event_time).alias(EVENT_TIME), *features).sort(KNOWN_FROM)


def _cut_by_age(use: Use, joined: pl.DataFrame, time_column: str) -> pl.DataFrame:
    """Nulls where the row is older than the time to live."""
    if use.view.ttl_us is None:
        return joined
    oldest = pl.col(time_column) - timedelta(microseconds=use.view.ttl_us)
    features = [pl.col(f"{use.alias}__{feature.name}") for feature in use.features]
    return joined.with_columns(pl.when(pl.col(EVENT_TIME) >= oldest).then(feature).alias(feature.meta.output_name()) for feature in features)


if __name__ == "__main__":
    main()
