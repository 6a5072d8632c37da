"""Tells two tables apart, cell by cell: names and order of columns, types, order of rows, nulls, values, and the
bits of floats (a NaN equals a NaN of the same bits only, and 0.0 is not -0.0).

Dictionaries, extension types, large offsets and views count as their plain types: they are ways to store a column,
not another column.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .tables import plain

_INTEGER_OF_WIDTH = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}


@dataclass
class Difference:
    """What one column or cell should be, and is."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


@dataclass
class Comparison:
    rows: int
    columns: int
    differing_cells: dict[str, int] = field(default_factory=dict)
    """Cells that differ, by column."""
    differences: list[Difference] = field(default_factory=list)
    """The first of them, and every difference of shape."""

    @property
    def equal(self) -> bool:
        return not self.differences


def compare(expected: pa.Table, found: pa.Table, most: int = 10) -> Comparison:
    """Compares two tables; of each differing column at most `most` cells are told."""
    result = Comparison(expected.num_rows, expected.num_columns)
    tell = result.differences.append
    if expected.column_names != found.column_names:
        tell(Difference("columns", ", ".join(expected.column_names), ", ".join(found.column_names)))
        return result
    if expected.num_rows != found.num_rows:
        tell(Difference("rows", str(expected.num_rows), str(found.num_rows)))
        return result
    for name in expected.column_names:
        left, right = _one(plain(expected[name])), _one(plain(found[name]))
        if not same_type(left.type, right.type):
            tell(Difference(f"type of `{name}`", str(left.type), str(right.type)))
            continue
        different = np.flatnonzero(~equal_cells(left, right))
        if len(different):
            result.differing_cells[name] = len(different)
        for row in different[:most]:
            tell(Difference(f"row {row} of `{name}`", shown(left[int(row)]), shown(right[int(row)])))
    return result


def same_type(left: pa.DataType, right: pa.DataType) -> bool:
    """Whether values of both mean the same; names of list items and nullability inside do not count."""
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right):
        utc = ("UTC", "+00:00", "Etc/UTC")
        same_zone = left.tz == right.tz or (left.tz in utc and right.tz in utc)
        return same_zone and left.unit == right.unit
    if _is_list(left) and _is_list(right):
        sizes = [data_type.list_size if pa.types.is_fixed_size_list(data_type) else None for data_type in (left, right)]
        return sizes[0] == sizes[1] and same_type(left.value_type, right.value_type)
    if pa.types.is_map(left) and pa.types.is_map(right):
        return same_type(left.key_type, right.key_type) and same_type(left.item_type, right.item_type)
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        names = [[left.field(i).name for i in range(left.num_fields)], [right.field(i).name for i in range(right.num_fields)]]
        return names[0] == names[1] and all(
            same_type(left.field(i).type, right.field(i).type) for i in range(left.num_fields)
        )
    return left == right


def equal_cells(left: pa.Array, right: pa.Array) -> np.ndarray:
    """For each row whether both cells are null, or neither is and their values are the same bits."""
    left_valid, right_valid = _valid(left), _valid(right)
    equal = left_valid == right_valid
    both = np.flatnonzero(left_valid & right_valid)
    if len(both):
        rows = pa.array(both)
        equal[both] = _equal_values(left.take(rows), right.take(rows))
    return equal


def _equal_values(left: pa.Array, right: pa.Array) -> np.ndarray:
    """The same for arrays without nulls at this level."""
    data_type = left.type
    if pa.types.is_floating(data_type) or pa.types.is_temporal(data_type):
        integer = _INTEGER_OF_WIDTH[data_type.bit_width]
        return _numpy(pc.equal(left.view(integer), right.view(integer)))
    if pa.types.is_struct(data_type):
        equal = np.ones(len(left), bool)
        for index in range(data_type.num_fields):
            equal &= equal_cells(left.field(index), right.field(index))
        return equal
    if pa.types.is_map(data_type):
        return _equal_values(_entries(left), _entries(right))
    if _is_list(data_type):
        return _equal_lists(left, right)
    if pa.types.is_null(data_type):
        return np.ones(len(left), bool)
    return _numpy(pc.equal(left, right))


def _equal_lists(left: pa.Array, right: pa.Array) -> np.ndarray:
    lengths = _numpy(pc.list_value_length(left)).astype(np.int64)
    equal = lengths == _numpy(pc.list_value_length(right))
    same_length = np.flatnonzero(equal)
    rows = pa.array(same_length)
    items_equal = equal_cells(left.take(rows).flatten(), right.take(rows).flatten())
    list_of_item = np.repeat(same_length, lengths[same_length])
    equal[list_of_item[~items_equal]] = False
    return equal


def _entries(array: pa.MapArray) -> pa.Array:
    """A map without nulls as a list of its entries, in their order."""
    start, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
    entries = pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"]).slice(start, end - start)
    return pa.ListArray.from_arrays(pc.subtract(array.offsets, array.offsets[0]), entries)


def _is_list(data_type: pa.DataType) -> bool:
    return pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type)


def _valid(array: pa.Array) -> np.ndarray:
    return _numpy(array.is_valid())


def _numpy(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def shown(cell: pa.Scalar) -> str:
    """A cell as text, floats with their bits."""
    if not cell.is_valid:
        return "null"
    if pa.types.is_floating(cell.type):
        width = cell.type.bit_width
        bits = pa.array([cell.as_py()], cell.type).view(_INTEGER_OF_WIDTH[width])[0].as_py() % 2**width
        return f"{cell.as_py()!r} (0x{bits:0{width // 4}x})"
    return repr(cell.as_py())
