"""The examples of docs/subscribe.md, run as printed against a real station."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.test_client import running

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CORE_NODES = {"tab", "inject", "exec", "delay", "split", "json", "switch", "change", "trigger", "debug"}


@contextmanager
def started(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def test_the_client_of_the_document_works_as_printed(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "subscribe.md").read_text()
    found = re.search(r"```python\n(from station.client.*?)```", text, re.DOTALL)
    assert found
    code = found[1]
    for place, name in (("tcp://127.0.0.1:5560", "events"), ("tcp://127.0.0.1:5561", "replay")):
        assert place in code
        code = code.replace(place, f"ipc://{tmp_path}/{name}")
    with running(tmp_path), started(sys.executable, "-u", "-c", code) as consumer:
        lines = [line.split() for line in read(consumer, 30) if "top" in line]
    assert [int(line[0]) for line in lines] == sorted({int(line[0]) for line in lines})
    assert {line[3] for line in lines} <= {"accept", "reject", "invalid"}
    assert len(lines) > 20


def test_the_c_program_passes_rejects_and_rejects_at_silence(tmp_path: Path) -> None:
    if shutil.which("gcc") is None or not Path("/usr/include/zmq.h").exists():
        pytest.skip("gcc or libzmq's header is missing: sh tests/subscribe-install.sh")
    program = tmp_path / "subscribe"
    words = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", program, EXAMPLES / "subscribe.c", "-lzmq"]
    subprocess.run(words, check=True)
    with running(tmp_path, rate=50) as station, started(program, f"ipc://{tmp_path}/events", "1000") as gate:
        lines = read(gate, 40)
        station.kill()
        while (line := read(gate, 1)[0]) != "reject silence":
            assert line
    assert {"pass", "reject"} >= {line.split()[0] for line in lines}
    numbers = [int(line.split()[2]) for line in lines if line.split()[1] == "top"]
    assert len(numbers) > 30
    assert numbers == sorted(numbers)


def test_the_node_red_flow_is_whole_and_of_core_nodes() -> None:
    flow = json.loads((EXAMPLES / "node-red-flow.json").read_text())
    ids = {node["id"] for node in flow}
    assert len(ids) == len(flow)
    assert {node["type"] for node in flow} <= CORE_NODES
    for node in flow:
        assert {target for port in node.get("wires", []) for target in port} <= ids
        assert node.get("z", "station") == "station"
    by_name = {node["id"]: node for node in flow}
    assert by_name["listen"]["command"].startswith("station watch --json")
    assert by_name["silence"]["op2"] == "reject"
    assert by_name["silence"]["extend"] is True
