"""The command line for programs: documents, errors, exit codes, and which store is meant."""

import json

import pytest
import stock
from program import Lineate, environment, serving

LOADED = {"view", "load_id", "already_loaded", "rows", "tombstones", "commit_time", "segments", "segment_bytes"}
SET = {"project", "name", "version", "record", "service", "mode", "rows", "snapshot", "commit_time"}
WHOLE_SET = SET | {"views", "contract_version", "time_column", "spine_hash", "columns", "files", "inputs", "matches", "warnings"}
MODEL = {"project", "name", "version", "datasets", "run", "record", "artifact", "code", "parameters", "metrics"}
MODEL |= {"aliases", "commit_time"}
STATUS = {"version", "store_id", "data_dir", "started", "shards", "open_rows", "sealed_rows", "segments"}

DIFF = {"left", "right", "changed", "only_left", "only_right", "shared", "size", "root"}
SERVICE = {"kind", "project", "name", "version", "keys", "features", "record", "owner", "description", "tags"}

NODE = {"id", "kind", "title", "rows", "note", "commit_time", "seq", "fields", "edges", "related", "related_left_out"}
NODE |= {"aliases", "promotions", "promotions_left_out", "record", "size", "root"}

SHAPES = [
    ("apply stock.yaml", {"applied", "changes"}),
    ("apply stock.yaml --plan", {"applied", "changes"}),
    ("ingest stock stock.parquet", LOADED | {"record", "sources"}),
    ("push sales sale.ndjson", {"view", "rows", "batches", "repeated_batches", "last_commit_time", "writer"}),
    ("get shelf --entity sku=sku0,site=7", {"service", "as_of", "at", "entities"}),
    ("dataset create other --spine labels.ndjson --service shelf", WHOLE_SET),
    ("dataset create other --spine labels.ndjson --service shelf --output o.csv", WHOLE_SET | {"output"}),
    ("dataset list", {"datasets"}),
    ("dataset show labels", WHOLE_SET),
    ("dataset verify labels", {"subject", "size", "root", "verified", "checks", "findings"}),
    ("dataset pull labels --output pulled.parquet", {"dataset", "file", "rows", "bytes"}),
    ("model register late --dataset labels --code abc --param a=1 --metric auc=0.5", MODEL),
    ("model list", {"models"}),
    ("show model:late", NODE),
    ("erase model:late --plan", {"node", "texts", "records", "size", "root"}),
    ("init", {"store_id", "data_dir", "shards", "created"}),
    ("model promote late@v1 production", {"model", "alias", "previous", "model_record", "changed"}),
    ("trace model:late", {"start", "direction", "size", "root", "complete", "cut", "cursor", "nodes", "edges"}),
    ("diff dataset:labels@v1 model:late@v1", DIFF),
    ("show", {"definitions"}),
    ("show service:shelf", SERVICE),
    ("verify", {"subject", "size", "root", "verified", "checks", "findings"}),
    ("verify model:late", {"subject", "size", "root", "verified", "checks", "findings"}),
    ("cluster status", STATUS | {"segment_bytes", "ledger_entries", "groups", "disk"}),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A store with a training set and a model."""
    store = Lineate(tmp_path_factory.mktemp("prepared"))
    stock.prepare(store)
    label = {"sku": "sku0", "site": 7, "event_timestamp": "2013-06-02T00:00:00Z"}
    store.write("labels.ndjson", json.dumps(label) + "\n")
    store.json("dataset", "create", "labels", "--spine", "labels.ndjson", "--service", "shelf")
    store.json("model", "register", "late", "--dataset", "labels")
    return store


@pytest.mark.parametrize(("line", "shape"), SHAPES, ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_prints_one_document_and_nothing_else(prepared, line, shape):
    run = prepared.run(*line.split(), "--format", "json")
    assert set(run.document()) == shape
    assert run.stderr == ""


def test_rows_are_lines_of_json(prepared):
    run = prepared.run("dataset", "pull", "labels")
    (row,) = [json.loads(line) for line in run.stdout.splitlines()]
    assert row["event_timestamp"] == "2013-06-02T00:00:00.000000Z"
    assert row["stock__views"] == 2**53 + 1
    assert row["stock__cost"] == "0.000000001"
    assert row["stock__batch"] == "00000000-0000-0000-0000-000000000000"


def test_values_that_json_lacks_are_strings(prepared):
    answer = prepared.json("get", "shelf", "--entity", "sku=sku1,site=7")["entities"][0]["features"]
    assert answer["stock__weight"]["value"] == "NaN"
    assert answer["stock__image"]["value"] == "AP8="
    assert answer["stock__cost"]["value"] == "-10000000000000000000000000000.000000000"
    assert answer["stock__restocked"]["value"] == "1969-12-31T23:59:59.999999Z"
    assert str(answer["stock__price"]["value"]) == "-0.0"


def test_all_formats_of_a_trace_show_the_same_sources(prepared):
    tree = prepared.run("trace", "model:late", "--format", "tree").stdout
    dot = prepared.run("trace", "model:late", "--format", "dot").stdout
    prov = prepared.run("trace", "model:late", "--format", "prov-json").stdout
    nodes = prepared.json("trace", "model:late")["nodes"]
    notes = {node["note"] for node in nodes if node["kind"] == "source"}
    assert {"stock.parquet", "sale.ndjson"} <= notes
    for text in (tree, dot, prov):
        assert all(note in text for note in notes)
    assert dot.startswith("digraph") and json.loads(prov)
    down = prepared.json("trace", "view:stock", "--down")["nodes"]
    assert "model:shop/late@v1" in [node["title"] for node in down]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "get shelf",
        "get shelf --entity sku",
        "get shelf --entity sku=a --at yesterday",
        "ingest stock",
        "dataset create x --service shelf",
        "dataset create x --spine a --service shelf --mode best",
        "dataset list --addr 127.0.0.1:1",
        "init --shards 0",
        "init --shards many",
        "cluster status --format dot",
        "model register m --dataset labels --metric auc=good",
    ],
)
def test_a_wrong_command_line_ends_with_2(prepared, line):
    run = prepared.run(*line.split())
    assert (run.code, run.stdout) == (2, ""), run
    assert run.stderr
    document = prepared.run(*line.split(), *([] if "--format" in line else ["--format", "json"]))
    if "--format" not in line:
        assert document.error()["kind"] == "invalid"


def test_what_is_not_verified_ends_with_1_and_a_report(place):
    stock.prepare(place)
    blob = next(path for path in (place.directory / "store/blobs").rglob("*") if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    run = place.run("verify", "--format", "json")
    report = json.loads(run.stdout)
    assert (run.code, report["verified"], len(report["findings"])) == (1, False, 1)
    text = place.run("verify")
    assert text.code == 1 and blob.name in text.stdout, text


def test_global_options_go_before_or_after_the_command(prepared):
    free = Lineate(prepared.directory, ())
    before = free.run("--data-dir", "store", "--format", "json", "dataset", "list")
    after = free.run("dataset", "list", "--data-dir", "store", "--format", "json")
    between = free.run("dataset", "--data-dir", "store", "list", "--format", "json")
    assert before.document() == after.document() == between.document()


def test_a_directory_beats_the_address_of_the_environment_and_both_are_an_error(prepared):
    away = environment(LINEATE_ADDR="127.0.0.1:1")
    free = Lineate(prepared.directory, ())
    assert free.run("--data-dir", "store", "dataset", "list", env=away).code == 0
    run = free.run("dataset", "list", "--format", "json", env=away)
    assert run.code == 1 and "127.0.0.1:1" in run.error()["message"]
    assert run.error()["kind"] == "unavailable"
    both = free.run("--data-dir", "store", "--addr", "127.0.0.1:1", "dataset", "list", "--format", "json")
    assert both.code == 2 and both.error()["kind"] == "invalid"


def test_a_server_answers_as_the_directory_does(prepared):
    lines = ["dataset show labels", "dataset list --all", "trace model:late@v1", "verify", "dataset verify labels"]
    here = [prepared.json(*line.split()) for line in lines]
    with serving(prepared.directory) as server:
        there = [server.client.json(*line.split()) for line in lines]
        named = Lineate(prepared.directory, ()).run(
            "dataset", "show", "labels", "--format", "json", env=environment(LINEATE_ADDR=server.address)
        )
        assert named.document() == here[0]
    assert there == here


def test_a_server_listens_beyond_this_machine_only_if_told_that_it_is_insecure(place):
    run = place.run("serve", "--listen", "0.0.0.0:0", "--format", "json")
    assert run.code == 2 and "--insecure" in run.error()["message"], run
    assert run.error()["kind"] == "invalid" and not (place.directory / "store").exists()
