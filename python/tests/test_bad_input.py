"""Bad input gets a clear error and loses nothing: after each of these the store verifies and shows the same rows."""

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
import stock

KEYS_AND_TIMES = ("sku", "site", "at", "known")


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("ingest stokc stock.parquet", "not_found", ("`shop/stokc`", "did you mean `stock`")),
        ("ingest shp/stock stock.parquet", "not_found", ("shp",)),
        ("ingest stock@v7 stock.parquet", "not_found", ("v7",)),
        ("ingest stock missing.parquet", "not_found", ("missing.parquet",)),
        ("push stokc", "not_found", ("did you mean `stock`",)),
        ("get shlef --entity sku=a,site=1", "not_found", ("shlef", "did you mean `shelf`")),
        ("get shelf --entity skv=a,site=1", "invalid", ("skv", "sku")),
        ("get shelf --entity sku=a", "invalid", ("site",)),
        ("get shelf --entity sku=a,site=north", "invalid", ("site", "north", "int64")),
        ("dataset create d --spine stock.parquet --service shlef", "not_found", ("did you mean `shelf`",)),
        ("dataset create d --spine stock.parquet --service shelf --time att", "invalid", ("att", "at")),
        ("dataset show nothing", "not_found", ("nothing",)),
        ("dataset verify nothing", "not_found", ("nothing",)),
        ("dataset pull nothing@v3", "not_found", ("nothing",)),
        ("trace view:stokc", "not_found", ("did you mean `stock`",)),
        ("model register m --dataset nothing", "not_found", ("nothing",)),
        ("model promote m@v1 production", "not_found", ("m",)),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(unharmed, line, kind, said):
    message = unharmed.refused(*line.split(), kind=kind)
    assert all(words in message for words in said), message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: 'bool'", "type: 'boole'", ("boole", "bool")),
        ("type: 'int64'", "type: 'int46'", ("int46", "int64")),
        ("sales.sold", "sales.slod", ("slod", "did you mean `sold`")),
        ("sales.sold", "slaes.sold", ("slaes", "did you mean `sales`")),
        ("entity: item", "entity: itme", ("itme", "did you mean `item`")),
        ("type: string}", "type: float64}", ("float64", "sku")),
        ("features:", "featrues:", ("featrues", "features")),
        ("name: stock", "name: Stock", ("Stock",)),
        ("project: shop", "project: [shop", ("wrong.yaml",)),
    ],
)
def test_a_definition_with_an_unknown_word_is_told_with_the_nearest(unharmed, old, new, said):
    unharmed.write("wrong.yaml", stock.DEFINITIONS.replace(old, new))
    run = unharmed.run("apply", "wrong.yaml", "--format", "json")
    error = run.error()
    assert run.code == 1 and error["kind"] in ("invalid", "not_found"), error
    assert all(words in error["message"] for words in said), error["message"]


def wrong_array(data_type: pa.DataType) -> pa.Array:
    """A column that can be no value of the type."""
    if pa.types.is_struct(data_type):
        return pa.array([1, 2, 3], pa.int64())
    return pa.array([{"nonsense": 1}] * stock.ROWS)


@pytest.mark.parametrize("name", [*KEYS_AND_TIMES, *stock.FEATURES])
def test_a_column_of_another_type_is_named_with_what_was_expected_and_found(unharmed, name):
    wrong = stock.replaced(name, wrong_array(stock.table()[name].type))
    unharmed.write("wrong.parquet", stock.parquet(wrong))
    message = unharmed.refused("ingest", "stock", "wrong.parquet")
    assert f"column `{name}`" in message and "expected" in message and "found" in message, message
    assert "wrong.parquet" in message


@pytest.mark.parametrize("name", [*KEYS_AND_TIMES, *stock.FEATURES])
def test_a_missing_column_is_an_error_and_not_a_null(unharmed, name):
    unharmed.write("wrong.parquet", stock.parquet(stock.table(100).drop_columns([name])))
    message = unharmed.refused("ingest", "stock", "wrong.parquet")
    assert f"column `{name}`" in message and "missing" in message, message


def test_a_column_nobody_asked_for_is_an_error(unharmed):
    wrong = stock.table(100).append_column("unit", pa.array([1, 2, 3]))
    unharmed.write("wrong.parquet", stock.parquet(wrong))
    message = unharmed.refused("ingest", "stock", "wrong.parquet")
    assert "column `unit` is not in view `stock@v1`" in message, message


