"""Arrow Flight with pyarrow: rows in, training sets out, and words for those who ask for what is not there."""

import datetime

import pandas
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
import stock
from google.protobuf import any_pb2
from program import Lineate

from oracle.compare import compare


@pytest.fixture(scope="module")
def labels() -> pa.Table:
    """Keys with rows, without, and null, twice over, at times before, between and after."""
    day = stock.DAY_US
    return pa.table(
        {
            "label": pa.array([1.5, None, float("nan"), -0.0, 1.0, 2.0, 3.0, 4.0]),
            "sku": ["sku0", "sku1", "sku2", "sku0", None, "sku0", "nobody", "sku1"],
            "site": pa.array([7, 7, 7, 7, 7, None, 7, 7], pa.int64()),
            "event_timestamp": stock.times([stock.START_US + number * day for number in (1, 2, 3, -1, 1, 1, 1, 2)]),
            "note": pa.array(["", None, "✓", "d", "e", "f", "g", "h"]),
        }
    )


@pytest.fixture(scope="module")
def shelf(served, labels) -> dict:
    """A training set of every type, pinned, and written to `shelf.parquet` as well."""
    client = served.client
    client.write("labels.parquet", stock.parquet(labels))
    words = ["--spine", "labels.parquet", "--service", "shelf", "--output", "shelf.parquet"]
    return client.json("dataset", "create", "shelf", *words)


@pytest.fixture
def client(served):
    with flight.connect(f"grpc://{served.address}") as connected:
        yield connected


def pulled(client: flight.FlightClient, info: flight.FlightInfo) -> pa.Table:
    return pa.concat_tables(client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints)


def path(*words: str) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_path(*words)


def test_a_training_set_equals_its_file_cell_by_cell(served, client, shelf, labels):
    info = client.get_flight_info(path("dataset", "shelf@v1"))
    rows = pulled(client, info)
    assert rows.schema == info.schema == client.get_schema(path("dataset", "shelf")).schema
    assert info.total_records == rows.num_rows == shelf["rows"] == labels.num_rows
    written = pq.read_table(served.directory / "shelf.parquet")
    result = compare(written, rows)
    assert result.equal, result.differences
    assert rows.column_names == [column["name"] for column in shelf["columns"]]
    result = compare(labels, rows.select(labels.column_names))
    assert result.equal, result.differences


def test_every_type_comes_back_as_it_went_in(client, shelf):
    rows = pulled(client, client.get_flight_info(path("dataset", "shelf")))
    # Labels 0, 1 and 2 are of the keys and times of rows 0, 1 and 2.
    for name in stock.FEATURES:
        sent = stock.table()[name]
        got = rows[f"stock__{name}"].slice(0, stock.ROWS)
        result = compare(pa.table({name: sent}), pa.table({name: got}))
        assert result.equal, result.differences
        assert rows[f"stock__{name}"].slice(3, 4).null_count == 4
        # An extension type is told by its name, which older readers may not know.
        expected = stock.table().schema.field(name).type
        assert getattr(got.type, "extension_name", "") == getattr(expected, "extension_name", "")
    assert rows["sales__sold"].to_pylist() == [1, None, None, None, None, None, None, None]
    assert rows.schema.field("sales__sold").type == pa.int64()


def test_files_in_every_form_hold_the_same(served, shelf):
    written = pq.read_table(served.directory / "shelf.parquet")
    served.client.json("dataset", "pull", "shelf@v1", "--output", "shelf.arrow")
    with pa.memory_map(str(served.directory / "shelf.arrow")) as source:
        result = compare(written, pa.ipc.open_file(source).read_all())
        assert result.equal, result.differences


def test_training_sets_are_listed(served, client, shelf):
    found = {info.descriptor.path[1]: info for info in client.list_flights()}
    info = found[b"shop/shelf@v1"]
    assert info.total_records == shelf["rows"]
    assert pulled(client, info).num_rows == shelf["rows"]
    again = client.get_flight_info(info.descriptor)
    assert again.endpoints == info.endpoints


