#!/usr/bin/env python3
"""The logical hash of Arrow columns, version 1, as logical-hash.md specifies it.

Independent of Lineate: it needs only `pip install pyarrow blake3`. Without arguments it checks the test vectors
of the page beside it; with the name of a Parquet or Arrow file it prints the hash of each column, then of the
table.
"""

import json
import pathlib
import re
import struct
import sys

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

NODE = "lineate logical hash v1 node"
COLUMN = "lineate logical hash v1 column"
TABLE = "lineate logical hash v1 table"
NAME = re.compile(r"[a-z][a-z0-9_]*")


def derive(context, data):
    return blake3(data, derive_key_context=context).digest()


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def quoted(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def extension(field):
    """The name of a field's Arrow extension, registered with pyarrow or not."""
    named = getattr(field.type, "extension_name", None)
    stored = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
    return named or stored


def storage(data_type):
    return data_type.storage_type if isinstance(data_type, pa.BaseExtensionType) else data_type


def type_text(field):
    t = storage(field.type)
    if pa.types.is_dictionary(t) or pa.types.is_run_end_encoded(t):
        return type_text(pa.field(field.name, t.value_type, metadata=field.metadata))
    if pa.types.is_decimal(t):
        return f"decimal({t.precision},{t.scale})"
    if is_text(t):
        return "json" if extension(field) == "arrow.json" else "string"
    if is_binary(t):
        return "bytes"
    if pa.types.is_fixed_size_binary(t):
        uuid = extension(field) == "arrow.uuid" and t.byte_width == 16
        return "uuid" if uuid else f"fixed_bytes({t.byte_width})"
    if pa.types.is_timestamp(t):
        if t.unit == "us" and t.tz == "UTC":
            return "timestamp"
        return f"timestamp({t.unit},{quoted(t.tz)})" if t.tz is not None else f"timestamp({t.unit})"
    if pa.types.is_time(t):
        return f"time({t.unit})"
    if pa.types.is_duration(t):
        return f"duration({t.unit})"
    if pa.types.is_interval(t):
        return "interval(month_day_nano)"
    if is_list(t):
        return f"list<{type_text(t.value_field)}>"
    if pa.types.is_fixed_size_list(t):
        element = type_text(t.value_field)
        word = "vector" if element in ("float32", "float64") else "fixed_list"
        return f"{word}<{element},{t.list_size}>"
    if pa.types.is_map(t):
        return f"map<{type_text(t.key_field)},{type_text(t.item_field)}>"
    if pa.types.is_struct(t):
        return "struct<" + ",".join(f"{field_name(f.name)}:{type_text(f)}" for f in fields_of(t)) + ">"
    simple = {"float": "float32", "double": "float64", "halffloat": "float16", "date32[day]": "date", "date64[ms]": "date64"}
    known = ("bool null int8 int16 int32 int64 uint8 uint16 uint32 uint64").split()
    name = str(t)
    if name in simple or name in known:
        return simple.get(name, name)
    raise ValueError(f"columns of type {t} have no logical hash")


def field_name(name):
    plain = NAME.fullmatch(name) and len(name.encode()) <= 63 and "__" not in name
    return name if plain else quoted(name)


def fields_of(t):
    return [t.field(i) for i in range(t.num_fields)]


def is_text(t):
    return pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)


def is_binary(t):
    return pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t)


def is_list(t):
    views = pa.types.is_list_view(t) or pa.types.is_large_list_view(t)
    return pa.types.is_list(t) or pa.types.is_large_list(t) or views


def plain(array):
    """The array without extension, dictionary or run-end encoding at the top."""
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return plain(array.dictionary.take(array.indices))
    if pa.types.is_run_end_encoded(array.type):
        return plain(pc.run_end_decode(array))
    return array


