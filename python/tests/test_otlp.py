"""Traces and metrics at a receiver that nobody here wrote the protocol of: OpenTelemetry's own messages over grpcio."""

import re
import socket
import threading
import time
import urllib.request
from concurrent import futures

import grpc
import pyarrow.flight as flight
import pytest
import stock
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from program import DEADLINE_S, Lineate, serving
from wire import Wire

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
# Nothing is sent but at the end.
LATE = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
# What a server may take to end when its collector does not answer: 5 s, and time to do its own work.
END_S = 15


class Collector:
    """Takes what is exported and keeps it. With `answers` not set, it takes it and never says so."""

    def __init__(self):
        self.spans, self.metrics, self.services = [], {}, set()
        self.answers, self.asked = threading.Event(), threading.Event()
        self.answers.set()
        self.server = grpc.server(futures.ThreadPoolExecutor(64))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(self), self.server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(self), self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def endpoint(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def named(self, name: str) -> list:
        return [span for span in self.spans if span.name == name]

    def stop(self) -> None:
        self.answers.set()
        self.server.stop(None).wait()


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector):
        self.collector = collector

    def Export(self, request, context):
        self.collector.asked.set()
        self.collector.answers.wait(DEADLINE_S)
        for resource in request.resource_spans:
            self.collector.services.add(fields(resource.resource)["service.name"])
            for scope in resource.scope_spans:
                self.collector.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector):
        self.collector = collector

    def Export(self, request, context):
        self.collector.answers.wait(DEADLINE_S)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                self.collector.metrics |= {metric.name: metric for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


def fields(of) -> dict:
    """Attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def until(condition, what: str):
    """Waits for something another process does."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@pytest.fixture
def collector():
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("otlp")
    stock.prepare(Lineate(directory))
    return directory


def put(address: str, rows) -> None:
    with flight.connect(f"grpc://{address}") as client:
        writer, reader = client.do_put(flight.FlightDescriptor.for_path("view", "stock"), rows.schema)
        with writer:
            writer.write_table(rows)
            writer.done_writing()
            while reader.read() is not None:
                pass


def test_requests_commands_and_background_work_are_spans(prepared, collector, messages):
    method = "/lineate.v1.Store/Push"
    with serving(prepared, **SOON, **collector.endpoint()) as server:
        wire = Wire(messages, server.address)
        opening = messages.PushRequest(open=messages.PushOpen(view="sales"))
        batch = messages.PushBatch(sequence=1, ndjson=stock.sale(sku="traced").encode())
        parent = (("traceparent", f"00-{TRACE}-{CALLER}-01"),)
        requests = iter([opening, messages.PushRequest(batch=batch)])
        assert len(list(wire.store.Push(requests, metadata=parent, timeout=60))) == 1
        wire.close()
        put(server.address, stock.table(9000))
        labels = server.client.write("labels.csv", "sku,site,event_timestamp\ntraced,7,2030-01-01T00:00:00Z\n")
        server.client.json("dataset", "create", "traced", "--spine", labels, "--service", "shelf")
        until(lambda: collector.named("seal"), "a span of sealing")
        push = until(lambda: collector.named(method), "a span of the push")[0]
        urllib.request.urlopen(f"http://{server.address}/health").read()
    assert collector.services == {"lineate"}

    assert push.trace_id.hex() == TRACE and push.parent_span_id.hex() == CALLER
    assert push.kind == 2 and push.end_time_unix_nano > push.start_time_unix_nano
    assert fields(push).items() >= {"method": method, "code": "Ok", "subject": "view:sales"}.items()
    commands = [span for span in collector.named("propose") if span.parent_span_id == push.span_id]
    assert len(commands) == 1 and commands[0].trace_id == push.trace_id
    command = fields(commands[0])
    assert command["group"] != "" and command["term"] > 0 and command["index"] > 0
    assert push.start_time_unix_nano <= command["commit_time_us"] * 1000 + 1_000_000

    (flown,) = collector.named("/arrow.flight.protocol.FlightService/DoPut")
    assert fields(flown)["subject"] == "view:stock"
    (created,) = collector.named("/lineate.v1.Datasets/Create")
    assert fields(created)["subject"] == "dataset:traced"
    assert sum(fields(span)["rows"] for span in collector.named("seal")) >= 1
    assert collector.named("/health")
    ours = {"propose", "seal", "compact", "/health"}
    assert {span.name for span in collector.spans if "/lineate.v1." not in span.name} <= ours | {flown.name}
    text = str(collector.spans)
    assert "traced" in text and stock.sale(sku="traced") not in text


def test_a_request_the_server_fails_is_an_error_and_one_the_caller_got_wrong_is_not(prepared, collector, messages):
    with serving(prepared, **LATE, **collector.endpoint()) as server:
        server.client.refused("get", "nothing", "--entity", "a=b", kind="not_found")
        server.stop()
    (wrong,) = collector.named("/lineate.v1.Online/GetFeatures")
    assert fields(wrong)["code"] == "NotFound" and wrong.status.code == 0


def prometheus(address: str) -> dict[str, float]:
    """Every sample of /metrics, by its name and labels as they are written."""
    text = urllib.request.urlopen(f"http://{address}/metrics").read().decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def as_prometheus(metric) -> str:
    """The family a metric would be at /metrics, by OpenTelemetry's own rules."""
    name = metric.name.replace(".", "_") + {"By": "_bytes", "s": "_seconds"}.get(metric.unit, "")
    counts = metric.HasField("sum") and metric.sum.is_monotonic
    return name + ("_total" if counts else "")


def families(samples: dict[str, float]) -> set[str]:
    names = {name.split("{")[0] for name in samples}
    return {re.sub(r"_(bucket|sum|count)$", "", name) if "duration" in name else name for name in names}


def test_the_metrics_over_otlp_are_those_of_the_page(prepared, collector):
    with serving(prepared, **LATE, **collector.endpoint()) as server:
        server.client.json("push", "sales", stdin=stock.sale(sku="counted") * 3)
        server.client.json("get", "shelf", "--entity", "sku=counted,site=7")
        samples = prometheus(server.address)
        assert not collector.metrics
        server.stop()
    exported = {as_prometheus(metric): metric for metric in collector.metrics.values()}
    assert set(exported) | {"lineate_rows_read_total"} == families(samples) | {"lineate_rows_read_total"}

    def value(name: str) -> float:
        metric = exported[name]
        (point,) = (metric.gauge if metric.HasField("gauge") else metric.sum).data_points
        return getattr(point, point.WhichOneof("value"))

    held = ["sealed_rows", "segments", "segment_bytes", "ledger_entries", "groups_led", "open_rows"]
    counted = ["rows_written_total", "entities_looked_up_total", "cache_misses_total", "cache_hits_total"]
    for name in (f"lineate_{name}" for name in held + counted):
        assert value(name) == samples[name], name
    assert value("lineate_rows_written_total") == 3 and value("lineate_requests_under_way") == 0
    assert value("lineate_disk_available_bytes") > 0 and value("lineate_disk_blobs_bytes") > 0
    requests = {fields(point)["method"]: point.as_int for point in exported["lineate_requests_total"].sum.data_points}
    durations = exported["lineate_request_duration_seconds"].histogram.data_points
    assert requests["/lineate.v1.Store/Push"] == 1
    assert {fields(point)["method"]: point.count for point in durations} == requests


def test_what_waits_is_sent_at_the_end(prepared, collector):
    with serving(prepared, **LATE, **collector.endpoint()) as server:
        for _ in range(5):
            server.client.json("get", "shelf", "--entity", "sku=a,site=7")
        assert not collector.spans
        server.stop()
    assert len(collector.named("/lineate.v1.Online/GetFeatures")) == 5


def stopped_within(server, seconds: float) -> None:
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < seconds


def test_a_collector_that_is_away_costs_nothing(prepared):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with serving(prepared, **SOON, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}") as server:
        for number in range(20):
            assert server.client.json("push", "sales", stdin=stock.sale(sku="away", sold=number))["rows"] == 1
        stopped_within(server, END_S)


def test_a_collector_that_never_answers_holds_up_nothing(prepared, collector, messages):
    collector.answers.clear()
    # A queue of a few spans, which is full at once.
    few = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    with serving(prepared, **SOON, **few, **collector.endpoint()) as server:
        wire = Wire(messages, server.address)
        slowest = 0.0
        for number in range(300):
            begun = time.monotonic()
            wire.call(wire.online.GetFeatures, lookup(messages))
            slowest = max(slowest, time.monotonic() - begun)
            if number == 0:
                assert collector.asked.wait(DEADLINE_S)
        # An export is given up after 10 s; a request that waited for one would take as long.
        assert slowest < 5
        wire.close()
        stopped_within(server, END_S)


def lookup(messages):
    column = messages.EntityColumn
    keys = messages.EntityColumns(
        columns=[
            column(name="sku", texts=column.Texts(values=["a"])),
            column(name="site", integers=column.Integers(values=[7])),
        ]
    )
    return messages.GetFeaturesRequest(service="shelf", columns=keys)


def test_a_collector_that_is_no_collector_costs_nothing(prepared):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with serving(prepared, **SOON, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as server:
            for number in range(5):
                assert server.client.json("push", "sales", stdin=stock.sale(sku="mute", sold=number))["rows"] == 1
            stopped_within(server, END_S)


def test_an_endpoint_that_is_no_address_is_refused(prepared):
    from program import environment

    run = Lineate(prepared).run("serve", env=environment(OTEL_EXPORTER_OTLP_ENDPOINT="not an address"))
    assert run.code == 2 and "telemetry" in run.stderr, run