def test_a_misspelt_column_is_told_with_the_nearest_name(unharmed):
    names = ["unit" if name == "units" else name for name in stock.table().column_names]
    unharmed.write("wrong.parquet", stock.parquet(stock.table(100).rename_columns(names)))
    message = unharmed.refused("ingest", "stock", "wrong.parquet")
    assert "`unit`" in message and "`units`" in message and "did you mean" in message, message


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("sku", pa.array(["a", None, "c"])),
        ("site", pa.array([1, None, 3], pa.int64())),
        ("at", stock.times([1, None, 3])),
    ],
)
def test_a_null_in_a_key_or_an_event_time_is_told_by_its_row(unharmed, name, array):
    unharmed.write("wrong.parquet", stock.parquet(stock.replaced(name, array)))
    message = unharmed.refused("ingest", "stock", "wrong.parquet")
    assert "row 2" in message and f"`{name}`" in message and "null" in message, message


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"at": "yesterday"}, ("at", "yesterday")),
        ({"at": "2013-06-01T00:00:00"}, ("at", "offset")),
        ({"at": "2013-06-01"}, ("at",)),
        ({"at": "2013-06-01T00:00:00.0000001Z"}, ("at", "microsecond")),
        ({"at": "2013-02-30T00:00:00Z"}, ("at", "2013-02-30")),
        ({"at": "2016-12-31T23:59:60Z"}, ("at", "leap second")),
        ({"at": "300000-01-01T00:00:00Z"}, ("at",)),
        ({"at": None}, ("at", "null")),
        ({"at": ...}, ("at", "missing")),
        ({"at": 1.5}, ("at",)),
        ({"sku": None}, ("sku", "null")),
        ({"sku": ...}, ("sku", "missing")),
        ({"sku": "k" * 5000}, ("4096",)),
        ({"site": "x"}, ("site", "int64")),
        ({"site": 2**63}, ("site", "int64")),
        ({"sold": "many"}, ("sold", "int64", "many")),
        ({"sold": 1.5}, ("sold", "int64")),
        ({"sold": 2**64}, ("sold", "int64")),
        ({"sold": ...}, ("sold", "missing")),
        ({"sold": ..., "slod": 1}, ("slod", "did you mean", "sold")),
        ({"more": 1}, ("more",)),
    ],
    ids=str,
)
def test_a_line_that_does_not_fit_is_told_by_its_number_and_column(unharmed, changed, said):
    text = stock.sale(sku="good") + stock.sale(**({"sku": "bad"} | changed))
    unharmed.write("wrong.ndjson", text)
    for words in (("ingest", "sales", "wrong.ndjson"), ("push", "sales", "wrong.ndjson")):
        message = unharmed.refused(*words)
        assert "line 2" in message, message
        assert all(part in message for part in said), message


