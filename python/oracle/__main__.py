"""The command line of the oracle; `python -m oracle --help`."""

import argparse
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from . import definitions
from .compare import Comparison, compare
from .definitions import InputError
from .tables import Load, read_table
from .training_set import ENGINES, MODES, training_set

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def main(words: list[str] | None = None) -> int:
    """Runs a command. 0 means equal or done, 1 different, 2 wrong input."""
    arguments = _parser().parse_args(words)
    try:
        return arguments.command(arguments)
    except (InputError, OSError, KeyError, pa.ArrowException) as cause:
        print(f"error: {cause}", file=sys.stderr)
        return 2


def compute_command(arguments: argparse.Namespace) -> int:
    table, took = _compute(arguments, arguments.engine)
    pq.write_table(table, arguments.output)
    print(f"wrote {arguments.output}: {table.num_rows} rows, {table.num_columns} columns, {took:.1f} s")
    return 0


def compare_command(arguments: argparse.Namespace) -> int:
    expected, took = _compute(arguments, arguments.engine)
    print(f"computed {expected.num_rows} rows by `{arguments.engine}` in {took:.1f} s")
    found = read_table(arguments.output_from_lineate)
    return _report(compare(expected, found, arguments.most))


def check_command(arguments: argparse.Namespace) -> int:
    tables = {}
    for engine in ENGINES:
        tables[engine], took = _compute(arguments, engine)
        print(f"computed {tables[engine].num_rows} rows by `{engine}` in {took:.1f} s")
    return _report(compare(tables["brute"], tables["window"], arguments.most))


def _compute(arguments: argparse.Namespace, engine: str) -> tuple[pa.Table, float]:
    start = time.perf_counter()
    loads: dict[str, list[Load]] = {}
    for text in arguments.log:
        view, load = _load(text)
        loads.setdefault(view, []).append(load)
    table = training_set(
        definitions.load(arguments.definitions, arguments.service),
        read_table(arguments.spine),
        loads,
        mode=arguments.mode,
        engine=engine,
        time_column=arguments.time,
        snapshot_us=_time_us(arguments.snapshot) if arguments.snapshot else None,
    )
    return table, time.perf_counter() - start


def _report(result: Comparison) -> int:
    for difference in result.differences:
        print(f"different: {difference}")
    for name, count in result.differing_cells.items():
        print(f"different: `{name}` in {count} of {result.rows} rows")
    verdict = "equal" if result.equal else "NOT equal"
    print(f"{verdict}: {result.rows} rows x {result.columns} columns = {result.rows * result.columns} cells")
    return 0 if result.equal else 1


def _load(text: str) -> tuple[str, Load]:
    """Reads VIEW=FILE[,FILE...][@TIME]."""
    view, equals, rest = text.partition("=")
    if not equals or not rest:
        raise InputError(f"`{text}` should be VIEW=FILE[,FILE...][@TIME]")
    files, at, commit = rest.rpartition("@")
    if not at:
        files, commit = rest, ""
    return view, Load(tuple(Path(file) for file in files.split(",")), _time_us(commit) if commit else None)


def _time_us(text: str) -> int:
    try:
        time_read = datetime.fromisoformat(text)
    except ValueError as cause:
        raise InputError(f"`{text}` is not a time; write it as 2013-07-01T12:00:00Z") from cause
    if time_read.tzinfo is None:
        raise InputError(f"`{text}` has no offset; write it as 2013-07-01T12:00:00Z")
    since = time_read - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m oracle",
        description="Computes a point-in-time training set from raw files, independently of Lineate, and compares.",
        epilog="Exit code: 0 equal or done, 1 different, 2 wrong input.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--definitions", required=True, metavar="FILE", help="the YAML given to `lineate apply`")
    shared.add_argument("--service", required=True, metavar="NAME")
    shared.add_argument("--spine", required=True, metavar="FILE", help="Parquet or Arrow: labels with keys and time")
    shared.add_argument(
        "--log",
        required=True,
        action="append",
        metavar="VIEW=FILE[,FILE...][@TIME]",
        help="one load of a view, committed at TIME (if not told: later than any label); "
        "again for its next load, in the order of the commits",
    )
    shared.add_argument("--mode", choices=MODES, default="default", help="`default` is each view's own")
    shared.add_argument("--snapshot", metavar="TIME", help="leave out rows committed later (default: none)")
    shared.add_argument("--time", default="event_timestamp", metavar="COLUMN", help="the spine's time")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument("--engine", choices=ENGINES, default="window", help="`brute` is for small inputs")
    most = argparse.ArgumentParser(add_help=False)
    most.add_argument("--most", type=int, default=10, metavar="N", help="differences told per column")

    compute = commands.add_parser("compute", parents=[shared, engine], help="write the expected training set")
    compute.add_argument("--output", required=True, metavar="FILE")
    compute.set_defaults(command=compute_command)
    comparing = commands.add_parser("compare", parents=[shared, engine, most], help="compare a training set with it")
    comparing.add_argument("--output-from-lineate", required=True, metavar="FILE", help="Parquet or Arrow")
    comparing.set_defaults(command=compare_command)
    check = commands.add_parser("check", parents=[shared, most], help="compare the two computations with each other")
    check.set_defaults(command=check_command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
