"""Random small worlds through the real program: whatever order loads came in, and whenever a label lies, every cell is
the one that reading the contract aloud gives, with the commit times the program reported."""

import datetime

import pyarrow.parquet as pq
import pytest
from program import Server, serving
from worlds import random_world

from oracle.compare import compare
from oracle.tables import Load

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("worlds")
    with serving(directory) as running:
        yield running


def loaded(server: Server, world, project: str) -> None:
    """Defines the view and loads its rows; each load then has the commit time it was given."""
    definitions = f"project: {project}\n{world.definitions.read_text()}"
    server.client.json("apply", server.client.write(f"{project}.yaml", definitions))
    loads, world.loads = world.loads, []
    for load in loads:
        (file,) = load.files
        rows = pq.read_table(file)
        # A file without rows, or with columns that the view has not, is refused.
        if not rows.num_rows:
            continue
        if not world.has_created:
            pq.write_table(rows.drop_columns("created_timestamp"), file)
        told = server.client.json("ingest", f"{project}/log", file)["commit_time"]
        commit_us = (datetime.datetime.fromisoformat(told) - EPOCH) // MICROSECOND
        world.loads.append(Load((file,), commit_us))


@pytest.mark.parametrize("seed", range(16))
def test_the_training_set_of_a_random_world_is_what_the_contract_says(server, tmp_path, seed):
    world, labels, _ = random_world(tmp_path, seed)
    project = f"world{seed}"
    loaded(server, world, project)
    # The rows lie at the epoch, their commits now: labels around each commit ask what was known and served then.
    keys = [{name: label.get(name, "1") for name in ("origin", "dest")} for label in labels[:6]] or [{"origin": "1"}]
    for load in world.loads:
        labels += [key | {"at": load.commit_us + offset} for key in keys for offset in (-1, 0, 1)]
    if not labels:
        labels = [{"at": 0}]
    spine = tmp_path / "labels.parquet"
    pq.write_table(world.spine(labels), spine)
    for mode in ("known", "event", "served"):
        output = tmp_path / f"{mode}.parquet"
        words = ["--spine", spine, "--service", f"{project}/model", "--mode", mode, "--output", output]
        server.client.json("dataset", "create", f"{project}/{mode}", *words)
        result = compare(world.training_set(labels, mode, "brute"), pq.read_table(output))
        assert result.equal, f"seed {seed}, mode {mode}: {result.differences}"
    assert server.client.json("dataset", "verify", f"{project}/known")["verified"]
