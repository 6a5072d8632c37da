"""The pages of docs/formats against what was written by their words alone: the scripts beside them, and stores."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stock
from blake3 import blake3

ROOT = Path(__file__).parents[2]
FORMATS = ROOT / "docs/formats"
SEGMENTS = ROOT / "crates/segment/tests/testdata"

LOAD_ROWS = 600
"""Of 200 keys, so that every one of 16 shards has some."""


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Runs a script of the pages as a stranger would."""
    line = [sys.executable, FORMATS / name, *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def table_hash(file: Path) -> str:
    """The hash of the columns of a file, as logical_hash.py prints it in its last line."""
    ran = script("logical_hash.py", file)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()[-1]


@pytest.fixture(scope="module")
def logical_hash():
    """logical_hash.py as a module."""
    spec = importlib.util.spec_from_file_location("logical_hash", FORMATS / "logical_hash.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_vectors_of_records_and_of_the_ledger_hold():
    ran = script("verify_record.py")
    assert ran.returncode == 0, ran.stderr
    lines = (FORMATS / "record-vectors.txt").read_text().splitlines()
    forms = {line.split()[0] for line in lines if line and not line.startswith("#")}
    assert forms == {"sealed", "record", "entry", "root"}
    assert all(form in ran.stdout for form in forms) and ran.stdout.endswith("all hold\n"), ran.stdout


@pytest.mark.parametrize("form", ["sealed", "record", "entry", "root"])
def test_a_vector_that_does_not_hold_is_found(form, tmp_path):
    text = (FORMATS / "record-vectors.txt").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"{form} "))
    wrong = line[:-1] + ("0" if line[-1] != "0" else "1")
    vectors = tmp_path / "vectors.txt"
    vectors.write_text(text.replace(line, wrong))
    ran = script("verify_record.py", vectors)
    assert ran.returncode == 1 and "all hold" not in ran.stdout, (form, ran.stdout)


