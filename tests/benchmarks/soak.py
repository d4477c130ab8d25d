"""A station on a GigE Vision camera that is killed, frozen, unplugged and restarted, over and over.

    python -m tests.benchmarks.soak [OUTAGES]

As root, after tests/cameras-install.sh. Prints one line of JSON; `tests/system/test_gige_line.py` runs a short one.
"""

import gc
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from station.app import Station
from station.config import Config
from station.config_file import parse
from station.event import InspectionEvent, StateEvent
from tests.gige import CAMERA, GigeCamera, Wire
from tests.system.lines import Listener, listening

RECONNECT_S, FRAMES = 0.2, 20
KINDS = ("killed", "frozen", "unplugged", "restarted")


@dataclass
class Result:
    """What came of a soak; times in seconds, for each outage in turn."""

    kinds: list[str] = field(default_factory=list)
    noticed_s: list[float] = field(default_factory=list)
    """From the fault to the state event."""
    back_s: list[float] = field(default_factory=list)
    """From the camera's return to the state event."""
    announced: int = 0
    settled: int = 0
    told: int = 0
    """Inspection events received."""
    sequences_whole: bool = False
    threads: tuple[int, int] = (0, 0)
    """After a tenth of the outages, and at the end; so below."""
    handles: tuple[int, int] = (0, 0)
    rss_mib: tuple[float, float] = (0.0, 0.0)

    def summary(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        worst = {
            kind: {
                "outages": self.kinds.count(kind),
                "noticed_max_s": round(max(self._of(kind, self.noticed_s)), 3),
                "back_max_s": round(max(self._of(kind, self.back_s)), 3),
            }
            for kind in KINDS
            if kind in self.kinds
        }
        rest = ("announced", "settled", "told", "sequences_whole", "threads", "handles", "rss_mib")
        return worst | {name: getattr(self, name) for name in rest}

    def _of(self, kind: str, values: list[float]) -> list[float]:
        return [value for one, value in zip(self.kinds, values, strict=True) if one == kind]


def soak(outages: int, folder: Path, seed: int = 1) -> Result:
    """Run a station through so many outages of its one camera and return what came of it."""
    result, random_ = Result(), random.Random(seed)
    config = _config(folder)
    with Wire() as wire, GigeCamera(wire) as camera, listening(config.publish.endpoint) as listener:
        with wire.at_station(), Station(config) as station:
            _await(listener, "online")
            _await_frames(listener)
            for number in range(outages):
                kind = KINDS[number % len(KINDS)]
                result.kinds.append(kind)
                start_s = time.monotonic()
                with _away(kind, camera, wire):
                    if kind != "restarted":
                        _await(listener, "offline")
                        result.noticed_s.append(time.monotonic() - start_s)
                        time.sleep(random_.uniform(0, 1))
                start_s = time.monotonic()
                if kind == "restarted":
                    _await(listener, "offline")
                    result.noticed_s.append(time.monotonic() - start_s)
                _await(listener, "online")
                result.back_s.append(time.monotonic() - start_s)
                _await_frames(listener)
                if number == outages // 10:
                    early = _held()
            late = _held()
        listener.hear_rest()
    result.threads, result.handles, result.rss_mib = zip(early, late, strict=True)  # type: ignore[assignment]
    sequences = [event.sequence for event in listener.inspections]
    result.announced, result.settled, result.told = station.ledger.announced, station.ledger.settled, len(sequences)
    result.sequences_whole = sequences == list(range(1, len(sequences) + 1))
    return result


@contextmanager
def _away(kind: str, camera: GigeCamera, wire: Wire) -> Iterator[None]:
    """Bring the fault about, and end it; a restart has its settings gone and is back at once."""
    match kind:
        case "killed":
            camera.kill()
            yield
            camera.start()
        case "frozen":
            camera.freeze()
            yield
            camera.thaw()
        case "unplugged":
            wire.unplug()
            yield
            wire.plug()
        case _:
            camera.kill()
            camera.start()
            yield


def _await(listener: Listener, state: str) -> None:
    """Wait until the camera's state is told to be `state`, or for online the degraded one."""
    wanted = {"online", "degraded"} if state == "online" else {state}
    while True:
        message = listener.hear()
        if isinstance(message, StateEvent) and message.state in wanted:
            return


def _await_frames(listener: Listener) -> None:
    """Wait until the camera has delivered some pictures."""
    for _ in range(FRAMES):
        while not isinstance(listener.hear(), InspectionEvent):
            pass


def _held() -> tuple[int, int, float]:
    """Return threads, open handles and resident MiB of this process."""
    gc.collect()
    me = psutil.Process()
    return len(threading.enumerate()), me.num_fds(), round(me.memory_info().rss / 2**20, 1)


def _config(folder: Path) -> Config:
    camera = {
        "name": "gige",
        "type": "aravis",
        "address": CAMERA,
        "packet_bytes": 8000,
        "offline_after_s": 0.5,
        "timeout_s": 0.1,
        "reconnect_s": RECONNECT_S,
        "sfnc": {"width_px": 512, "height_px": 256, "rate_hz": 50.0, "exposure_us": 1000.0},
    }
    return parse(
        {
            "camera": [camera],
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events", "high_water_mark": 1_000_000},
            "metrics": {"port": 0},
            "control": {"enabled": False},
        },
        folder / "config.toml",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 200, Path(place)).summary()))
