"""The example: the whole job on the flights of 2013, and what must not change its answers."""

import json
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from program import ROOT, Lineate, binary, environment, serving
from test_flights import DATA, VIEWS, files
from wire import Wire

from oracle.compare import compare

EXAMPLE = ROOT / "examples/flights"
MODES = ("known", "event")
KEYS = ("tailnum", "origin", "dest", "carrier")
LABELS = 336_776
SAMPLE = 250
STATUS = {1: "present", 2: "null", 3: "absent", 4: "expired"}


@dataclass
class Example:
    """What a run of the example left: its directory, its words, and its store."""

    directory: Path
    printed: str

    @property
    def store(self) -> Lineate:
        return Lineate(self.directory)

    def step(self, title: str) -> str:
        """What a step printed, by the first word of its title."""
        return re.search(rf"^== {title}.*?$(.*?)(?=^== |\Z)", self.printed, flags=re.M | re.S)[1]


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Example:
    """One run of `run.sh`."""
    directory = tmp_path_factory.mktemp("flights")
    # Threads of the training that spin while they wait for each other take minutes on a busy machine.
    named = {"LINEATE": str(binary()), "LINEATE_FLIGHTS": str(DATA), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [EXAMPLE / "run.sh", directory],
        env=environment(**named),
        capture_output=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()
    return Example(directory, ended.stdout.decode())


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """A server over the same rows in one shard, loaded through it."""
    directory = tmp_path_factory.mktemp("remote")
    Lineate(directory).json("init", "--shards", "1")
    with serving(directory) as server:
        server.client.json("apply", EXAMPLE / "flights.yaml")
        for view, path in files().items():
            server.client.json("ingest", view, path)
        yield server


def hashes(training_set: dict) -> dict[str, str]:
    return {column["name"]: column["logical_hash"] for column in training_set["columns"]}


def test_the_script_runs_and_the_oracle_agrees_in_both_modes(example):
    cells = re.findall(r"^equal: (\d+) rows x (\d+) columns", example.step("Compare"), flags=re.M)
    assert [int(rows) for rows, _ in cells] == [LABELS, LABELS]
    assert len({columns for _, columns in cells}) == 1
    assert "not verified" not in example.printed


def test_the_model_is_registered_with_what_made_it(example):
    report = json.loads((example.directory / "report.json").read_text())
    assert report["metrics"]["roc_auc"] > 0.7
    nodes = example.store.json("trace", "model:flight_delay@v1")["nodes"]
    assert nodes[0]["title"] == "model:flights/flight_delay@v1"
    assert "production" in example.step("Register")


def test_the_trace_reaches_the_four_files(example):
    answer = example.store.json("trace", "model:flight_delay@v1", "--up")
    assert answer["complete"]
    sources = {Path(node["note"]).name: node["rows"] for node in answer["nodes"] if node["kind"] == "source"}
    assert sources == {path.name: pq.read_metadata(path).num_rows for path in files().values()}
    assert {node["title"] for node in answer["nodes"] if node["kind"] == "view"} == {
        f"view:flights/{view}@v1" for view in VIEWS
    }
    assert all(path.name in example.step("Trace") for path in files().values())


@pytest.mark.parametrize("mode", MODES)
def test_the_hashes_are_those_of_one_shard_behind_a_server(example, remote, mode):
    words = ["--spine", DATA / "labels.parquet", "--service", "delay_model", "--mode", mode]
    there = remote.client.json("dataset", "create", f"flights_{mode}", *words)
    here = example.store.json("dataset", "show", f"flights_{mode}")
    assert example.store.json("cluster", "status")["shards"] == 16
    assert hashes(here) == hashes(there)
    assert here["rows"] == there["rows"] == LABELS


def test_a_lookup_at_the_time_of_a_label_equals_its_row(example, messages):
    rows = pq.read_table(example.directory / "known.parquet")
    complete = [number for number, tail in enumerate(rows["tailnum"].to_pylist()) if tail is not None]
    chosen = sorted(random.Random(2013).sample(complete, SAMPLE))
    rows = rows.take(pa.array(chosen))
    features = [name for name in rows.column_names if "__" in name]
    counts = dict.fromkeys(STATUS.values(), 0)
    with serving(example.directory) as server:
        wire = Wire(messages, server.address)
        for number in range(SAMPLE):
            row = rows.slice(number, 1)
            columns = [
                messages.EntityColumn(name=key, texts=messages.EntityColumn.Texts(values=row[key].to_pylist()))
                for key in KEYS
            ]
            request = messages.GetFeaturesRequest(
                service="delay_model",
                columns=messages.EntityColumns(columns=columns),
                at_us=row["event_timestamp"].cast(pa.int64())[0].as_py(),
            )
            reply = wire.call(wire.online.GetFeatures, request)
            answer = pa.ipc.open_stream(reply.features).read_all()
            result = compare(row.select(features), answer.select(features))
            assert result.equal, (row["flight_id"], result.differences)
            for name, status in zip(answer.column_names, reply.statuses, strict=True):
                counts[STATUS[status]] += 1
                assert (STATUS[status] == "present") == row[name][0].is_valid, (row["flight_id"], name)
        wire.close()
    assert counts["present"] > 10 * SAMPLE
    assert counts["absent"] >= 9 * SAMPLE * 0.9, "the weather of other airports is not in the data"


def test_the_command_line_looks_up_what_was_known_on_the_fourth_of_july(example):
    words = ["--entity", "tailnum=N14228,origin=EWR,dest=IAH,carrier=UA", "--at", "2013-07-04T15:00:00Z"]
    answer = example.store.json("get", "delay_model", *words)
    features = answer["entities"][0]["features"]
    assert answer["at"] == "2013-07-04T15:00:00.000000Z"
    assert features["weather__temp"]["status"] == "present"
    assert features["weather__temp"]["event_time"] == "2013-07-04T14:00:00.000000Z"
    assert features["carrier_log__departures"]["status"] == "present"
    assert features["dest_weather__temp"]["status"] == "absent"
    # All of it was committed long after 2013: what is asked for now is too old for every view that has a limit.
    now = example.store.json("get", "delay_model", *words[:2])["entities"][0]["features"]
    assert now["weather__temp"]["status"] == "expired"
    assert now["carrier_log__departures"]["status"] == "present"


def test_nothing_changes_in_another_process(example):
    again = example.store.json("dataset", "verify", "flights_known")
    assert again["verified"] and again["findings"] == []
    example.store.verified()