def pack(flags):
    data = bytearray((len(flags) + 7) // 8)
    for i, flag in enumerate(flags):
        data[i // 8] |= bool(flag) << (i % 8)
    return bytes(data)


def lengths(values):
    return blake3(b"".join(struct.pack("<I", n) for n in values)).digest()


def node(array):
    array = plain(array)
    head = struct.pack("<Q", len(array)) + blake3(pack(array.is_valid().to_pylist())).digest()
    if pa.types.is_null(array.type):
        return derive(NODE, head)
    return derive(NODE, head + b"".join(parts(array.type, array.drop_null())))


def parts(t, array):
    """The parts of a node, of an array without nulls."""
    if pa.types.is_boolean(t):
        return [blake3(bytes(array.to_pylist())).digest()]
    if pa.types.is_decimal(t):
        width = 16 if t.precision <= 38 else 32
        values = [int(value.scaleb(t.scale)) for value in exact(array)]
        return [blake3(b"".join(v.to_bytes(width, "little", signed=True) for v in values)).digest()]
    if is_text(t) or is_binary(t):
        values = array.cast(pa.large_binary() if not is_text(t) else pa.large_string()).to_pylist()
        values = [v.encode() if isinstance(v, str) else v for v in values]
        return [lengths(map(len, values)), blake3(b"".join(values)).digest()]
    if pa.types.is_map(t):
        each = [len(entries) for entries in array.to_pylist()]
        start = array.offsets[0].as_py()
        end = array.offsets[len(array)].as_py()
        keys, items = array.keys[start:end], array.items[start:end]
        return [lengths(each), node(keys), node(items)]
    if is_list(t):
        each = pc.list_value_length(array).to_pylist()
        return [lengths(each), node(array.flatten())]
    if pa.types.is_fixed_size_list(t):
        return [node(array.flatten())]
    if pa.types.is_struct(t):
        return [node(child) for child in array.flatten()]
    width = t.bit_width // 8
    # `take` gives an array that begins at offset 0 and holds these values alone.
    data = array.take(pa.array(range(len(array)), pa.int64()))
    buffer = data.buffers()[1]
    start = data.offset * width
    return [blake3(bytes(buffer)[start : start + len(data) * width] if buffer else b"").digest()]


def exact(array):
    import decimal

    decimal.getcontext().prec = 100
    return array.to_pylist()


def as_array(column):
    chunks = [plain(chunk) for chunk in column.chunks] if isinstance(column, pa.ChunkedArray) else [column]
    return pa.concat_arrays(chunks) if chunks else pa.array([], storage(column.type))


def column_hash(field, column):
    return derive(COLUMN, text(type_text(field)) + node(as_array(column)))


def table_hash(columns):
    return derive(TABLE, b"".join(text(name) + digest for name, digest in columns))


# Test vectors: the types as pyarrow has them, and the values from their notation on the page.

SIMPLE = {
    "null": pa.null(), "bool": pa.bool_(), "int8": pa.int8(), "uint8": pa.uint8(), "int32": pa.int32(),
    "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(), "string": pa.string(),
    "bytes": pa.binary(), "timestamp": pa.timestamp("us", "UTC"), "date": pa.date32(), "uuid": pa.binary(16),
    "json": pa.string(), "decimal(38,9)": pa.decimal128(38, 9), "decimal(50,2)": pa.decimal256(50, 2),
    "timestamp(us)": pa.timestamp("us"), 'timestamp(ns,"Europe/Berlin")': pa.timestamp("ns", "Europe/Berlin"),
    "list<int64>": pa.list_(pa.int64()), "list<list<string>>": pa.list_(pa.list_(pa.string())),
    "map<string,float64>": pa.map_(pa.string(), pa.float64()),
    "struct<a:int64,b:string>": pa.struct([("a", pa.int64()), ("b", pa.string())]),
    'struct<"Odd \\"Name\\"":int64>': pa.struct([('Odd "Name"', pa.int64())]),
    "vector<float32,2>": pa.list_(pa.float32(), 2), "fixed_list<int8,2>": pa.list_(pa.int8(), 2),
}
EXTENSIONS = {"uuid": "arrow.uuid", "json": "arrow.json"}


def vector_value(type_name, value):
    import decimal

    if value is None:
        return None
    if isinstance(value, str) and value.startswith("bits:"):
        return struct.unpack(">d", bytes.fromhex(value[5:]))[0]
    if type_name in ("bytes", "uuid"):
        return bytes.fromhex(value)
    if type_name.startswith("decimal"):
        return decimal.Decimal(value)
    if type_name.startswith("map"):
        return list(value.items())
    return value


def vector(type_name, notation):
    """The field and the array of a test vector."""
    named = {b"ARROW:extension:name": EXTENSIONS[type_name].encode()} if type_name in EXTENSIONS else None
    field = pa.field("x", SIMPLE[type_name], metadata=named)
    if notation.startswith("range:"):
        return field, pa.array(range(int(notation[6:])), field.type)
    values = [vector_value(type_name, value) for value in json.loads(notation)]
    if type_name.startswith("timestamp") or type_name == "date":
        integer = pa.int32() if type_name == "date" else pa.int64()
        return field, pa.array(values, integer).cast(field.type)
    return field, pa.array(values, field.type)


def check_vectors():
    page = pathlib.Path(__file__).with_name("logical-hash.md").read_text(encoding="utf-8")
    rows = page.split("## Test vectors")[1].splitlines()
    rows = [[cell.strip().strip("`") for cell in row.split("|")[1:-1]] for row in rows if row.startswith("|")][2:]
    failures = 0
    hashes = {}
    for name, type_name, notation, expected in rows:
        if type_name == "table":
            found = table_hash([(column, hashes[column]) for column in notation.split(", ")])
        else:
            field, array = vector(type_name, notation)
            assert type_text(field) == type_name, (type_text(field), type_name)
            found = hashes[name] = column_hash(field, array)
        failures += found.hex() != expected
        print("ok  " if found.hex() == expected else "FAIL", name, found.hex())
    return failures


def main():
    if len(sys.argv) == 1:
        sys.exit(1 if check_vectors() else 0)
    import pyarrow.ipc
    import pyarrow.parquet

    path = sys.argv[1]
    with open(path, "rb") as file:
        magic = file.read(4)
    table = pyarrow.parquet.read_table(path) if magic == b"PAR1" else pyarrow.ipc.open_file(path).read_all()
    columns = [(field.name, column_hash(field, table.column(i))) for i, field in enumerate(table.schema)]
    for name, digest in columns:
        print(f"b3:{digest.hex()}  {name}")
    print(f"b3:{table_hash(columns).hex()}")


if __name__ == "__main__":
    main()
