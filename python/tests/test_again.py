"""Doing it again: the same files, several files at once, and a view that grows."""

import json

import stock
from program import Lineate

SOLD = "{name: sold, type: int64}"
GROWN = stock.DEFINITIONS.replace(SOLD, SOLD + ", {name: returned, type: int64}")


def sold(store: Lineate, sku: str, service: str = "shelf") -> dict:
    return store.json("get", service, "--entity", f"sku={sku},site=7")["entities"][0]["features"]


def test_the_same_bytes_are_a_reported_no_op_unless_forced(place):
    stock.prepare(place)
    before, status = stock.seen(place), place.json("cluster", "status")
    place.write("same.ndjson", (place.directory / "sale.ndjson").read_bytes())
    first = place.json("ingest", "sales", "sale.ndjson")
    renamed = place.json("ingest", "sales", "same.ndjson")
    assert first["already_loaded"] and renamed["already_loaded"]
    assert first["record"] == renamed["record"]
    assert stock.seen(place) == before
    assert place.json("cluster", "status")["ledger_entries"] == status["ledger_entries"]
    forced = place.json("ingest", "sales", "sale.ndjson", "--again")
    assert not forced["already_loaded"] and forced["rows"] == 1 and forced["record"] != first["record"]
    assert place.rows() == before[0] + 1
    assert sold(place, "sku0")["sales__sold"]["value"] == 1
    # What was forced in is there already as well.
    assert place.json("ingest", "sales", "sale.ndjson")["already_loaded"]
    place.verified()


def test_the_same_bytes_into_another_view_are_another_load(place):
    stock.prepare(place)
    text = stock.DEFINITIONS.replace("name: sales", "name: returns").replace("sales.sold", "returns.sold")
    place.write("returns.yaml", text.replace("name: shelf", "name: back"))
    place.json("apply", "returns.yaml")
    assert not place.json("ingest", "returns", "sale.ndjson")["already_loaded"]


def test_later_files_of_a_load_win_over_earlier_ones(place):
    stock.prepare(place)
    place.write("one.ndjson", stock.sale(sku="both", sold=1) + stock.sale(sku="first", sold=11))
    place.write("two.csv", "sku,site,at,sold\nboth,7,2013-06-01T00:00:00Z,2\nboth,7,2013-06-01T00:00:00Z,3\n")
    report = place.json("ingest", "sales", "one.ndjson", "two.csv")
    assert report["rows"] == 4
    assert [(source["name"], source["format"], source["rows"]) for source in report["sources"]] == [
        ("one.ndjson", "ndjson", 2),
        ("two.csv", "csv", 2),
    ]
    assert sold(place, "both")["sales__sold"]["value"] == 3
    assert sold(place, "first")["sales__sold"]["value"] == 11
    # The other order is the same files: only where it is asked for, the last row of the other file wins.
    other_order = ("ingest", "sales", "two.csv", "one.ndjson")
    assert place.json(*other_order)["already_loaded"]
    assert sold(place, "both")["sales__sold"]["value"] == 3
    assert not place.json(*other_order, "--again")["already_loaded"]
    assert sold(place, "both")["sales__sold"]["value"] == 1
    sources = [node for node in place.json("trace", "view:sales", "--down")["nodes"] if node["kind"] == "load"]
    assert len(sources) == 3


def test_files_that_are_there_are_skipped_and_the_others_loaded(place):
    stock.prepare(place)
    place.write("new.ndjson", stock.sale(sku="new", sold=5))
    rows, first = place.rows(), place.json("ingest", "sales", "sale.ndjson")["record"]
    report = place.json("ingest", "sales", "sale.ndjson", "new.ndjson", "new.ndjson")
    assert not report["already_loaded"] and report["rows"] == 1 and place.rows() == rows + 1
    assert [source["skipped"] for source in report["sources"]] == [True, False, True]
    assert [source["record"] for source in report["sources"]] == [first, report["record"], report["record"]]
    edges = place.json("trace", report["record"], "--up")["nodes"]
    assert len([node for node in edges if node["kind"] == "source"]) == 1
    text = place.run("ingest", "sales", "new.ndjson", "sale.ndjson").stdout
    assert "nothing was done" in text and "--again" in text, text
    place.verified()


def test_a_view_that_grows_keeps_its_rows_and_its_services(place):
    stock.prepare(place)
    place.write("labels.ndjson", json.dumps({"sku": "sku0", "site": 7, "event_timestamp": "2013-06-09T00:00:00Z"}))
    create = ("dataset", "create", "labels", "--spine", "labels.ndjson", "--mode", "event", "--service")
    snapshot = place.json("get", "shelf", "--entity", "sku=a,site=1")["as_of"]
    before = place.json(*create, "shelf@v1", "--snapshot", snapshot)
    grown = GROWN.replace("sales.sold]", "sales.sold, sales.returned]")
    place.write("grown.yaml", grown)
    plan = place.json("apply", "grown.yaml", "--plan")
    assert not plan["applied"]
    kinds = {(change["kind"], change["name"]) for change in plan["changes"]}
    assert {("changed", "sales@v2"), ("changed", "shelf@v2"), ("unchanged", "stock@v1")} <= kinds
    assert place.json("apply", "grown.yaml")["applied"]
    # The old rows are there, the new feature is null in them, and the old service is as it was.
    features = sold(place, "sku0")
    assert (features["sales__sold"]["value"], features["sales__sold"]["status"]) == (1, "present")
    assert (features["sales__returned"]["value"], features["sales__returned"]["status"]) == (None, "null")
    assert "sales__returned" not in sold(place, "sku0", "shelf@v1")
    place.write("new.ndjson", stock.sale(sku="new", sold=2, returned=1))
    assert place.json("ingest", "sales", "new.ndjson")["view"] == "sales@v2"
    assert sold(place, "new")["sales__returned"]["value"] == 1
    assert sold(place, "new", "shelf@v1")["sales__sold"]["value"] == 2
    # A row without the new column is not taken for a row with a null in it.
    place.write("old.ndjson", stock.sale(sku="old"))
    assert "returned" in place.refused("ingest", "sales", "old.ndjson")
    again = place.json(*create, "shelf@v1", "--snapshot", before["snapshot"])
    assert again["columns"] == before["columns"]
    assert place.json("dataset", "verify", "labels@v1")["verified"]
    place.verified()


def test_any_other_change_of_a_view_starts_empty_and_the_plan_says_so(place):
    stock.prepare(place)
    place.write("other.yaml", stock.DEFINITIONS.replace("{name: sold, type: int64}", "{name: sold, type: float64}"))
    plan = place.json("apply", "other.yaml", "--plan")
    change = next(change for change in plan["changes"] if change["name"] == "sales@v2")
    assert change["details"] and change["consequences"], change
    place.json("apply", "other.yaml")
    assert sold(place, "sku0", "shelf@v1")["sales__sold"]["value"] == 1
    assert sold(place, "sku0")["sales__sold"]["status"] == "absent"
    assert not place.json("ingest", "sales", "sale.ndjson")["already_loaded"]
    assert sold(place, "sku0")["sales__sold"]["value"] == 1.0
