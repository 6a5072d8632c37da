"""What every peer is asked, and how it answers: one JSON document on standard output.

A peer reads Parquet files, joins every label with the newest row known by its time, and writes one Parquet file. It is
asked in the words of `python/oracle`: the definitions given to `lineate apply`, a service, a spine, a file per view.
Only the three steps are timed; starting Python and importing the engine are not.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from oracle import definitions
from oracle.definitions import Service, View


@dataclass(frozen=True)
class Request:
    service: Service
    spine: Path
    time_column: str
    logs: dict[str, Path]
    """By view."""
    output: Path


@dataclass
class Timer:
    steps: dict[str, float]
    """Seconds by step, in order."""
    last: float
    cpu_start: float
    cpu_seconds: float = 0.0
    """Of all threads, up to the last step."""

    @classmethod
    def start(cls) -> "Timer":
        return cls({}, time.perf_counter(), time.process_time())

    def step(self, name: str) -> None:
        now = time.perf_counter()
        self.steps[name] = now - self.last
        self.last = now
        self.cpu_seconds = time.process_time() - self.cpu_start


def visible(view: View) -> list[str]:
    """The times that must all be reached before a row may be used."""
    return [view.event_time, *([view.created_time] if view.created_time else [])]


def read() -> Request:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--definitions", required=True, metavar="FILE")
    parser.add_argument("--service", required=True, metavar="NAME")
    parser.add_argument("--spine", required=True, type=Path, metavar="FILE")
    parser.add_argument("--time", default="event_timestamp", metavar="COLUMN")
    parser.add_argument("--log", required=True, action="append", metavar="VIEW=FILE")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logs = dict(log.split("=", 1) for log in arguments.log)
    return Request(
        service=definitions.load(arguments.definitions, arguments.service),
        spine=arguments.spine,
        time_column=arguments.time,
        logs={view: Path(path) for view, path in logs.items()},
        output=arguments.output,
    )


def answer(engine: str, version: str, request: Request, timer: Timer) -> None:
    """Prints the figures, and per output column the number of nulls, so that answers can be held against each other."""
    table = pq.read_table(request.output)
    names = [f"{alias}__{feature.name}" for alias, feature in request.service.outputs]
    json.dump(
        {
            "engine": engine,
            "version": version,
            "rows": table.num_rows,
            "seconds": timer.steps,
            "cpu_seconds": timer.cpu_seconds,
            "nulls": {name: table[name].null_count for name in names},
        },
        sys.stdout,
    )
