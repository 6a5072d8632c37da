"""Directories that cannot be used: taken, from a newer release, or no store at all."""

import re

import stock
from program import Lineate, serving


def test_a_second_process_is_told_who_holds_the_directory(place):
    stock.prepare(place)
    before = stock.seen(place)
    with serving(place.directory) as server:
        message = place.refused("dataset", "list", kind="unavailable")
        assert "store" in message and str(server.process.pid) in message, message
        assert "--addr" in message, message
        assert stock.seen(server.client) == before
    assert stock.seen(place) == before


def test_a_second_process_is_told_the_address_of_the_server(place):
    stock.prepare(place)
    with serving(place.directory) as server:
        assert f"--addr {server.address}" in place.refused("dataset", "list", kind="unavailable")


def test_a_directory_from_a_newer_version_is_refused_and_untouched(place):
    stock.prepare(place)
    before = stock.seen(place)
    format_file = place.directory / "store/FORMAT"
    text = format_file.read_text()
    newer = re.sub(r"^format \d+$", "format 99", text, flags=re.M)
    assert newer != text
    format_file.write_text(newer)
    message = place.refused("verify")
    assert "99" in message and "format" in message and "store" in message, message
    run = place.run("serve", "--listen", "127.0.0.1:0", "--format", "json")
    assert run.code == 1 and "format" in run.error()["message"], run
    assert format_file.read_text() == newer
    format_file.write_text(text)
    assert stock.seen(place) == before
    place.verified()


def test_a_format_file_that_says_nothing_known_is_refused(place):
    stock.prepare(place)
    format_file = place.directory / "store/FORMAT"
    text = format_file.read_text()
    for wrong in ("", "something else\n", text.replace("shards 2", "shards 3000"), text[: len(text) // 2]):
        format_file.write_text(wrong)
        run = place.run("verify", "--format", "json")
        assert run.code == 1 and "FORMAT" in run.error()["message"], (wrong, run)
    format_file.write_text(text)
    place.verified()


def test_a_directory_that_is_no_store_is_not_made_one(place):
    (place.directory / "store").mkdir()
    notes = place.write("store/notes.txt", "mine")
    run = place.run("dataset", "list", "--format", "json")
    assert run.code == 1 and "store" in run.error()["message"], run
    assert {path.name for path in (place.directory / "store").iterdir()} <= {"LOCK", "notes.txt"}
    assert notes.read_text() == "mine"


def test_a_path_that_is_a_file_is_refused(place):
    place.write("store", "mine")
    assert place.run("dataset", "list", "--format", "json").error()["message"]


def test_a_store_is_made_once_with_its_number_of_shards(place):
    assert place.json("init", "--shards", "3")["created"]
    run = place.run("init", "--shards", "4", "--format", "json")
    assert run.code == 2 and "3 shards" in run.error()["message"], run
    assert place.json("cluster", "status")["shards"] == 3


def test_a_damaged_log_is_told_and_left_as_it_is(tmp_path):
    store = Lineate(tmp_path)
    stock.prepare(store)
    log = next((tmp_path / "store/log").iterdir())
    content = bytearray(log.read_bytes())
    content[40:60] = bytes(20)
    log.write_bytes(bytes(content))
    run = store.run("verify", "--format", "json")
    assert run.code == 1, run
    assert run.error()["kind"] == "corrupt", run
    assert log.read_bytes() == bytes(content)
