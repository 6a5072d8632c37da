"""Each sentence of the point-in-time contract as a claim, held against both computations."""

import pyarrow as pa
import pytest
from worlds import World

from oracle import definitions
from oracle.definitions import InputError
from oracle.training_set import ENGINES, training_set

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def row(event, value, **more):
    return {"event": event, "value": value} | more


def at(time_us, **key):
    return {"at": time_us} | key


def test_the_row_of_the_greatest_event_time_wins_both_ends_inclusive(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1), row(20, 2)])
    assert world.values([at(9), at(10), at(19), at(20), at(21)], "event", engine) == [None, 1, 1, 2, 2]


def test_a_backfilled_row_never_leaks_into_the_past(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1, created=11), row(20, 2, created=100)])
    labels = [at(10), at(11), at(99), at(100)]
    assert world.values(labels, "known", engine) == [None, 1, 1, 2]
    assert world.values(labels, "event", engine) == [1, 1, 2, 2]


def test_a_null_created_time_counts_as_the_commit_time(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1)], commit_us=50)
    assert world.values([at(49), at(50)], "known", engine) == [None, 1]


def test_a_load_of_untold_commit_time_with_null_created_times_is_never_known(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1)])
    assert world.values([at(10**15)], "known", engine) == [None]


def test_served_shows_only_what_was_committed(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1, created=11)], commit_us=30).load([row(12, 2, created=60)], commit_us=40)
    assert world.values([at(29), at(30), at(40), at(60)], "served", engine) == [None, 1, 1, 2]


def test_served_without_created_time_asks_for_commit_only(tmp_path, engine):
    world = World(tmp_path, has_created=False).load([row(10, 1)], commit_us=30)
    assert world.values([at(29), at(30)], "served", engine) == [None, 1]
    assert world.values([at(29), at(30)], "default", engine) == [1, 1]


def test_a_snapshot_leaves_out_later_commits(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1)], commit_us=30).load([row(11, 2)], commit_us=40)
    assert world.values([at(20)], "event", engine, snapshot_us=40) == [2]
    assert world.values([at(20)], "event", engine, snapshot_us=39) == [1]
    assert world.values([at(20)], "event", engine, snapshot_us=29) == [None]


def test_ties_of_event_time_go_to_the_greater_created_time_and_null_ranks_lowest(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1, created=12), row(10, 2, created=11), row(10, 3)], commit_us=5)
    assert world.values([at(20)], "event", engine) == [1]
    # At 11 the row created at 12 is not known, and the null one, known since 5, ranks lowest.
    assert world.values([at(10), at(11)], "known", engine) == [3, 2]


def test_full_ties_go_to_the_later_commit_then_to_the_later_row(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1, created=1), row(10, 2, created=1)], commit_us=5)
    assert world.values([at(20)], "known", engine) == [2]
    world.load([row(10, 3, created=1), row(10, 4, created=1)], commit_us=6)
    assert world.values([at(20)], "known", engine) == [4]


def test_a_row_as_old_as_the_time_to_live_still_counts(tmp_path, engine):
    world = World(tmp_path, ttl="5us").load([row(10, 1)])
    assert world.values([at(15), at(16)], "event", engine) == [1, None]


def test_an_expired_winner_is_not_replaced_by_an_older_row(tmp_path, engine):
    world = World(tmp_path, ttl="5us").load([row(10, 1, created=1), row(8, 2, created=30)])
    assert world.values([at(40)], "known", engine) == [None]


def test_the_time_to_live_saturates_at_the_ends_of_time(tmp_path, engine):
    earliest = -(2**63)
    world = World(tmp_path, ttl="1d").load([row(earliest, 1), row(2**63 - 1, 2)])
    assert world.values([at(earliest), at(earliest + 5), at(2**63 - 1)], "event", engine) == [1, 1, 2]


def test_a_tombstone_ends_a_key_until_a_later_row(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1), row(20, 2, deleted=True), row(30, 3)])
    assert world.values([at(19), at(20), at(29), at(30)], "event", engine) == [1, None, None, 3]


def test_a_late_row_does_not_wake_a_dead_key(tmp_path, engine):
    world = World(tmp_path).load([row(20, 2, deleted=True)], commit_us=50).load([row(15, 1)], commit_us=60)
    assert world.values([at(16), at(70)], "event", engine) == [1, None]


def test_a_null_in_the_winning_row_stays_null(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1), row(20, None)])
    assert world.values([at(20)], "event", engine) == [None]


def test_keys_are_compared_field_by_field(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1, origin="1", dest="23"), row(10, 2, origin="12", dest="3")])
    labels = [at(10, origin="1", dest="23"), at(10, origin="12", dest="3"), at(10, origin="", dest="123")]
    assert world.values(labels, "event", engine) == [1, 2, None]


def test_a_null_key_matches_nothing(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1)])
    assert world.values([at(10, origin=None), at(10, dest=None), at(10)], "event", engine) == [None, None, 1]


def test_labels_keep_order_duplicates_columns_and_types(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1)])
    labels = [at(20), at(5), at(20), at(20, origin="??")]
    table = world.training_set(labels, "event", engine)
    assert table.column_names == ["id", "origin", "dest", "event_timestamp", "log__value", "log__share"]
    assert table.select(["id", "origin", "dest", "event_timestamp"]).equals(world.spine(labels))
    assert table["log__value"].to_pylist() == [1, None, 1, None]
    assert table.schema.field("log__value").type == pa.int64()


def test_wrong_input_says_what_would_be_right(tmp_path, engine):
    world = World(tmp_path).load([row(10, 1)])
    service = definitions.load(world.definitions, "model")
    spine = world.spine([at(1)])
    with pytest.raises(InputError, match="no column `origin`; it has id, dest"):
        training_set(service, spine.drop_columns(["origin"]), {"log": world.loads}, engine=engine)
    with pytest.raises(InputError, match="no log was given for view `log`"):
        training_set(service, spine, {}, engine=engine)
    with pytest.raises(InputError, match="already has a column `log__value`"):
        clash = spine.append_column("log__value", spine["id"])
        training_set(service, clash, {"log": world.loads}, engine=engine)
