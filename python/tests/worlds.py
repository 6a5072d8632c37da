"""Small made-up worlds: a definition, logs in several loads, and labels, written as files for the oracle to read."""

import random
import struct
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oracle import definitions
from oracle.tables import TOMBSTONE, Load
from oracle.training_set import training_set

UTC_US = pa.timestamp("us", "UTC")

ROUTE_YAML = """
entities:
  - {{name: route, keys: [{{name: origin, type: string}}, {{name: dest, type: string}}]}}
views:
  - name: log
    entity: route
    event_time: event_timestamp
    {created}
    {ttl}
    features: [{{name: value, type: int64}}, {{name: share, type: float64}}]
services:
  - {{name: model, features: [log.*]}}
"""


@dataclass
class World:
    """Files in a directory, and how to compute the training set from them."""

    directory: Path
    ttl: str | None = None
    has_created: bool = True

    def __post_init__(self):
        self.loads: list[Load] = []
        self.definitions = self.directory / "views.yaml"
        created = "created_time: created_timestamp" if self.has_created else ""
        ttl = f"ttl: {self.ttl}" if self.ttl else ""
        self.definitions.write_text(ROUTE_YAML.format(created=created, ttl=ttl))

    def load(self, rows: list[dict], commit_us: int | None = None) -> "World":
        """One load. A row: origin, dest, event, and where they matter created, value, share, deleted."""
        columns = {
            "origin": pa.array([row.get("origin", "JFK") for row in rows], pa.string()),
            "dest": pa.array([row.get("dest", "BOS") for row in rows], pa.string()),
            "event_timestamp": pa.array([row["event"] for row in rows], pa.int64()).cast(UTC_US),
            "created_timestamp": pa.array([row.get("created") for row in rows], pa.int64()).cast(UTC_US),
            "value": pa.array([row.get("value") for row in rows], pa.int64()),
            "share": pa.array([row.get("share") for row in rows], pa.float64()),
            TOMBSTONE: pa.array([row.get("deleted") for row in rows], pa.bool_()),
        }
        path = self.directory / f"load{len(self.loads)}.parquet"
        pq.write_table(pa.table(columns), path)
        self.loads.append(Load((path,), commit_us))
        return self

    def spine(self, labels: list[dict]) -> pa.Table:
        """Labels: at, and where they matter origin, dest."""
        return pa.table(
            {
                "id": pa.array(range(len(labels)), pa.int32()),
                "origin": pa.array([label.get("origin", "JFK") for label in labels], pa.string()),
                "dest": pa.array([label.get("dest", "BOS") for label in labels], pa.string()),
                "event_timestamp": pa.array([label["at"] for label in labels], pa.int64()).cast(UTC_US),
            }
        )

    def training_set(self, labels: list[dict], mode: str, engine: str, snapshot_us: int | None = None) -> pa.Table:
        service = definitions.load(self.definitions, "model")
        return training_set(service, self.spine(labels), {"log": self.loads}, mode, engine, snapshot_us=snapshot_us)

    def values(self, labels: list[dict], mode: str, engine: str, snapshot_us: int | None = None) -> list[int | None]:
        """The feature `value` for each label."""
        return self.training_set(labels, mode, engine, snapshot_us)["log__value"].to_pylist()


def random_world(directory: Path, seed: int) -> tuple[World, list[dict], list[int]]:
    """Many ties: few keys, few times, several loads. Also returns labels and the commit times."""
    dice = random.Random(seed)
    span = dice.choice([6, 20, 60])
    ttl = dice.choice([None, None, "0us", "1us", "3us", "10us"])
    world = World(directory, ttl, has_created=dice.random() < 0.7)
    # Keys that a concatenation would mix up, one that is empty, one that is not ASCII.
    names = ["1", "12", "123", "23", "3", "", "Zürich", "a\0b"]

    def key() -> dict:
        return {"origin": dice.choice(names[: dice.choice([2, 8])]), "dest": dice.choice(names[: dice.choice([2, 8])])}

    commits = sorted(dice.sample(range(1, span + 20), dice.randint(1, 4)))
    number = 0
    for commit_us in commits:
        rows = []
        for _ in range(dice.randint(0, 40)):
            number += 1
            rows.append(
                key()
                | {
                    "event": dice.randint(0, span),
                    "created": None if dice.random() < 0.3 else dice.randint(0, span + 5),
                    "value": None if dice.random() < 0.1 else number,
                    "share": random_double(dice),
                    "deleted": dice.choice([None, False, False, False, True]),
                }
            )
        world.load(rows, commit_us)
    labels = []
    for _ in range(dice.randint(0, 60)):
        label = key() | {"at": dice.randint(-2, span + 25)}
        if dice.random() < 0.1:
            label[dice.choice(["origin", "dest"])] = None
        labels.append(label)
    return world, labels, commits


def random_double(dice: random.Random) -> float | None:
    """Also nulls, both zeros, infinities and NaNs of several bits."""
    special = [None, 0.0, -0.0, float("inf"), nan(0x7FF8000000000000), nan(0xFFF8000000000001), 5e-324]
    return dice.choice(special) if dice.random() < 0.5 else dice.uniform(-1e6, 1e6)


def nan(bits: int) -> float:
    """The double of these bits."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]