def test_the_vectors_of_logical_hashes_hold():
    ran = script("logical_hash.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    words = [line.split()[0] for line in ran.stdout.splitlines()]
    assert words == ["ok"] * len(words) and len(words) > 20


def test_the_segments_that_are_kept_have_the_logical_hashes_of_the_page():
    page = (FORMATS / "segment.md").read_text()
    kept = dict(re.findall(r"^\| `(segment-v1-\w+)` \|.*\| `(b3:[0-9a-f]{64})` \|$", page, re.MULTILINE))
    assert sorted(kept) == sorted(file.stem for file in SEGMENTS.glob("segment-v1-*.parquet"))
    for name, expected in kept.items():
        assert table_hash(SEGMENTS / f"{name}.parquet") == expected, name


def canonical_rows() -> pa.Table:
    """Rows of every type in the canonical columns, which is what a load's record says the hash of."""
    parts = [stock.table(first_key=part % 67 * stock.ROWS) for part in range(LOAD_ROWS // stock.ROWS)]
    rows = pa.concat_tables(parts)
    deleted = pa.array([row % 50 == 49 for row in range(LOAD_ROWS)], pa.bool_())
    return rows.append_column(pa.field("__deleted", pa.bool_()), deleted)


def store_of(place, shards: int) -> None:
    place.write("stock.yaml", stock.DEFINITIONS)
    place.json("init", "--shards", str(shards))
    place.json("apply", "stock.yaml")


def recorded(place, *files: str) -> dict:
    """The fields of the record of a load of these files."""
    return place.json("show", place.json("ingest", "stock", *files)["record"])["fields"]


@pytest.mark.parametrize("shards", [1, 16])
def test_the_logical_hash_of_a_load_is_that_of_its_file(place, shards):
    store_of(place, shards)
    rows = canonical_rows()
    # Many small row groups: where a file is cut is no part of what it says.
    pq.write_table(rows, place.directory / "rows.parquet", row_group_size=37)
    load = recorded(place, "rows.parquet")
    assert load["rows"] == LOAD_ROWS and load["tombstones"] == LOAD_ROWS // 50
    assert len(load["segments"]) == shards
    assert load["logical_hash"] == table_hash(place.directory / "rows.parquet")


@pytest.mark.parametrize("shards", [1, 16])
def test_the_logical_hash_of_a_load_is_that_of_the_columns_of_its_files_in_turn(place, logical_hash, shards):
    store_of(place, shards)
    rows = canonical_rows()
    first, second = rows.slice(0, 250), rows.slice(250)
    # The first file without the column that may be left out, the second with its columns in another order and layout.
    plain = first.drop_columns(["__deleted"])
    backwards = second.select(list(reversed(second.column_names)))
    backwards = backwards.set_column(
        backwards.column_names.index("sku"), "sku", second.column("sku").combine_chunks().dictionary_encode()
    )
    place.write("first.parquet", stock.parquet(plain))
    place.write("second.arrow", stock.arrow_file(backwards))
    load = recorded(place, "first.parquet", "second.arrow")
    kept = pa.array([False] * 250 + second.column("__deleted").to_pylist(), pa.bool_())
    expected = rows.set_column(rows.num_columns - 1, pa.field("__deleted", pa.bool_()), kept)
    columns = [
        (field.name, logical_hash.column_hash(field, expected.column(position)))
        for position, field in enumerate(expected.schema)
    ]
    assert load["logical_hash"] == f"b3:{logical_hash.table_hash(columns).hex()}"
    # Field 6 is of the rows in the order of the files.
    other = recorded(place, "second.arrow", "first.parquet", "--again")
    assert other["rows"] == load["rows"] and other["logical_hash"] != load["logical_hash"]


def test_a_store_lies_as_its_pages_say(place):
    stock.prepare(place)
    store = place.directory / "store"
    assert {path.name for path in store.iterdir()} == {"LOCK", "FORMAT", "log", "kv", "blobs", "sealed", "tmp"}
    store_format = (store / "FORMAT").read_text()
    assert re.fullmatch(r"lineate store\nformat 2\nshards 2\nid [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", store_format)
    blobs = [path for path in (store / "blobs").rglob("*") if path.is_file()]
    assert blobs
    for blob in blobs:
        name = blake3(blob.read_bytes()).hexdigest()
        assert blob == store / "blobs" / name[:2] / name
    magics = {"log/0000000000000001.log": b"LINEALOG", "sealed/texts-000001": b"LNSEALED"}
    for name, magic in magics.items():
        assert (store / name).read_bytes()[:8] == magic, name


def test_the_files_of_a_training_set_are_as_their_page_says(place):
    stock.prepare(place)
    place.write("labels.csv", "label,sku,site,event_timestamp\n1,sku0,7,2013-06-09T00:00:00Z\n0,none,7,2013-06-09T00:00:00Z\n")
    made = place.json("dataset", "create", "labels", "--spine", "labels.csv", "--service", "shelf")
    hashes = [made["spine_hash"]] + [file["hash"] for file in made["files"]]
    assert len(hashes) == 2
    tables = []
    for name in (digest.removeprefix("b3:") for digest in hashes):
        path = place.directory / "store/blobs" / name[:2] / name
        metadata = pq.read_metadata(path)
        assert (metadata.created_by, metadata.num_rows, metadata.num_row_groups) == ("lineate", 2, 1)
        columns = [metadata.row_group(0).column(position) for position in range(metadata.num_columns)]
        assert {column.compression for column in columns} == {"ZSTD"}
        tables.append(pq.read_table(path))
    spine, output = tables
    assert spine.column_names == ["label", "sku", "site", "event_timestamp"]
    assert spine.schema.field("event_timestamp").type == stock.UTC_US
    features = [f"stock__{name}" for name in stock.FEATURES] + ["sales__sold"]
    assert output.column_names == spine.column_names + features
    assert output.select(spine.column_names) == spine
    assert output.column("sales__sold").to_pylist() == [1, None]
    recorded_hashes = {column["name"]: column["logical_hash"] for column in made["columns"]}
    path = place.directory / "store/blobs" / name[:2] / name
    printed = script("logical_hash.py", path).stdout.splitlines()[:-1]
    assert {line.split()[1]: line.split()[0] for line in printed} == recorded_hashes


@pytest.mark.parametrize("page", sorted(FORMATS.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_names_the_tests_that_hold_its_bytes(page):
    text = page.read_text()
    assert text.count("## Golden bytes") == 1, "every page has one section `Golden bytes`"
    section = text.split("## Golden bytes")[1].split("\n## ")[0]
    named = re.findall(r"`([^`]+)`", section)
    places = [ROOT / word for word in named if "/" in word]
    assert places and all(place.exists() for place in places), places
    sources = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.rs"))]
    code = "".join(file.read_text() for file in sources if file.suffix in (".rs", ".py"))
    tests = [word for word in named if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", word)]
    assert tests, "the section names its tests"
    for test in tests:
        assert re.search(rf"(fn|def) {test}\(", code), f"{test} is in none of {places}"