def kept(client: flight.FlightClient, messages, labels: list[pa.RecordBatch]):
    """Sends labels as a stream; what the server keeps them as."""
    writer, reader = client.do_put(path("spine"), labels[0].schema)
    with writer:
        for batch in labels:
            writer.write_batch(batch)
        writer.done_writing()
        reply = messages.UploadReply.FromString(reader.read().to_pybytes())
        assert reader.read() is None
    return reply


def created(client: flight.FlightClient, messages, request):
    """Makes a training set by the action."""
    body, answer, made = any_pb2.Any(), any_pb2.Any(), messages.Dataset()
    body.Pack(request)
    (result,) = client.do_action(flight.Action("create_dataset", body.SerializeToString()))
    answer.ParseFromString(result.body.to_pybytes())
    assert answer.Unpack(made)
    return made


def test_a_training_set_made_over_flight_equals_the_one_made_of_a_file(served, client, messages, shelf, labels):
    assert [action.type for action in client.list_actions()] == ["create_dataset"]
    upload = kept(client, messages, labels.to_batches(max_chunksize=3))
    request = messages.CreateDatasetRequest(name="flown", service="shelf", spine_upload_id=upload.upload_id)
    made = created(client, messages, request)
    assert (made.name, made.version, made.rows, made.time_column) == ("flown", 1, labels.num_rows, "event_timestamp")
    hashes = {column["name"]: column["logical_hash"] for column in shelf["columns"]}
    assert {column.name: column.logical_hash for column in made.columns} == hashes
    info = client.get_flight_info(path("dataset", "flown@v1"))
    rows = pulled(client, info)
    result = compare(pulled(client, client.get_flight_info(path("dataset", "shelf@v1"))), rows)
    assert result.equal, result.differences
    assert served.client.json("dataset", "verify", "flown")["verified"]
    # Used is gone.
    with pytest.raises((KeyError, flight.FlightServerError), match="does not exist"):
        created(client, messages, request)


def test_labels_of_every_type_and_of_dictionaries_come_back_as_they_went_in(client, messages):
    day = pa.array(["2013-06-01", "2013-06-02", "2013-06-01"]).dictionary_encode()
    sent = stock.table().drop_columns(["known"]).rename_columns(
        ["sku", "site", "event_timestamp", *(f"label_{name}" for name in stock.FEATURES)]
    )
    sent = sent.append_column("day", day)
    upload = kept(client, messages, sent.combine_chunks().to_batches())
    assert upload.bytes > 0 and upload.hash.startswith("b3:")
    created(client, messages, messages.CreateDatasetRequest(name="typed", service="shelf", spine_upload_id=upload.upload_id))
    rows = pulled(client, client.get_flight_info(path("dataset", "typed")))
    assert rows["day"].to_pylist() == day.to_pylist()
    for name in stock.FEATURES:
        result = compare(pa.table({name: sent[f"label_{name}"]}), pa.table({name: rows[f"label_{name}"]}))
        assert result.equal, result.differences


def acknowledged(client: flight.FlightClient, messages, view: str, batches: list[pa.RecordBatch]) -> list:
    """Pushes each batch and waits for its answer."""
    writer, reader = client.do_put(path("view", view), batches[0].schema)
    acks = []
    with writer:
        for batch in batches:
            writer.write_batch(batch)
            acks.append(messages.PushAck.FromString(reader.read().to_pybytes()))
        writer.done_writing()
        assert reader.read() is None
    return acks


def test_pushed_rows_are_acknowledged_and_then_looked_up(served, client, messages):
    times = pandas.to_datetime(["2013-06-01T10:00:00Z", "2013-06-02T10:00:00Z"]).as_unit("us")
    frame = pandas.DataFrame({"sku": ["flown", "flown"], "site": [1, 2], "at": times, "sold": [10, 20]})
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    before = served.client.rows()
    acks = acknowledged(client, messages, "sales", rows.to_batches(max_chunksize=1))
    assert [(ack.sequence, ack.rows, ack.duplicate) for ack in acks] == [(1, 1, False), (2, 1, False)]
    assert all(shard.commit_time_us and not shard.HasField("error") for ack in acks for shard in ack.shards)
    assert served.client.rows() == before + 2
    answer = served.client.json("get", "shelf", "--entity", "sku=flown,site=1", "--entity", "sku=flown,site=2")
    assert [entity["features"]["sales__sold"]["value"] for entity in answer["entities"]] == [10, 20]


