"""The README's five-minute tour, run as it is written, so that it can never rot."""

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass

import pyarrow.parquet as pq
import pytest
from program import DEADLINE_S, ROOT, binary, environment

README = (ROOT / "README.md").read_text()
TOUR = README.partition("## A five-minute tour")[2].partition("\n## ")[0]
PORT = "7401"
MARK = "@@ "


@dataclass
class Block:
    """A fenced block of the tour, and its language."""

    language: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", TOUR, flags=re.M | re.S)]


def commands() -> list[str]:
    """The commands of the console blocks, each with its here-document."""
    found: list[str] = []
    for block in BLOCKS:
        if block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    found.append(line[2:])
                else:
                    found[-1] += "\n" + line
    return found


def script(port: int) -> str:
    """The tour for bash: another port, and a wait for the server it starts."""
    lines = ["set -e"]
    for number, command in enumerate(commands()):
        if command.startswith("lineate serve"):
            command = command.replace("--data-dir store", f"--data-dir store --listen 127.0.0.1:{port}")
            command = command.partition("#")[0] + "\nSERVER=$!\nuntil lineate cluster status > status.txt; do :; done"
        lines += [f"echo '{MARK}{number}'", command.replace(PORT, str(port))]
    python = next(block.text for block in BLOCKS if block.language == "python").replace(PORT, str(port))
    lines += [f"echo '{MARK}python'", f"{sys.executable} - <<'PYTHON'\n{python}print(table.to_pylist())\nPYTHON"]
    return "\n".join([*lines, "kill $SERVER", "wait $SERVER"])


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """What each command of the tour printed."""
    directory = tmp_path_factory.mktemp("tour")
    yaml = next(block.text for block in BLOCKS if block.language == "yaml")
    (directory / "weather.yaml").write_text(yaml)
    bin_directory = directory / "bin"
    bin_directory.mkdir()
    (bin_directory / "lineate").symlink_to(binary())
    if not shutil.which("curl"):
        ask = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[-1]).read().decode())"
        (bin_directory / "curl").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{ask}' \"$@\"\n")
        (bin_directory / "curl").chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    search = os.pathsep.join([str(bin_directory), os.environ["PATH"]])
    variables = environment(PATH=search, LINEATE_ADDR=f"127.0.0.1:{port}", GIT_DIR=str(ROOT / ".git"))
    ended = subprocess.run(
        ["bash", "-c", script(port)], cwd=directory, env=variables, capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()
    parts = re.split(rf"^{MARK}(\w+)\n", ended.stdout.decode(), flags=re.M)
    return directory, dict(zip(parts[1::2], parts[2::2], strict=True))


def printed(tour, start: str) -> str:
    """What the command that begins so printed."""
    numbers = [number for number, command in enumerate(commands()) if command.startswith(start)]
    assert len(numbers) == 1, f"{start}: {numbers}"
    return tour[1][str(numbers[0])]


def test_the_tour_runs_from_its_first_line_to_its_last(tour):
    assert len(commands()) >= 14
    assert list(tour[1]) == [*map(str, range(len(commands()))), "python"]
    assert "verified" in printed(tour, "lineate --data-dir store verify")
    assert printed(tour, "curl").startswith("# ")
    assert "weather.ndjson" in printed(tour, "lineate --data-dir store trace model:delay")
    assert "model:flights/delay@v1" in printed(tour, "lineate --data-dir store trace --file weather.ndjson")
    assert "erased" in printed(tour, "lineate --data-dir store erase")


def test_at_noon_nobody_knew_the_correction_of_the_next_day(tour):
    noon = printed(tour, "lineate --data-dir store get delay_model")
    line = next(line for line in noon.splitlines() if "weather__temp" in line and "dest_" not in line)
    assert line.split()[:3] == ["weather__temp", "21.5", "present"], noon
    assert "99.0" not in noon


def test_each_label_gets_what_was_known_at_its_time(tour):
    rows = pq.read_table(tour[0] / "delays.parquet")
    assert rows["weather__temp"].to_pylist() == [20.5, 21.5]
    assert rows["dest_weather__temp"].to_pylist() == [None, 19.0]
    assert rows["late"].to_pylist() == [1, 0]


def test_the_table_pulled_over_flight_is_the_file(tour):
    told = pq.read_table(tour[0] / "delays.parquet").to_pylist()
    assert tour[1]["python"].strip() == str(told)


def test_the_two_commands_before_the_tour_are_there():
    before = README.partition("## A five-minute tour")[0]
    lines = [line[2:].partition("#")[0].split() for line in before.splitlines() if line.startswith("$ ")]
    assert ["cargo", "xtask", "ci"] in lines
    demo = next(words for words in lines if words[1] == "run")
    assert demo[-1] == "demo" and "--locked" in demo
    help_text = subprocess.run([binary(), "--help"], capture_output=True, check=True, env=environment()).stdout.decode()
    for command in {command.split()[1] for command in commands() if command.startswith("lineate ")} - {"--data-dir"}:
        assert f"\n  {command} " in help_text
