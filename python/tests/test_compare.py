"""The comparison finds what is different and nothing else."""

import pyarrow as pa
import pytest
from worlds import nan

from oracle.compare import compare

DOUBLES = pa.array([1.5, None, nan(0x7FF8000000000000), -0.0], pa.float64())
NESTED = pa.array([[1.0, None], None, [], [0.0]], pa.list_(pa.float64()))


def different(expected: pa.Array, found: pa.Array) -> list[str]:
    result = compare(pa.table({"x": expected}), pa.table({"x": found}))
    return [difference.where for difference in result.differences]


SAME = [
    DOUBLES,
    NESTED,
    pa.array([b"a", None], pa.binary()),
    pa.array([[("k", 1), ("l", None)], None, []], pa.map_(pa.string(), pa.int64())),
    pa.array([{"a": 1.0, "b": [None]}, None], pa.struct([("a", pa.float32()), ("b", pa.list_(pa.string()))])),
    pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
    pa.array([1, None], pa.int64()).cast(pa.timestamp("us", "UTC")),
    pa.array([1, None], pa.int32()).cast(pa.date32()),
    pa.array(["1.23", None]).cast(pa.decimal128(10, 2)),
    pa.nulls(2),
]


@pytest.mark.parametrize("array", SAME, ids=lambda array: str(array.type))
def test_a_column_equals_itself_also_when_sliced(array):
    assert different(array, array) == []
    padded = pa.concat_arrays([array[-1:], array])[1:]
    assert different(array, padded) == []


@pytest.mark.parametrize(
    ("found", "row"),
    [
        (pa.array([1.5, 0.0, nan(0x7FF8000000000000), -0.0]), 1),
        (pa.array([1.5, None, nan(0x7FF8000000000001), -0.0]), 2),
        (pa.array([1.5, None, nan(0x7FF8000000000000), 0.0]), 3),
        (pa.array([None, None, nan(0x7FF8000000000000), -0.0]), 0),
    ],
)
def test_one_bit_of_a_double_is_a_difference(found, row):
    assert different(DOUBLES, found) == [f"row {row} of `x`"]


@pytest.mark.parametrize(
    ("found", "row"),
    [
        ([[1.0, 0.0], None, [], [0.0]], 0),
        ([[1.0], None, [], [0.0]], 0),
        ([[1.0, None], [], [], [0.0]], 1),
        ([[1.0, None], None, [], [-0.0]], 3),
    ],
)
def test_a_nested_cell_is_compared_to_the_bits(found, row):
    assert different(NESTED, pa.array(found, NESTED.type)) == [f"row {row} of `x`"]


def test_the_order_of_map_entries_counts():
    data_type = pa.map_(pa.string(), pa.int64())
    found = pa.array([[("l", 2), ("k", 1)]], data_type)
    assert different(pa.array([[("k", 1), ("l", 2)]], data_type), found) == ["row 0 of `x`"]


def test_types_are_told_apart_and_storage_is_not():
    assert different(pa.array([1], pa.int64()), pa.array([1.0])) == ["type of `x`"]
    assert different(pa.array([1], pa.int64()), pa.array([1], pa.int32())) == ["type of `x`"]
    naive, utc = pa.array([1]).cast(pa.timestamp("us")), pa.array([1]).cast(pa.timestamp("us", "UTC"))
    assert different(utc, naive) == ["type of `x`"]
    assert different(utc, pa.array([1]).cast(pa.timestamp("us", "+00:00"))) == []
    assert different(pa.array(["a", None]), pa.array(["a", None]).dictionary_encode()) == []
    assert different(pa.array(["a"]), pa.array(["a"], pa.large_string())) == []


def test_shape_is_compared_first():
    left = pa.table({"a": [1, 2], "b": [3, 4]})
    assert [d.where for d in compare(left, left.select(["b", "a"])).differences] == ["columns"]
    assert [d.where for d in compare(left, left.slice(1)).differences] == ["rows"]
    assert [d.where for d in compare(left, left.take([1, 0])).differences][:1] == ["row 0 of `a`"]


def test_the_first_differences_are_told_and_all_are_counted():
    result = compare(pa.table({"x": list(range(100))}), pa.table({"x": [-1] * 100}), most=3)
    assert len(result.differences) == 3
    assert result.differing_cells == {"x": 100}