@pytest.mark.parametrize(
    ("data_type", "value", "said"),
    [
        (pa.timestamp("us"), 1, "zone"),
        (pa.timestamp("ns", "UTC"), 1, "microsecond"),
        (pa.timestamp("s", "UTC"), 2**62, ""),
        (pa.timestamp("ms", "UTC"), -(2**62), ""),
        (pa.int64(), 1, "timestamp"),
        (pa.date32(), 1, "timestamp"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["at", "known", "restocked"])
def test_a_time_without_zone_out_of_range_or_too_fine_is_refused(unharmed, name, data_type, value, said):
    storage = pa.int32() if data_type == pa.date32() else pa.int64()
    array = pa.array([value] * stock.ROWS, storage).cast(data_type)
    unharmed.write("wrong.arrow", stock.arrow_file(stock.replaced(name, array)))
    message = unharmed.refused("ingest", "stock", "wrong.arrow")
    assert f"`{name}`" in message and said in message, message


FILES = {
    "parquet": stock.parquet(stock.table(100)),
    "arrow": stock.arrow_file(stock.table(100)),
    "arrows": stock.arrow_stream(stock.table(100)),
}


@pytest.mark.parametrize("form", FILES)
def test_a_file_cut_anywhere_is_refused(unharmed, form):
    whole = FILES[form]
    lengths = {0, 1, 3, 4, 7, 8, 12, len(whole) - 1, len(whole) - 4, len(whole) - 9}
    lengths |= {len(whole) * part // 10 for part in range(1, 10)}
    for length in sorted(lengths):
        unharmed.write("piece", whole[:length])
        message = unharmed.refused("ingest", "stock", "piece")
        assert length > 8 or "empty" in message or "no known format" in message or "piece" in message, message
        assert length <= 8 or "piece" in message, f"{length} of {len(whole)} bytes: {message}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no known format"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"\xff\xfe" + "sku,site".encode("utf-16-le"), "UTF-16"),
        (b'[{"sku": "a"}]', "array"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_file_that_is_no_table_is_told_with_what_would_be(unharmed, content, said):
    unharmed.write("stranger", content)
    message = unharmed.refused("ingest", "sales", "stranger")
    assert said in message, message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"sku,site,at,sold\n", ""),
        (b"%PDF-1.7 some text", ""),
        (b"<html><body>Not found</body></html>\n", ""),
        (b'{"sku": "a", "site": 1, "at": "2013-06-01T00:00:00Z", "sold"', "line 1"),
        (b'sku,site,at,sold\n"a,1,2013-06-01T00:00:00Z,1\n', ""),
        (b"sku,site,at,sold\na,1,2013-06-01T00:00:00Z\n", "line 2"),
        (b"sku,site,at,sold\na,1,2013-06-01T00:00:00Z,1,9\n", "line 2"),
        (b"sku,site,at,sold,sold\na,1,2013-06-01T00:00:00Z,1,9\n", "sold"),
        (b"sku,site,at,sold\n\xff,1,2013-06-01T00:00:00Z,1\n", "UTF-8"),
        (b"PAR1", ""),
        (b"ARROW1\0\0", ""),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", ""),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_table_that_cannot_be_read_is_told_by_its_name(unharmed, content, said):
    unharmed.write("stranger", content)
    message = unharmed.refused("ingest", "sales", "stranger")
    assert "stranger" in message and said in message, message


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("sku,event_timestamp", "a,2013-06-01T00:00:00Z", ("site", "missing")),
        ("sku,site", "a,1", ("event_timestamp",)),
        ("sku,site,event_timestamp", "a,1,", ("event_timestamp", "null")),
        ("sku,site,event_timestamp", "a,1,2013-06-01T00:00:00", ("event_timestamp", "offset")),
        ("sku,site,event_timestamp", "a,north,2013-06-01T00:00:00Z", ("site", "int64")),
        ("sku,site,event_timestamp,stock__units", "a,1,2013-06-01T00:00:00Z,5", ("stock__units",)),
    ],
)
def test_labels_that_do_not_fit_make_no_training_set(unharmed, header, row, said):
    unharmed.write("labels.csv", f"{header}\n{row}\n")
    sets = unharmed.json("dataset", "list")
    message = unharmed.refused("dataset", "create", "bad", "--spine", "labels.csv", "--service", "shelf")
    assert all(words in message for words in said), message
    assert unharmed.json("dataset", "list") == sets


def test_one_bad_file_keeps_all_files_of_a_load_out(unharmed):
    unharmed.write("good.ndjson", stock.sale(sku="good"))
    unharmed.write("bad.ndjson", stock.sale(sku="bad", sold="many"))
    message = unharmed.refused("ingest", "sales", "good.ndjson", "bad.ndjson")
    assert "bad.ndjson" in message and "line 1" in message, message


def test_a_row_too_large_is_refused_with_the_limit(unharmed):
    titles = pa.array(["short", "x" * (1 << 20), "short"])
    unharmed.write("large.parquet", stock.parquet(stock.replaced("title", titles)))
    message = unharmed.refused("ingest", "stock", "large.parquet")
    assert "row 2" in message and str(1 << 20) in message, message
    unharmed.write("large.csv", "sku,site,at,sold\n" + "x" * (9 << 20))
    unharmed.refused("ingest", "sales", "large.csv")


def test_csv_says_the_same_of_a_time_as_ndjson(unharmed):
    good = pa.table({"sku": ["good", "bad"], "site": [1, 1], "at": ["2013-06-01T00:00:00Z", ""], "sold": [1, 2]})
    for text, said in (("2013-06-01 00:00:00", "offset"), ("soon", "soon"), ("2013-06-01T00:00:00.1234567Z", "micro")):
        sink = io.BytesIO()
        bad = good.set_column(2, "at", pc.if_else(pc.equal(good["at"], ""), text, good["at"]))
        pyarrow.csv.write_csv(bad, sink)
        unharmed.write("times.csv", sink.getvalue())
        message = unharmed.refused("ingest", "sales", "times.csv")
        assert "line 3" in message and "`at`" in message and said in message, message
