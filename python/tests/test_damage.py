"""What `verify` says of damage: one error for the history, another for the stored output, a third for the spine."""

import json
from pathlib import Path

import pytest
import stock
from program import Lineate, Run, copied

LABELS = [{"n": n, "sku": f"sku{n % 3}", "site": 7, "event_timestamp": "2013-06-03T00:00:00Z"} for n in range(200)]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A directory with a store that holds a training set, and the set as it was told."""
    store = Lineate(tmp_path_factory.mktemp("pristine"))
    stock.prepare(store)
    store.write("labels.ndjson", "".join(json.dumps(label) + "\n" for label in LABELS))
    made = store.json("dataset", "create", "labels", "--spine", "labels.ndjson", "--service", "shelf")
    return store.directory, made


@pytest.fixture
def damaged(pristine, tmp_path):
    """A copy of the store, and the training set."""
    directory, made = pristine
    copied(directory / "store", tmp_path / "store")
    return Lineate(tmp_path), made


def blob(store: Lineate, content_hash: str) -> Path:
    name = content_hash.removeprefix("b3:")
    return store.directory / "store/blobs" / name[:2] / name


def history(store: Lineate, made: dict) -> list[Path]:
    """The files of the history, segments and their key indexes: every blob that is neither output nor spine."""
    files = [path for path in (store.directory / "store/blobs").rglob("*") if path.is_file()]
    output = {blob(store, file["hash"]) for file in made["files"]} | {blob(store, made["spine_hash"])}
    return sorted(path for path in files if path not in output)


def segments(store: Lineate, made: dict) -> list[Path]:
    """The segments of the history."""
    return [path for path in history(store, made) if path.read_bytes()[:4] == b"PAR1"]


def flip(path: Path, at: int) -> bytes:
    """Flips a byte, and gives the content from before."""
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
    return content


def verify(store: Lineate, *words: str) -> tuple[int, str]:
    """The exit code, and all that is said: findings of a report, or an error."""
    run = store.run(*words, "--format", "json")
    if run.stdout:
        report = json.loads(run.stdout)
        assert report["verified"] == (run.code == 0)
        return run.code, json.dumps(report["findings"])
    return run.code, json.dumps(last_line(run))


def last_line(run: Run) -> dict:
    """The error of a run, whatever was logged before it."""
    return json.loads(run.stderr.splitlines()[-1])["error"]


def test_a_flipped_byte_is_told_by_what_it_is_in_and_restoring_it_heals(damaged):
    store, made = damaged
    parts = segments(store, made)
    assert parts
    places = {
        "segment": parts[0],
        "output": blob(store, made["files"][0]["hash"]),
        "spine": blob(store, made["spine_hash"]),
    }
    told = {}
    for what, path in places.items():
        before = flip(path, len(path.read_bytes()) // 2)
        code, told[what] = verify(store, "dataset", "verify", "labels")
        assert code == 1, what
        assert path.name in told[what], (what, told[what])
        assert "corrupt" in told[what], (what, told[what])
        whole_code, whole = verify(store, "verify")
        assert whole_code == 1 and path.name in whole, (what, whole)
        path.write_bytes(before)
        assert verify(store, "dataset", "verify", "labels")[0] == 0, what
    forms = {what: text.replace(places[what].name, "HASH") for what, text in told.items()}
    assert len(set(forms.values())) == 3, forms
    store.verified()


def test_any_flipped_byte_of_a_segment_is_found(damaged):
    store, made = damaged
    path = segments(store, made)[0]
    size = len(path.read_bytes())
    for at in (0, 3, 4, size // 4, size // 3, size // 2, size - size // 8, size - 9, size - 5, size - 1):
        before = flip(path, at)
        code, told = verify(store, "verify")
        assert code == 1 and path.name in told, (at, told)
        path.write_bytes(before)


def test_the_join_does_not_read_the_stored_output(damaged):
    """With the output gone the history still proves every column; only the missing file is told."""
    store, made = damaged
    blob(store, made["files"][0]["hash"]).unlink()
    code, told = verify(store, "dataset", "verify", "labels")
    assert code == 1 and made["files"][0]["hash"].removeprefix("b3:") in told, told
    assert "column" not in told, told


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_segment_cut_short_or_missing_is_told(damaged, length):
    store, made = damaged
    path = segments(store, made)[0]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:length])
    code, told = verify(store, "dataset", "verify", "labels")
    assert code == 1 and path.name in told, told
    path.unlink()
    code, told = verify(store, "verify")
    assert code == 1 and path.name in told, told


def test_a_damaged_history_never_gives_a_wrong_answer(damaged):
    store, made = damaged
    for path in history(store, made):
        for at in range(4, len(path.read_bytes()), max(1, len(path.read_bytes()) // 6)):
            before = flip(path, at)
            run = store.run("get", "shelf", "--entity", "sku=sku0,site=7", "--format", "json")
            if run.code == 0:
                value = run.document()["entities"][0]["features"]["stock__views"]
                assert value["value"] == 2**53 + 1, at
            else:
                assert last_line(run)["kind"] == "corrupt", (at, run)
            path.write_bytes(before)
