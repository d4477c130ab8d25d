"""The command as people and systemd use it: real processes, sockets, signals and exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from calibration import Binding, CalibrationStore
from tests.system.lines import listening
from tests.tiny import CARD, write_model

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "station"]


def environment(**variables: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("STATION__", "NOTIFY"))}
    return plain | {"COLUMNS": "200"} | variables


def station(*words: str | Path, code: int = 0, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and insist on its exit code."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=cwd,
        env=environment(**variables),
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def own_ports(folder: Path) -> dict[str, str]:
    return {
        "STATION__PUBLISH__ENDPOINT": f"ipc://{folder}/events",
        "STATION__METRICS__PORT": "0",
        "STATION__CONTROL__ENDPOINT": f"ipc://{folder}/control",
        "STATION__JOURNAL__FOLDER": f"{folder}/journal",
        "STATION__JOURNAL__ENDPOINT": f"ipc://{folder}/replay",
        "RUNTIME_DIRECTORY": str(folder),
    }


@contextmanager
def running(folder: Path, *words: str, ready: bool = True, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start `station run`, wait for READY in its log, and make sure that it is gone afterwards."""
    process = subprocess.Popen(
        [*COMMAND, "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(**own_ports(folder), **variables),
    )
    assert process.stderr is not None
    try:
        while ready and "READY" not in (line := process.stderr.readline()):
            assert line, "the station ended before it was ready"
        yield process
    finally:
        process.kill()
        process.communicate()


def ledger_of(output: str) -> dict[str, object]:
    ledger: dict[str, object] = json.loads(output.splitlines()[-1])
    return ledger


def test_run_ends_after_so_many_frames_with_the_ledger_as_last_line(tmp_path: Path) -> None:
    done = station("run", "--max-frames", "25", **own_ports(tmp_path), STATION__STATION__BUDGET_MS="500")
    ledger = ledger_of(done.stdout)
    assert ledger["announced"] == 25
    assert ledger["inspected"] == 25
    assert ledger["invalid"] == {}
    assert "READY" in done.stderr


FLOOD = {
    "STATION__CAMERA": '[{"name":"top","type":"simulated","rate_hz":0,"defects_per_frame":3}]',
}


def test_sigterm_under_full_load_drains_and_exits_0(tmp_path: Path) -> None:
    with running(tmp_path, **FLOOD) as process:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    ledger = ledger_of(output)
    assert ledger["announced"] == ledger["inspected"]


def test_a_second_sigterm_ends_it_at_once_and_says_so(tmp_path: Path) -> None:
    stuck = '[{"name":"top","type":"python","factory":"tests.system.stuck:StuckCamera"}]'
    with running(tmp_path, STATION__CAMERA=stuck) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGTERM)
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
    assert process.returncode == 3
    assert "stopped without draining" in log


