"""Hostile bytes and lost connections: refusals are told, the server lives, only what was acknowledged is there."""

import random
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.flight as flight
import pytest
import stock
from program import DEADLINE_S, Lineate, binary, environment, serving
from wire import Refused, Wire

SEED = 20130601
"""Every mutation follows from it."""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A server that may take rows of hostile streams, if what is left of them is valid."""
    directory = tmp_path_factory.mktemp("target")
    stock.prepare(Lineate(directory))
    with serving(directory) as server:
        yield server


@pytest.fixture
def hostile(messages, target):
    channel = Wire(messages, target.address)
    yield channel
    channel.close()


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """The bytes with a few damaged: flipped, overwritten with extremes, cut out, doubled or cut off."""
    damaged = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(len(damaged))
        match chance.randrange(6):
            case 0 | 1:
                damaged[at] ^= 1 << chance.randrange(8)
            case 2:
                extremes = [b"\xff\xff\xff\x7f", b"\xff" * 4, bytes(4), b"\0\0\0\x80"]
                damaged[at : at + 4] = chance.choice(extremes)
            case 3:
                damaged[at : at + 8] = chance.choice([b"\xff" * 7 + b"\x7f", bytes(8), b"\xff" * 8])
            case 4:
                del damaged[at : at + chance.randrange(1, 16)]
            case 5:
                damaged[at:at] = damaged[at : at + chance.randrange(1, 16)]
        if len(damaged) < 16:
            return bytes(whole[:16])
    return bytes(damaged[: chance.randrange(16, len(damaged))] if chance.random() < 0.1 else damaged)


def accepted(acks: list) -> int:
    """The rows that were written."""
    return sum(shard.rows for ack in acks for shard in ack.shards if not shard.HasField("error"))


def test_mutated_arrow_is_refused_or_read_and_never_fatal(target, hostile):
    chance, before = random.Random(SEED), target.client.rows()
    whole = stock.arrow_stream(stock.table(100))
    written, kinds = 0, set()
    for _ in range(400):
        try:
            written += accepted(hostile.push("stock", (1, mutated(whole, chance))))
        except Refused as refused:
            kinds.add(refused.kind)
            assert refused.message
    assert kinds and kinds <= {"invalid", "resource_exhausted"}, kinds
    assert target.client.rows() == before + written
    target.client.verified()


@pytest.mark.parametrize("form", ["parquet", "arrow_file", "arrow_stream"])
def test_a_mutated_file_is_refused_or_read_and_never_fatal(target, hostile, form):
    chance, before = random.Random(SEED), target.client.rows()
    whole = getattr(stock, form)(stock.table(200))
    written, kinds = 0, set()
    for number in range(60):
        source = hostile.v1.IngestFile(upload_id=hostile.upload(mutated(whole, chance)), name=f"{form}{number}")
        request = hostile.v1.IngestRequest(view="stock", files=[source], again=True)
        try:
            events = hostile.call(hostile.store.Ingest, request)
            written += events[-1].report.rows
        except Refused as refused:
            kinds.add(refused.kind)
            assert refused.message
    assert kinds and kinds <= {"invalid", "resource_exhausted"}, kinds
    assert target.client.rows() == before + written
    target.client.verified()


def flight_messages(hostile: Wire, rows: pa.Table) -> list:
    """A DoPut of these rows, as pyarrow would send it."""
    foreign, schema = hostile.v1.foreign, rows.schema.serialize()
    descriptor = foreign.FlightDescriptor(type=1, path=["view", "stock"])
    batch = rows.combine_chunks().to_batches()[0].serialize()
    sent = [foreign.FlightData(flight_descriptor=descriptor, data_header=_header(schema))]
    header = _header(batch)
    sent.append(foreign.FlightData(data_header=header, data_body=batch.to_pybytes()[8 + len(header) :]))
    return sent


def _header(message: pa.Buffer) -> bytes:
    """The metadata of an encapsulated IPC message: a marker, its length, then itself."""
    content = message.to_pybytes()
    return content[8 : 8 + int.from_bytes(content[4:8], "little")]


def do_put(hostile: Wire, sent: list) -> list:
    method = hostile.channel.stream_stream(
        "/arrow.flight.protocol.FlightService/DoPut",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=lambda content: hostile.v1.PushAck.FromString(
            hostile.v1.foreign.PutResult.FromString(content).app_metadata
        ),
    )
    return hostile.call(method, iter(sent))


def test_hostile_flight_messages_are_refused_or_read_and_never_fatal(target, hostile):
    chance, before = random.Random(SEED), target.client.rows()
    written, refusals, kinds = accepted(do_put(hostile, flight_messages(hostile, stock.table(300)))), 0, set()
    assert written == stock.ROWS
    for _ in range(400):
        sent = flight_messages(hostile, stock.table(300))
        message = chance.choice(sent)
        if message.data_body and chance.random() < 0.3:
            message.data_body = mutated(message.data_body, chance)
        else:
            message.data_header = mutated(message.data_header, chance)
        try:
            written += accepted(do_put(hostile, sent))
        except Refused as refused:
            refusals += 1
            kinds.add(refused.kind)
            assert refused.message
    assert kinds and kinds <= {"invalid", "resource_exhausted"}, kinds
    assert refusals > 100
    assert target.client.rows() == before + written
    target.client.verified()


@pytest.mark.parametrize(
    "sent",
    [
        lambda sent: [],
        lambda sent: sent[1:],
        lambda sent: [sent[0], sent[0], sent[1]],
        lambda sent: [sent[1], sent[0]],
    ],
    ids=["nothing", "no-descriptor", "schema-twice", "rows-first"],
)
def test_flight_messages_out_of_order_are_refused(target, hostile, sent):
    before = target.client.rows()
    with pytest.raises(Refused) as refused:
        do_put(hostile, sent(flight_messages(hostile, stock.table(400))))
    assert refused.value.kind == "invalid"
    assert target.client.rows() == before


def test_a_schema_that_is_not_the_views_is_refused_before_any_row(target):
    before = target.client.rows()
    with flight.connect(f"grpc://{target.address}") as client:
        for wrong, said in (
            (stock.table(500).drop_columns(["cost"]), "cost"),
            (stock.replaced("units", pa.array([{"a": 1}] * 3)), "units"),
            (stock.table(500).append_column("more", pa.array([1, 2, 3])), "more"),
        ):
            with pytest.raises(pa.ArrowInvalid, match=said):
                put(client, "stock", wrong)
    assert target.client.rows() == before


def put(client: flight.FlightClient, view: str, rows: pa.Table) -> None:
    writer, reader = client.do_put(flight.FlightDescriptor.for_path("view", view), rows.schema)
    with writer:
        writer.write_table(rows)
        writer.done_writing()
        while reader.read() is not None:
            pass


def test_a_batch_of_too_many_rows_or_bytes_is_refused(target, hostile):
    before = target.client.rows()
    row = {"sku": ["a"], "site": [1], "at": stock.times([0]), "sold": [1]}
    many = pa.table(row).take(pa.array([0] * 65_537))
    with pytest.raises(Refused) as refused:
        hostile.push("sales", (1, stock.arrow_stream(many)))
    assert refused.value.kind in ("invalid", "resource_exhausted")
    assert "65536" in refused.value.message
    with pytest.raises(Refused) as refused:
        hostile.push("sales", (1, bytes(17 << 20)))
    assert str(16 << 20) in refused.value.message
    wide = stock.replaced("title", pa.array(["short", "x" * (1 << 20), "short"]))
    with pytest.raises(Refused) as refused:
        hostile.push("stock", (1, stock.arrow_stream(wide)))
    assert str(1 << 20) in refused.value.message and "row 2" in refused.value.message
    assert target.client.rows() == before


def test_an_upload_that_is_cut_short_cannot_be_used(target, hostile):
    before = target.client.rows()
    part = hostile.v1.UploadRequest(chunk=stock.sale(sku="lost").encode())
    with pytest.raises(Refused) as refused:
        hostile.call(hostile.store.Upload, iter([part]))
    assert refused.value.kind == "invalid" and "cut short" in refused.value.message
    source = hostile.v1.IngestFile(upload_id="nothing", name="lost.ndjson")
    with pytest.raises(Refused) as refused:
        hostile.call(hostile.store.Ingest, hostile.v1.IngestRequest(view="sales", files=[source]))
    assert refused.value.kind in ("not_found", "invalid")
    assert target.client.rows() == before


def test_a_client_that_vanishes_in_mid_upload_leaves_nothing(target, hostile):
    before, sent, vanished = target.client.rows(), threading.Event(), threading.Event()

    def parts():
        for _ in range(3):
            yield hostile.v1.UploadRequest(chunk=stock.sale(sku="lost").encode() * 1000)
        sent.set()
        vanished.wait(DEADLINE_S)

    call = hostile.store.Upload.future(parts())
    assert sent.wait(DEADLINE_S)
    call.cancel()
    vanished.set()
    assert call.cancelled()
    assert target.client.rows() == before
    target.client.verified()


def test_a_program_killed_in_mid_push_leaves_whole_batches_only(target):
    process = subprocess.Popen(
        [binary(), "--addr", target.address, "push", "sales", "--format", "json"],
        cwd=target.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    before = target.client.rows()
    for number in range(20_000):
        process.stdin.write(stock.sale(sku="pushed", sold=number).encode())
    process.stdin.write(b'{"sku": "pushed", "si')
    process.stdin.flush()
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    # What was on its way may still be written; then what is there is a beginning of what was sent.
    deadline = time.monotonic() + DEADLINE_S
    while (pushed := target.client.rows() - before) != newest(target.client, "pushed") + 1:
        assert time.monotonic() < deadline, pushed
    assert pushed <= 20_000
    target.client.verified()


def newest(client: Lineate, sku: str) -> int:
    """What the last row of a key says; of rows with equal times it is the last that was written. -1 without any."""
    feature = client.json("get", "shelf", "--entity", f"sku={sku},site=7")["entities"][0]["features"]["sales__sold"]
    return feature["value"] if feature["status"] == "present" else -1


@pytest.fixture
def writer(hostile):
    """A writer nobody used yet."""
    return hostile.call(hostile.store.OpenWriter, hostile.v1.OpenWriterRequest())


def result(acks: list) -> tuple[bool, str]:
    """Whether a batch was there before, and the kind of error in its only shard."""
    (ack,) = acks
    (shard,) = ack.shards
    return ack.duplicate, shard.error.kind if shard.HasField("error") else ""


def test_a_replay_is_acknowledged_and_not_written_twice(target, hostile, writer):
    before = target.client.rows()
    rows = stock.sale(sku="replayed")
    first = hostile.push("sales", (1, rows), writer=writer)
    again = hostile.push("sales", (1, rows), writer=writer)
    assert (result(first), result(again)) == ((False, ""), (True, ""))
    assert first[0].shards[0].commit_time_us == again[0].shards[0].commit_time_us
    assert target.client.rows() == before + 1


def test_a_sequence_with_another_payload_is_a_conflict(target, hostile, writer):
    hostile.push("sales", (1, stock.sale(sku="first")), writer=writer)
    before = target.client.rows()
    assert result(hostile.push("sales", (1, stock.sale(sku="first", sold=2)), writer=writer)) == (False, "conflict")
    assert target.client.rows() == before


def test_a_gap_beyond_the_window_is_refused(target, hostile, writer):
    hostile.push("sales", (1, stock.sale(sku="gap")), writer=writer)
    before = target.client.rows()
    with pytest.raises(Refused) as refused:
        hostile.push("sales", (5000, stock.sale(sku="gap")), writer=writer)
    assert refused.value.kind == "conflict" and "gap" in refused.value.message
    assert target.client.rows() == before


def test_an_expired_epoch_and_a_writer_never_issued_are_refused(target, hostile, writer):
    reopened = hostile.call(hostile.store.OpenWriter, hostile.v1.OpenWriterRequest(writer_id=writer.writer_id))
    assert reopened.epoch == writer.epoch + 1
    before = target.client.rows()
    strangers = [
        (writer, "conflict"),
        (hostile.v1.Writer(writer_id=writer.writer_id, epoch=99), "conflict"),
        (hostile.v1.Writer(writer_id=10**6, epoch=1), "not_found"),
    ]
    for stranger, kind in strangers:
        with pytest.raises(Refused) as refused:
            hostile.push("sales", (1, stock.sale(sku="late")), writer=stranger)
        assert refused.value.kind == kind
    assert target.client.rows() == before
    assert result(hostile.push("sales", (1, stock.sale(sku="late")), writer=reopened)) == (False, "")


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path):
    stock.prepare(Lineate(tmp_path))
    with serving(tmp_path) as server:
        rows = stock.sale(sku="kept", sold=42)
        assert server.client.json("push", "sales", stdin=rows)["rows"] == 1
        before = server.client.rows()
        server.kill()
    store = Lineate(tmp_path)
    answer = store.json("get", "shelf", "--entity", "sku=kept,site=7")
    assert answer["entities"][0]["features"]["sales__sold"]["value"] == 42
    store.verified()
    assert store.rows() == before
