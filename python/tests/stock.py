"""A view with a feature of every type, and rows for it, in every format."""

import datetime
import decimal
import io
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from program import Lineate

UTC_US = pa.timestamp("us", "UTC")

FEATURES = {
    "in_stock": ("bool", pa.bool_(), [True, False, None]),
    "units": ("int32", pa.int32(), [-(2**31), 2**31 - 1, None]),
    "views": ("int64", pa.int64(), [2**53 + 1, -(2**63), None]),
    "weight": ("float32", pa.float32(), [0.1, float("nan"), None]),
    "price": ("float64", pa.float64(), [0.1, -0.0, None]),
    "title": ("string", pa.string(), ["", "größer, \"so\"\n✓", None]),
    "image": ("bytes", pa.binary(), [b"", b"\x00\xff", None]),
    "restocked": ("timestamp", UTC_US, [0, -1, None]),
    "expires": ("date", pa.date32(), [datetime.date(2013, 6, 1), datetime.date(1969, 12, 31), None]),
    "batch": ("uuid", pa.uuid(), [bytes(16), bytes(range(16)), None]),
    "extra": ("json", pa.json_(), ['{"a": [1, null]}', "null", None]),
    "cost": ("decimal(38,9)", pa.decimal128(38, 9), [decimal.Decimal("0.000000001"), decimal.Decimal(-(10**28)), None]),
    "ratings": ("list<int64>", pa.list_(pa.int64()), [[1, None], [], None]),
    "colours": ("map<string,int64>", pa.map_(pa.string(), pa.int64()), [[("red", 1), ("blue", None)], [], None]),
    "size": (
        "struct<w:int64,unit:string>",
        pa.struct([("w", pa.int64()), ("unit", pa.string())]),
        [{"w": 1, "unit": None}, {"w": None, "unit": "mm"}, None],
    ),
    "embedding": ("vector<float32,3>", pa.list_(pa.float32(), 3), [[0.0, -0.0, 1.5], [1.0, 2.0, 3.0], None]),
}

DEFINITIONS = f"""
project: shop
entities:
  - {{name: item, keys: [{{name: sku, type: string}}, {{name: site, type: int64}}]}}
views:
  - name: stock
    entity: item
    event_time: at
    created_time: known
    features:
{chr(10).join(f"      - {{name: {name}, type: '{words}'}}" for name, (words, _, _) in FEATURES.items())}
  - name: sales
    entity: item
    event_time: at
    features: [{{name: sold, type: int64}}]
services:
  - {{name: shelf, features: ["stock.*", sales.sold]}}
"""

ROWS = 3
DAY_US = 86_400_000_000
START_US = 1_370_044_800_000_000
"""2013-06-01T00:00:00Z, the event time of the first row; the others follow a day apart."""


def table(first_key: int = 0) -> pa.Table:
    """Three rows: values, other values, nulls. Each has a key of its own."""
    columns = {
        "sku": pa.array([f"sku{first_key + row}" for row in range(ROWS)], pa.string()),
        "site": pa.array([7] * ROWS, pa.int64()),
        "at": times([START_US + row * DAY_US for row in range(ROWS)]),
        "known": times([START_US + row * DAY_US + 1 for row in range(ROWS)]),
    }
    return pa.table(columns | {name: column(data_type, values) for name, (_, data_type, values) in FEATURES.items()})


def times(values: list) -> pa.Array:
    return pa.array(values, pa.int64()).cast(UTC_US)


def column(data_type: pa.DataType, values: list) -> pa.Array:
    if data_type == UTC_US:
        return times(values)
    if isinstance(data_type, pa.ExtensionType | pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(data_type, pa.array(values, data_type.storage_type))
    return pa.array(values, data_type)


def replaced(name: str, array: pa.Array) -> pa.Table:
    """The table with another column in the place of one."""
    good = table(100)
    return good.set_column(good.column_names.index(name), name, array)


def parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


def arrow_file(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def arrow_stream(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def sale(**changed) -> str:
    """A row of `sales` as a line of NDJSON; a value of `...` leaves the column out."""
    row = {"sku": "sku0", "site": 7, "at": "2013-06-01T00:00:00Z", "sold": 1} | changed
    return json.dumps({name: value for name, value in row.items() if value is not ...}) + "\n"


def prepare(store: Lineate) -> None:
    """Makes a store that holds the definitions, the table and one sale."""
    store.write("stock.yaml", DEFINITIONS)
    store.write("stock.parquet", parquet(table()))
    store.write("sale.ndjson", sale())
    store.json("init", "--shards", "2")
    assert store.json("apply", "stock.yaml")["applied"]
    assert store.json("ingest", "stock", "stock.parquet")["rows"] == ROWS
    assert store.json("ingest", "sales", "sale.ndjson")["rows"] == 1


def seen(store: Lineate) -> tuple:
    """What anyone can see of the rows: their number, and every feature of every key."""
    words = [word for row in range(ROWS) for word in ("--entity", f"sku=sku{row},site=7")]
    return store.rows(), store.json("get", "shelf", *words)["entities"]