def test_every_type_can_be_pushed_and_reads_as_if_it_was_loaded(served, client, messages):
    batch = stock.table(50).combine_chunks().to_batches()[0]
    (ack,) = acknowledged(client, messages, "stock", [batch])
    assert ack.rows == stock.ROWS

    def features(first: int) -> list:
        words = [word for row in range(stock.ROWS) for word in ("--entity", f"sku=sku{first + row},site=7")]
        answer = served.client.json("get", "shelf@v1", *words)["entities"]
        return [{name: f for name, f in one["features"].items() if name.startswith("stock__")} for one in answer]

    assert features(50) == features(0)


def sale_of(sku: str) -> dict:
    """The columns of one row of `sales`."""
    return {"sku": [sku], "site": pa.array([1]), "at": stock.times([1]), "sold": pa.array([5])}


def test_a_tombstone_ends_a_key(served, client, messages):
    row = sale_of("gone")
    acknowledged(client, messages, "sales", pa.table(row).to_batches())
    row |= {"at": stock.times([2]), "sold": pa.array([None], pa.int64()), "__deleted": [True]}
    acknowledged(client, messages, "sales", pa.table(row).to_batches())
    answer = served.client.json("get", "shelf", "--entity", "sku=gone,site=1")
    assert answer["entities"][0]["features"]["sales__sold"]["status"] == "absent"


def test_a_repeated_position_is_written_once(served, client, messages, wire):
    opened = wire.call(wire.store.OpenWriter, messages.OpenWriterRequest())
    position = messages.PushPosition(writer_id=opened.writer_id, epoch=opened.epoch, sequence=1)
    batch, before, duplicates = pa.table(sale_of("twice")).to_batches()[0], served.client.rows(), []
    for _ in range(2):
        writer, reader = client.do_put(path("view", "sales"), batch.schema)
        with writer:
            writer.write_with_metadata(batch, position.SerializeToString())
            duplicates.append(messages.PushAck.FromString(reader.read().to_pybytes()).duplicate)
            writer.done_writing()
    assert duplicates == [False, True]
    assert served.client.rows() == before + 1


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("dataset", "shlef"), KeyError, "shlef"),
        (("dataset", "shelf@v9"), KeyError, "v9"),
        (("dataset",), pa.ArrowInvalid, "dataset"),
        (("nonsense", "shelf"), pa.ArrowInvalid, "dataset"),
        (("dataset", "shelf", "more"), pa.ArrowInvalid, "dataset"),
        (("dataset", "Not A Name"), pa.ArrowInvalid, "Not A Name"),
    ],
    ids=str,
)
def test_an_unknown_path_is_told_with_what_would_be_right(client, shelf, words, error, said):
    for ask in (client.get_flight_info, client.get_schema):
        with pytest.raises((error, flight.FlightServerError)) as told:
            ask(path(*words))
        assert said in str(told.value), told.value


def test_a_foreign_ticket_and_a_command_are_refused(client, shelf):
    for ticket in (b"", b"nonsense", b"\x0a\x20" + bytes(32)):
        with pytest.raises(pa.ArrowInvalid, match="ticket"):
            client.do_get(flight.Ticket(ticket)).read_all()
    with pytest.raises(pa.ArrowInvalid):
        client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 1"))


def test_pushing_to_an_unknown_view_is_refused_with_the_nearest_name(served, client):
    writer, reader = client.do_put(path("view", "slaes"), stock.table().schema)
    with pytest.raises((KeyError, pa.ArrowException), match="did you mean `sales`"):
        with writer:
            writer.write_table(stock.table())
            writer.done_writing()
            reader.read()


