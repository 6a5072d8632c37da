"""The oracle on the flights of 2013: both computations, both modes, and the command that compares."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from oracle import __main__ as command
from oracle import definitions
from oracle.compare import compare
from oracle.tables import Load
from oracle.training_set import training_set

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LINEATE_FLIGHTS", ROOT / "../shared/data/nycflights13"))
DEFINITIONS = ROOT / "examples/flights/flights.yaml"
VIEWS = ("weather", "aircraft_log", "route_log", "carrier_log")

if not (DATA / "labels.parquet").exists():
    pytest.skip("skip[flights-data]: no labels.parquet in LINEATE_FLIGHTS", allow_module_level=True)


def files() -> dict[str, Path]:
    """The log of each view; the file of `weather` is a log by name too."""
    return {view: DATA / f"{view.removesuffix('_log')}_log.parquet" for view in VIEWS}


def loads() -> dict[str, list[Load]]:
    return {view: [Load((path,))] for view, path in files().items()}


def arguments(spine: Path, mode: str) -> list[str]:
    words = ["--definitions", str(DEFINITIONS), "--service", "delay_model", "--spine", str(spine), "--mode", mode]
    for view, path in files().items():
        words += ["--log", f"{view}={path}"]
    return words


@pytest.fixture(scope="module")
def whole() -> dict[str, pa.Table]:
    """The training set of all labels, by mode."""
    service = definitions.load(DEFINITIONS, "delay_model")
    labels = pq.read_table(DATA / "labels.parquet")
    return {mode: training_set(service, labels, loads(), mode) for mode in ("known", "event")}


@pytest.mark.parametrize("mode", ["known", "event"])
def test_both_computations_agree_on_a_sample(whole, mode):
    labels = pq.read_table(DATA / "labels.parquet")
    rows = pa.array(range(0, labels.num_rows, 1_500))
    service = definitions.load(DEFINITIONS, "delay_model")
    brute = training_set(service, labels.take(rows), loads(), mode, engine="brute")
    result = compare(brute, whole[mode].take(rows))
    assert result.equal, result.differences


def test_every_label_is_kept_and_modes_differ(whole):
    labels = pq.read_table(DATA / "labels.parquet")
    for table in whole.values():
        assert table.select(labels.column_names).equals(labels)
    columns = [name for name in whole["known"].column_names if "__" in name]
    assert len(columns) == 30
    nulls = {mode: sum(table[name].null_count for name in columns) for mode, table in whole.items()}
    assert nulls["event"] < nulls["known"]
    result = compare(whole["event"], whole["known"], most=1)
    assert set(result.differing_cells) >= {"weather__temp", "aircraft_log__last_origin", "carrier_log__late_share"}


def test_the_command_accepts_what_is_right_and_finds_one_wrong_cell(whole, tmp_path, capsys):
    right, wrong = tmp_path / "right.parquet", tmp_path / "wrong.parquet"
    pq.write_table(whole["known"], right)
    spine = DATA / "labels.parquet"
    assert command.main(["compare", *arguments(spine, "known"), "--output-from-lineate", str(right)]) == 0
    assert "equal: 336776 rows x 37 columns" in capsys.readouterr().out

    position = whole["known"].column_names.index("weather__temp")
    temp = whole["known"]["weather__temp"]
    mask = pc.equal(pa.array(range(len(temp))), 200_000)
    bent = whole["known"].set_column(position, "weather__temp", pc.if_else(mask, 451.0, temp))
    pq.write_table(bent, wrong)
    assert command.main(["compare", *arguments(spine, "known"), "--output-from-lineate", str(wrong)]) == 1
    out = capsys.readouterr().out
    assert "different: row 200000 of `weather__temp`" in out
    assert "`weather__temp` in 1 of 336776 rows" in out
    assert command.main(["compare", *arguments(spine, "event"), "--output-from-lineate", str(right)]) == 1
