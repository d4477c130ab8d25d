"""`station camera` as people and scripts call it: what it prints, what it writes, and how it ends."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from shadowline.errors import CameraError
from station.camera import ReplayCamera, SimulatedCamera
from station.clock import Clock, ManualClock
from station.config import CameraConfig, PythonCameraConfig, ReplayConfig, SimulatedConfig
from station.frame import Exposure, InvalidReason
from station.recording import LINES, read_shots

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "station", "camera"]

Camera = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
[[camera]]
name = "top"
type = "simulated"
width_px = 320
height_px = 200
rate_hz = 50.0
faults = { lose_every = 7, cut_every = 5 }

[[camera]]
name = "fast"
type = "simulated"
rate_hz = 0

[[camera]]
name = "none"
type = "replay"
path = "nowhere"

[[camera]]
name = "silent"
type = "simulated"
faults = { freeze_at = 1, outage_s = 60 }
"""


class HeldCamera(SimulatedCamera):
    """A camera that one process at a time can open, as real ones are."""

    def __init__(self, config: PythonCameraConfig, clock: Clock) -> None:
        super().__init__(SimulatedConfig(type="simulated", name=config.name, width_px=320, height_px=200), clock)
        self._path = Path(config.settings["lock"])
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        lock = self._path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise CameraError("camera held: in use by another program") from None
        self._lock = lock
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()
        super().__exit__(kind, error, trace)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration, in which the command is run."""
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def camera(folder: Path) -> Camera:
    """Run `station camera …` to its end and insist on its exit code."""

    def run(*words: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *words],
            capture_output=True,
            text=True,
            timeout=90,
            cwd=folder,
            env=environment(folder, **variables),
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def environment(folder: Path, **variables: str) -> dict[str, str]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("STATION__", "NOTIFY", "GENICAM"))
    }
    own = {
        "COLUMNS": "80",
        "PYTHONPATH": str(ROOT),
        "STATION__CONTROL__ENDPOINT": f"ipc://{folder}/control",
        "STATION__PUBLISH__ENDPOINT": f"ipc://{folder}/events",
        "STATION__METRICS__PORT": "0",
    }
    return plain | own | variables


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a `station` command, and make sure that it is gone afterwards."""
    process = subprocess.Popen(
        [*COMMAND[:-1], *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(folder),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def played(folder: Path) -> list[Exposure]:
    config = ReplayConfig(type="replay", name="again", path=folder)
    with ReplayCamera(config, ManualClock()) as replay:
        return [exposure for exposure in replay.exposures(1.0) if exposure is not None]


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_show_tells_what_a_camera_is_and_how_good_its_picture_is(camera: Camera) -> None:
    shown = camera("show", "top").stdout
    assert widest(shown) <= 80
    for words in ("simulated top", "FrameID", "320×200 uint8", "frames/s", "8 lost", "sharpness", "exposure", "good"):
        assert words in shown
    told = json.loads(camera("show", "top", "--json").stdout)
    assert told["pictures"] == 50
    assert told["lost"] == 8
    assert 20 < told["rate_hz"] < 60
    assert told["picture"]["size_px"] == [320, 200]
    assert told["picture"]["sharpness"] > 0
    assert sum(told["picture"]["histogram"]) == 320 * 25


REFUSED = {
    "an unknown name": (["show", "side"], "config.toml: no camera side; there are: top, fast, none, silent"),
    "a camera that can't be opened": (["grab", "none"], "nowhere is no directory and no video file"),
    "a camera without a picture": (["show", "silent"], "camera silent: no picture within 3 s"),
    "a place that can't be written": (["record", "top", "--out", "/proc/out"], "/proc/out: can't be written"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_done_is_one_line(camera: Camera, case: str) -> None:
    words, reason = REFUSED[case]
    last = camera(*words, code=2).stderr.splitlines()[-1]
    assert last.startswith("station: ")
    assert reason in last


def test_grab_writes_pictures_and_what_they_are(camera: Camera, folder: Path) -> None:
    lines = camera("grab", "top", "--count", "3", "--out", "some").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"some/00000{number}.png" for number in range(3)]
    assert all("320×200 uint8, frame" in line and "sharpness" in line for line in lines)
    image = cv2.imread(str(folder / "some" / "000002.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image.shape == (200, 320)
    (told,) = map(json.loads, camera("grab", "top", "--json", "--format", "pgm").stdout.splitlines())
    assert re.fullmatch(r"top-\d{8}-\d{6}/000000\.pgm", told["file"])
    assert (folder / told["file"]).is_file()
    assert "name another folder" in camera("grab", "top", "--out", "some", code=2).stderr


def test_focus_prints_a_line_a_picture_where_no_terminal_is(camera: Camera) -> None:
    lines = camera("focus", "top", "--frames", "6").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    assert all("sharpness" in line and "best" in line for line in lines)
    told = [json.loads(line) for line in camera("focus", "top", "--frames", "4", "--json").stdout.splitlines()]
    assert [one["best"] for one in told] == np.maximum.accumulate([one["sharpness"] for one in told]).tolist()


def test_focus_ends_cleanly_by_a_signal(folder: Path) -> None:
    with started(folder, "camera", "focus", "top") as process:
        assert process.stdout is not None
        assert "sharpness" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "")


def test_focus_is_live_in_a_terminal_and_stays_there_at_the_end(folder: Path) -> None:
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    variables = environment(folder)
    del variables["COLUMNS"]
    with subprocess.Popen(
        [*COMMAND, "focus", "top"], stdin=terminal, stdout=terminal, stderr=terminal, cwd=folder, env=variables
    ) as process:
        os.close(terminal)
        seen, stopped = b"", False
        try:
            while piece := _read(screen):
                seen += piece
                if not stopped and seen.count(b"best so far") >= 3:
                    stopped = True
                    process.send_signal(signal.SIGINT)
        finally:
            process.kill()
            os.close(screen)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    last = text[text.rindex("camera top") :]
    assert widest(last) <= 80
    for words in ("320×200 uint8", "frames/s", "▏best", "mean", "exposure: good", "192"):
        assert words in last


def _read(screen: int) -> bytes:
    """Return what the terminal shows next; nothing when its program has ended."""
    assert select.select([screen], [], [], 60)[0], "nothing was shown"
    try:
        return os.read(screen, 65_536)
    except OSError:
        return b""


def test_record_writes_what_replay_plays(camera: Camera, folder: Path) -> None:
    done = camera("record", "top", "--out", "rec", "--frames", "40")
    assert done.stdout.startswith("rec: 40 pictures, 2.6 MB in ")
    assert "0 dropped" in done.stdout
    assert done.stderr == ""
    config = SimulatedConfig.model_validate(tomllib.loads(CONFIG)["camera"][0])
    exposures = played(folder / "rec")
    with SimulatedCamera(config, ManualClock()) as simulated:
        for exposure in exposures:
            then = next(one for one in simulated.exposures(1.0) if one is not None)
            assert (exposure.frame_id, exposure.valid_rows) == (then.frame_id, then.valid_rows)
            assert exposure.image is not None
            assert then.image is not None
            assert np.array_equal(exposure.image, then.image)
    recorded_ns = [shot.captured_ns for shot in read_shots(folder / "rec") if shot is not None]
    span_ns = exposures[-1].captured_ns - exposures[0].captured_ns
    assert span_ns == recorded_ns[-1] - recorded_ns[0]


def test_a_source_that_can_wait_is_recorded_whole(camera: Camera, folder: Path) -> None:
    said = camera("record", "fast", "--out", "rec", "--frames", "12", "--queue-mib", "1", "--format", "png").stdout
    assert said.startswith("rec: 12 pictures")
    assert [exposure.frame_id for exposure in played(folder / "rec")] == list(range(12))


def test_a_disk_that_is_too_slow_is_said_noted_and_counted(camera: Camera, folder: Path) -> None:
    quick = json.dumps([{"name": "quick", "type": "simulated", "rate_hz": 1000}])
    words = ("record", "quick", "--out", "rec", "--frames", "60", "--queue-mib", "1", "--format", "png")
    done = camera(*words, code=1, STATION__CAMERA=quick)
    assert done.stderr == "the disk is too slow: pictures are dropped\n"
    exposures = played(folder / "rec")
    dropped = [exposure for exposure in exposures if exposure.fault == InvalidReason.OVERRUN]
    assert [exposure.frame_id for exposure in exposures] == list(range(60))
    assert f"{60 - len(dropped)} pictures" in done.stdout
    assert f"; {len(dropped)} dropped, " in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_recording_that_is_ended_is_whole_up_to_its_last_line(folder: Path, number: signal.Signals) -> None:
    lines = folder / "rec" / LINES
    with started(folder, "camera", "record", "top", "--out", "rec") as process:
        while process.poll() is None and (not lines.exists() or lines.stat().st_size < 1000):
            select.select([], [], [], 0.05)
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    exposures = played(folder / "rec")
    assert len(exposures) >= 10
    assert all(exposure.fault is None for exposure in exposures)
    assert said == "" if number == signal.SIGKILL else said.startswith(f"rec: {len(exposures)} pictures")


def test_a_full_disk_ends_a_recording_that_can_be_played(folder: Path) -> None:
    small = folder / "small"
    small.mkdir()
    recorded = " ".join([*COMMAND, "record", "fast", "--out", "small/rec"])
    script = f"mount -t tmpfs -o size=9m none small || exit 77; {recorded}; code=$?; cp -r small/rec rec; exit $code"
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=folder,
        env=environment(folder),
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"needs a file system of its own: {done.stderr.strip()}")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["station: small/rec: the disk is full after 4 pictures; they can be played"]
    exposures = played(folder / "rec")
    assert [exposure.fault for exposure in exposures] == [None] * 4
    assert sorted(path.name for path in (folder / "rec").iterdir()) == [
        *(f"00000{number}.pgm" for number in range(4)),
        LINES,
    ]


def test_a_camera_that_a_station_holds_says_so(camera: Camera, folder: Path) -> None:
    lock = folder / "lock"
    factory = f'factory = "{__name__}:HeldCamera", settings = {{ lock = "{lock}" }}'
    held = f'engine = {{ backend = "fake" }}\ncamera = [{{ name = "held", type = "python", {factory} }}]\n'
    (folder / "held.toml").write_text(held)
    with started(folder, "run", "--config", "held.toml") as process:
        assert process.stderr is not None
        while "READY" not in (line := process.stderr.readline()):
            assert line, "the station ended before it was ready"
        last = camera("show", "held", "--config", "held.toml", code=2).stderr.splitlines()[-1]
    assert last.startswith("station: camera held: in use by another program; a station runs with this configuration")
    camera("grab", "held", "--config", "held.toml")


def test_list_prints_tables_that_open_what_it_found(camera: Camera) -> None:
    done = camera("list", "--driver", "opencv", "--json")
    for one in json.loads(done.stdout):
        (table,) = tomllib.loads(one["toml"])["camera"]
        assert TypeAdapter[CameraConfig](CameraConfig).validate_python(table).type == "opencv"
    assert "broadcasts" not in done.stderr


def test_list_says_what_keeps_a_driver_from_looking(camera: Camera) -> None:
    done = camera("list", "--driver", "gentl")
    assert done.stdout == "no device found\n"
    assert "--producer FILE.cti" in done.stderr
    assert "is for --driver gentl" in camera("list", "--driver", "opencv", "--producer", "a.cti", code=2).stderr