def test_lookups_over_exchange_equal_those_of_the_command_line(served, client, messages):
    entities = pa.table({"sku": ["sku0", "sku1", "nobody"], "site": pa.array([7, 7, 7], pa.int64())})
    writer, reader = client.do_exchange(path("service", "shelf"))
    with writer:
        writer.begin(entities.schema)
        writer.write_table(entities)
        writer.done_writing()
        chunk = reader.read_chunk()
    reply = messages.GetFeaturesReply.FromString(chunk.app_metadata.to_pybytes())
    assert (reply.service, reply.entities) == ("shelf@v1", 3)
    assert chunk.data["stock__views"].to_pylist() == [2**53 + 1, -(2**63), None]
    words = [word for sku in ("sku0", "sku1", "nobody") for word in ("--entity", f"sku={sku},site=7")]
    answer = served.client.json("get", "shelf", *words)["entities"]
    names = {1: "present", 2: "null", 3: "absent", 4: "expired"}
    statuses = [
        [names[reply.statuses[column * 3 + row]] for column in range(chunk.data.num_columns)] for row in range(3)
    ]
    assert statuses == [[feature["status"] for feature in one["features"].values()] for one in answer]


ENTITIES = pa.table({"sku": ["sku0", "sku1", "sku2"], "site": pa.array([7, 7, 7], pa.int64())})


def test_lookups_at_a_time_over_exchange_equal_those_of_the_command_line(served, client, messages, wire):
    day = stock.DAY_US
    for at_us in (stock.START_US - 1, stock.START_US, stock.START_US + day, stock.START_US + day + 1):
        writer, reader = client.do_exchange(path("service", "shelf"))
        with writer:
            writer.write_metadata(messages.LookupTime(at_us=at_us).SerializeToString())
            writer.begin(ENTITIES.schema)
            for _ in range(2):
                writer.write_table(ENTITIES)
                chunk = reader.read_chunk()
                reply = messages.GetFeaturesReply.FromString(chunk.app_metadata.to_pybytes())
            writer.done_writing()
        keys = [
            messages.EntityColumn(name="sku", texts=messages.EntityColumn.Texts(values=ENTITIES["sku"].to_pylist())),
            messages.EntityColumn(name="site", integers=messages.EntityColumn.Integers(values=[7, 7, 7])),
        ]
        asked = messages.GetFeaturesRequest(service="shelf", columns=messages.EntityColumns(columns=keys), at_us=at_us)
        told = wire.call(wire.online.GetFeatures, asked)
        assert (reply.statuses, reply.views) == (told.statuses, told.views)
        features = pa.ipc.open_stream(told.features).read_all()
        result = compare(features, pa.Table.from_batches([chunk.data]))
        assert result.equal, result.differences
        at = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(microseconds=at_us)
        words = [word for sku in ENTITIES["sku"].to_pylist() for word in ("--entity", f"sku={sku},site=7")]
        answer = served.client.json("get", "shelf", *words, "--at", at.isoformat().replace("+00:00", "Z"))["entities"]
        sold = [one["features"]["sales__sold"]["value"] for one in answer]
        assert chunk.data["sales__sold"].to_pylist() == sold
        views = [one["features"]["stock__views"]["value"] for one in answer]
        assert chunk.data["stock__views"].to_pylist() == views
    assert views == [2**53 + 1, -(2**63), None], "the times tell rows apart"


def test_a_time_that_would_not_be_heard_is_refused(client, messages, unharmed):
    time = messages.LookupTime(at_us=stock.START_US).SerializeToString()

    def beside_rows(writer):
        writer.begin(ENTITIES.schema)
        writer.write_with_metadata(ENTITIES.to_batches()[0], time)

    def too_late(writer):
        writer.begin(ENTITIES.schema)
        writer.write_metadata(time)

    def no_time(writer):
        writer.write_metadata(b"\xff\xff")
        writer.begin(ENTITIES.schema)

    def tomorrow(writer):
        writer.write_metadata(messages.LookupTime(at_us=2**62).SerializeToString())
        writer.begin(ENTITIES.schema)
        writer.write_table(ENTITIES)

    for send, said in (
        (beside_rows, "before the rows"),
        (too_late, "metadata came alone"),
        (no_time, "LookupTime"),
        (tomorrow, "lies in the future"),
    ):
        writer, reader = client.do_exchange(path("service", "shelf"))
        with pytest.raises(pa.ArrowInvalid, match=said):
            with writer:
                send(writer)
                writer.done_writing()
                reader.read_chunk()


def test_the_store_is_whole_afterwards(served, shelf):
    assert served.client.json("dataset", "verify", "shelf")["verified"]
    served.client.verified()
    served.stop()
    store = Lineate(served.directory)
    store.verified()
    assert store.json("dataset", "verify", "shelf@v1")["verified"]
