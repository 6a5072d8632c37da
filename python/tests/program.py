"""The real binary as a stranger runs it: a process per command, JSON in and out, a server on a loopback port."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = {"invalid", "not_found", "already_exists", "conflict", "not_leader", "unavailable", "resource_exhausted"}
KINDS |= {"unauthenticated", "permission_denied", "corrupt", "internal"}
FOREIGN = ("LINEATE_", "OTEL_", "RUST_")
DEADLINE_S = 120
# The panics of readers on hostile bytes are caught in silence; any that is heard is a bug.
PANIC = re.compile(r"panicked at")


def binary() -> Path:
    """The program: `LINEATE_BIN`, or what `cargo build` left."""
    default = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/lineate"
    program = Path(os.environ.get("LINEATE_BIN", default))
    assert program.exists(), f"there is no {program}; run `cargo build -p lineate`, or name one in LINEATE_BIN"
    return program.resolve()


def environment(**more: str) -> dict[str, str]:
    """The environment of a process, without what would send its commands or its traces elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | more


@dataclass
class Run:
    """What a run of the program gave."""

    words: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def document(self) -> dict:
        """The one JSON document of a run that succeeded."""
        assert self.code == 0, f"{self.words} ended with {self.code}: {self.stderr}"
        return json.loads(self.stdout)

    def error(self) -> dict:
        """The error of a run that failed: one JSON document on standard error, nothing on standard output."""
        assert self.code in (1, 2), f"{self.words} ended with {self.code}: {self.stdout} {self.stderr}"
        assert self.stdout == "", f"{self.words}: {self.stdout}"
        document = json.loads(self.stderr)
        assert set(document) == {"error"}
        assert set(document["error"]) == {"kind", "message", "details"}
        assert document["error"]["kind"] in KINDS
        return document["error"]


@dataclass
class Lineate:
    """The program in a directory, with the words that say which store is meant."""

    directory: Path
    target: tuple[str, ...] = ("--data-dir", "store")

    def run(self, *words: str | Path, stdin: str | bytes = b"", env: dict[str, str] | None = None) -> Run:
        """Runs a command as it is written."""
        line = tuple(str(word) for word in (*self.target, *words))
        given = stdin.encode() if isinstance(stdin, str) else stdin
        ended = subprocess.run(
            [binary(), *line],
            cwd=self.directory,
            input=given,
            capture_output=True,
            env=env or environment(),
            timeout=DEADLINE_S,
            check=False,
        )
        return Run(line, ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def json(self, *words: str | Path, stdin: str | bytes = b"") -> dict:
        """Runs a command that must succeed, and gives its document."""
        return self.run(*words, "--format", "json", stdin=stdin).document()

    def refused(self, *words: str | Path, stdin: str | bytes = b"", kind: str = "invalid") -> str:
        """Runs a command that must fail with this kind of error, and gives its message."""
        run = self.run(*words, "--format", "json", stdin=stdin)
        error = run.error()
        assert run.code == 1, run
        assert error["kind"] == kind, error
        return error["message"]

    def rows(self) -> int:
        """The rows of the store, sealed and open."""
        status = self.json("cluster", "status")
        return status["sealed_rows"] + status["open_rows"]

    def verified(self) -> None:
        """Re-hashes and re-proves the whole store."""
        report = self.json("verify")
        assert report["verified"] and report["findings"] == [], report

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes a file beside the store."""
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen
    directory: Path
    address: str
    ended: bool = False

    @property
    def client(self) -> Lineate:
        """The program, asking this server."""
        return Lineate(self.directory, ("--addr", self.address))

    def stop(self) -> None:
        """Asks it to finish what is under way and to end."""
        self.ended = True
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_S) == 0, (self.directory / "server.log").read_text()


    def kill(self) -> None:
        """Ends it as a power cut of the process would."""
        self.ended = True
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(directory: Path, data_dir: str = "store", **variables: str) -> Iterator[Server]:
    """Serves a store on a port of its own. On leaving it must end well, unless it was ended before."""
    words = ["serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0", "--format", "json"]
    log = directory / "server.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [binary(), *words],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(**variables),
        )
    try:
        server = Server(process, directory, _started(process, log)["address"])
        yield server
        if not server.ended:
            server.stop()
        assert not PANIC.search(log.read_text()), log.read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _started(process: subprocess.Popen, log: Path) -> dict:
    """The document a server prints once it listens."""
    text = ""
    for line in process.stdout:
        text += line.decode()
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text)
    raise AssertionError(f"the server did not start: {text} {log.read_text()}")


def copied(store: Path, to: Path) -> Path:
    """A copy of a store nobody has open."""
    return Path(shutil.copytree(store, to))