def test_watch_is_a_process_of_its_own(tmp_path: Path) -> None:
    with running(tmp_path):
        watcher = subprocess.Popen(
            [*COMMAND, "watch", "--endpoint", f"ipc://{tmp_path}/events"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert watcher.stdout is not None
        lines = [watcher.stdout.readline() for _ in range(3)]
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=10)
    assert watcher.returncode == 0
    assert any("top #" in line or "heartbeat" in line for line in lines)


def test_the_subscriber_of_the_readme_works_as_printed(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 15
    live, replay = "tcp://127.0.0.1:5560", "tcp://127.0.0.1:5561"
    assert live in code
    assert replay in code
    code = code.replace(live, f"ipc://{tmp_path}/events").replace(replay, f"ipc://{tmp_path}/replay")
    with running(tmp_path):
        subscriber = subprocess.Popen(
            [sys.executable, "-u", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert subscriber.stdout is not None
        words = subscriber.stdout.readline().split()
        subscriber.kill()
        subscriber.communicate()
    assert words[0] == "top"
    assert words[2] in ("accept", "reject", "invalid")


def test_the_messages_keep_their_schema(tmp_path: Path) -> None:
    schema = json.loads(station("schema", "--event").stdout)
    with listening(f"ipc://{tmp_path}/events") as listener:
        station("run", "--max-frames", "10", **own_ports(tmp_path))
        listener.hear_rest()
    payloads = listener.payloads
    assert len(payloads) > 10
    for payload in payloads:
        jsonschema.validate(json.loads(payload), schema, cls=jsonschema.Draft202012Validator)


def test_systemd_is_told_of_ready_life_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(30)
        station("run", "--max-frames", "20", **own_ports(tmp_path), NOTIFY_SOCKET=str(tmp_path / "notify"))
        channel.setblocking(False)
        told = []
        try:
            while True:
                told.append(channel.recv(1000).decode().splitlines()[0])
        except BlockingIOError:
            pass
    assert "READY=1" in told
    assert "WATCHDOG=1" in told
    assert told[-1] == "STOPPING=1"


def test_the_daemon_never_loads_torch() -> None:
    code = "import sys, station.command, station.app; sys.exit('torch' in sys.modules or 'training' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_station_that_runs_has_loaded_nothing_that_trains_or_builds(tmp_path: Path) -> None:
    code = (
        "import sys, station.command\n"
        "try:\n"
        "    station.command.main()\n"
        "finally:\n"
        "    print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--max-frames", "30"],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=environment(**own_ports(tmp_path), STATION__ENGINE__BACKEND="auto"),
        check=True,
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert ledger_of(done.stdout)["announced"] == 30
    assert {"onnxruntime", "station"} <= loaded
    assert not loaded & {"torch", "onnx", "onnxscript", "training"}
    if "no TensorRT" in done.stderr:
        assert not loaded & {"tensorrt", "tensorrt_rtx", "pycuda"}


def test_check_explains_and_schema_prints_the_configuration() -> None:
    said = station("check").stdout
    for word in ("top: simulated, 2048×1000", "scratches: reject if area ≥ 30 px", "unknown: reject", "good"):
        assert word in said
    assert json.loads(station("schema").stdout)["title"] == "Shadowline config.toml"


def test_the_doctor_knows_this_computer_for_people_and_scripts() -> None:
    said = station("doctor", COLUMNS="80").stdout
    report = json.loads(station("doctor", "--json").stdout)
    for check in report["checks"]:
        assert f"{check['level']:<7}  {check['name']:<14}" in said
        for command in check["mend"].splitlines():
            assert f"→ {command}\n" in said
    assert report["level"] in ("ok", "warning")
    assert all(len(line) <= 80 for line in said.splitlines() if "→" not in line)


def test_the_doctor_ends_with_1_where_there_is_a_fault(tmp_path: Path) -> None:
    report = json.loads(station("doctor", "--json", code=1, STATION__ENGINE__TREADS="2").stdout)
    faults = [check for check in report["checks"] if check["level"] == "fault"]
    assert report["level"] == "fault"
    assert [check["name"] for check in faults] == ["configuration"]
    assert "did you mean threads" in faults[0]["found"]
    missing = station("doctor", "--config", tmp_path / "none.toml", code=1)
    assert "no such file" in missing.stdout
    assert "Traceback" not in missing.stderr


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        variables = own_ports(tmp_path)
        metrics = station("run", code=2, **variables | {"STATION__METRICS__PORT": port})
        events = station("run", code=2, **variables | {"STATION__PUBLISH__ENDPOINT": f"tcp://127.0.0.1:{port}"})
    assert f"[metrics] port 127.0.0.1:{port}: address already in use" in metrics.stderr.splitlines()[-1]
    assert f"[publish] endpoint tcp://127.0.0.1:{port}: address already in use" in events.stderr.splitlines()[-1]


def test_a_bad_start_is_one_clear_line(tmp_path: Path) -> None:
    binding, gain = Binding(camera="", width_px=30, height_px=20), np.ones((20, 30), np.float32)
    small = CalibrationStore(tmp_path / "small")
    small.save("flat-field", "a", binding, {"level": 100.0}, {"gain": gain, "dark": gain}, {})
    simulated = '[{"name":"a","type":"simulated"}]'
    calibrated = {"STATION__CAMERA": simulated, "STATION__CALIBRATION__FOLDER": str(small.folder)}
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x07not an onnx file")
    (tmp_path / "empty").mkdir()
    replay = '[{{"name":"a","type":"replay","path":"{}"}}]'
    cases = {
        "No such file": {"STATION__ENGINE__MODEL": str(tmp_path / "none.onnx")},
        "cut.onnx": {"STATION__ENGINE__MODEL": str(tmp_path / "cut.onnx")},
        "did you mean threads": {"STATION__ENGINE__TREADS": "2"},
        "not a label of the model": {"STATION__VERDICT__RULES": '{"scratch":{}}'},
        "was made with width_px 30, but 2048 is configured; height_px 20, but 1000": calibrated,
        str(tmp_path / "empty"): {"STATION__CAMERA": replay.format(tmp_path / "empty")},
        str(tmp_path / "gone"): {"STATION__CAMERA": replay.format(tmp_path / "gone")},
    }
    for text, variables in cases.items():
        done = station("run", code=2, **own_ports(tmp_path) | variables)
        assert text in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def pictures(folder: Path) -> None:
    """Write a plain picture with a dark mark, and every kind of bad one."""
    plain = np.random.default_rng(0).normal(128, 2, (200, 200)).round().astype(np.uint8)
    marked = plain.copy()
    cv2.rectangle(marked, (90, 60), (120, 100), 30, -1)
    cv2.imwrite(str(folder / "1 plain.png"), plain)
    cv2.imwrite(str(folder / "2 marked.png"), marked)
    cv2.imwrite(str(folder / "3 colour.png"), cv2.cvtColor(marked, cv2.COLOR_GRAY2BGRA))
    cv2.imwrite(str(folder / "4 deep.png"), marked.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "5 one pixel.png"), plain[:1, :1])
    (folder / "6 empty.png").touch()
    (folder / "7 cut.png").write_bytes((folder / "2 marked.png").read_bytes()[:2000])
    cv2.imwrite(str(folder / "8 float.tiff"), marked.astype(np.float32))


def test_inspect_prints_one_object_a_picture(tmp_path: Path) -> None:
    pictures(tmp_path)
    lines = station("inspect", "--json", "--annotate", tmp_path / "drawn", tmp_path).stdout.splitlines()
    results = {Path(result["file"]).name: result for result in map(json.loads, lines)}
    assert len(results) == len(lines) == 8
    assert results["1 plain.png"]["verdict"] == "accept"
    for name in ("2 marked.png", "3 colour.png", "4 deep.png"):
        result = results[name]
        assert result["verdict"] == "reject"
        (defect,) = result["defects"]
        x, y, w, h = defect["box_px"]
        assert abs(x - 90) <= 6
        assert abs(y - 60) <= 6
        assert abs(w - 31) <= 12
        assert abs(h - 41) <= 12
        assert abs(sum(result["probabilities"].values()) - 1) < 1e-3
        assert result["confidence"] == max(result["probabilities"].values())
        drawn = cv2.imread(str(tmp_path / "drawn" / name))
        assert drawn.shape[0] >= 600
    for name, reason in (("6 empty.png", "unreadable"), ("7 cut.png", "unreadable"), ("8 float.tiff", "unsupported")):
        assert (results[name]["verdict"], results[name]["reason"]) == ("invalid", reason)
        assert results[name]["label"] is None
    assert not (tmp_path / "drawn" / "6 empty.png").exists()


def test_inspect_and_check_tell_of_novelty(tmp_path: Path) -> None:
    pictures(tmp_path)
    card = CARD | {"novelty_limit": 5.0, "label_floors": {"dark": 0.75}}
    model = {"STATION__ENGINE__MODEL": str(write_model(tmp_path / "tiny.onnx", card, novelty="Squeeze"))}
    result = json.loads(station("inspect", "--json", tmp_path / "2 marked.png", **model).stdout)
    (defect,) = result["defects"]
    assert (defect["label"], result["reason"]) == ("unknown", "unknown")
    assert defect["novelty"] > 5
    assert 0 < result["novelty"] < 128
    said = station("inspect", tmp_path / "2 marked.png", STATION__VERDICT__NOVELTY_LIMIT="128", **model).stdout
    assert f"{defect['confidence']:.2f} (novelty {defect['novelty']:.4g}); the whole picture looks like " in said
    assert ": reject unknown" not in said

    (tmp_path / "config.toml").write_text('[[camera]]\nname = "top"\ntype = "simulated"\n')
    said = station("check", "--config", tmp_path / "config.toml", **model).stdout
    assert "below confidence 0.50 (bright), 0.75 (dark) or beyond novelty 5 a region is `unknown`" in said
    model = {"STATION__ENGINE__MODEL": str(write_model(tmp_path / "plain.onnx"))}
    limit = {"STATION__VERDICT__NOVELTY_LIMIT": "128"}
    said = station("check", "--config", tmp_path / "config.toml", code=2, **model, **limit).stderr
    assert "novelty_limit: tiny has none of its own" in said


def test_inspect_says_what_it_can_not_find(tmp_path: Path) -> None:
    assert "no such file or folder" in station("inspect", tmp_path / "none.png", code=2).stderr
    assert "no pictures in this folder" in station("inspect", tmp_path, code=2).stderr
    (tmp_path / "bad.png").touch()
    assert "invalid unreadable" in station("inspect", tmp_path / "bad.png", code=1).stdout


def test_only_one_opencv_wheel_is_installed() -> None:
    listed = subprocess.run([sys.executable, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    wheels = [line.split()[0] for line in listed.splitlines() if line.startswith("opencv-")]
    assert wheels == ["opencv-python-headless"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become a user who may read all and write nothing")
def test_a_user_without_a_home_and_a_read_only_installation_starts_without_compiling(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    reader = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    reader += ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]
    done = subprocess.run(
        [*reader, *COMMAND, "run", "--config", str(ROOT / "config.toml"), "--max-frames", "5"],
        capture_output=True,
        text=True,
        timeout=90,
        cwd="/",
        env={"PATH": os.environ["PATH"], **own_ports(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ledger_of(done.stdout)["inspected"] == 5
    assert "compil" not in done.stderr


@pytest.mark.parametrize("package", ["engines", "station.command", "engines.precision"])
def test_the_network_runtime_reports_to_nobody(tmp_path: Path, package: str) -> None:
    code = (
        f"import {package}, onnxruntime, engines\n"
        "onnxruntime.InferenceSession(str(engines.shipped_model()), providers=['CPUExecutionProvider'])"
    )
    quiet = {name: value for name, value in environment().items() if name != "CI"}
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, env=quiet | {"HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))
