"""Definitions are read as the product reads them."""

from pathlib import Path

import pyarrow as pa
import pytest

from oracle import definitions
from oracle.definitions import InputError, arrow_type, duration_us

FLIGHTS = Path(__file__).parents[2] / "examples/flights/flights.yaml"


def test_durations_are_whole_microseconds():
    assert duration_us("1d12h") == 129_600_000_000
    assert duration_us("500us") == 500
    assert duration_us("1m1ms") == 60_001_000
    for wrong in ("", "3", "h3", "3 h", "-1h"):
        with pytest.raises(InputError):
            duration_us(wrong)


def test_types_nest():
    assert arrow_type("map<string, list<struct<a:int64,b:decimal(38,9)>>>") == pa.map_(
        pa.string(), pa.list_(pa.struct([("a", pa.int64()), ("b", pa.decimal128(38, 9))]))
    )
    assert arrow_type("vector<float32,3>").list_size == 3
    for wrong in ("int", "list<int64", "int64>", "map<int64,string>"):
        with pytest.raises(InputError):
            arrow_type(wrong)


def test_a_view_can_be_used_twice_under_other_keys():
    service = definitions.load(FLIGHTS, "delay_model")
    assert list(service.uses) == ["weather", "dest_weather", "aircraft_log", "route_log", "carrier_log"]
    assert service.uses["weather"].spine_keys == ("origin",)
    assert service.uses["dest_weather"].spine_keys == ("dest",)
    assert service.uses["route_log"].spine_keys == ("origin", "dest")
    assert [alias for alias, _ in service.outputs].count("dest_weather") == 9
    assert service.uses["weather"].view.ttl_us == 3 * 3_600_000_000
    assert service.uses["carrier_log"].view.ttl_us is None


def test_unknown_names_are_told_with_those_that_exist():
    with pytest.raises(InputError, match="no service `x`; there are delay_model"):
        definitions.load(FLIGHTS, "x")
