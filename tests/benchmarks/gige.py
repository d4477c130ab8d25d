"""How the `aravis` driver reads a GigE Vision camera of 2048×1000 at 57 frames a second, without loss and with.

    python -m tests.benchmarks.gige [SECONDS]

As root, after tests/cameras-install.sh. Prints one line of JSON.
"""

import json
import sys
import time
from itertools import pairwise

from station.camera import AravisCamera
from station.clock import HostClock
from station.config import AravisConfig, SfncConfig
from tests.gige import CAMERA, GigeCamera, Wire
from tests.gige_server import number_of, whole_rows

WIDTH, HEIGHT, RATE_HZ = 2048, 1000, 57.0
SETTLE_S = 1.0
CONFIG = AravisConfig(
    type="aravis",
    name="gige",
    address=CAMERA,
    packet_bytes=8000,
    sfnc=SfncConfig(width_px=WIDTH, height_px=HEIGHT, rate_hz=RATE_HZ),
)


def clean(seconds: float) -> dict[str, float]:
    """Read a camera that loses nothing; the processor's share is that of this process, Aravis' threads included."""
    numbers, start, spent = [], 0.0, 0.0
    with Wire() as wire, GigeCamera(wire), wire.at_station(), AravisCamera(CONFIG, HostClock()) as camera:
        opened = time.monotonic()
        for exposure in camera.exposures(0.5):
            if start == 0.0 and time.monotonic() > opened + SETTLE_S:
                start, spent = time.monotonic(), time.process_time()
            if start and exposure is not None and exposure.image is not None:
                numbers.append(number_of(exposure.image))
            if start and time.monotonic() > start + seconds:
                break
        passed = time.monotonic() - start
        share = (time.process_time() - spent) / passed
        failures = camera.counters["failures"]
    lost = sum(later - earlier - 1 for earlier, later in pairwise(numbers))
    return {"fps": round(len(numbers) / passed, 1), "lost": lost, "failures": failures, "core_share": round(share, 4)}


def lossy(seconds: float) -> dict[str, int]:
    """Read a camera that loses one packet in a thousand, and hold every picture against what it drew."""
    seen = {
        "frames": 0,
        "damaged": 0,
        "damaged_passed_as_whole": 0,
        "rows_overstated": 0,
        "rows_true": 0,
        "rows_told": 0,
    }
    with (
        Wire() as wire,
        GigeCamera(wire, "--lost", "0.001"),
        wire.at_station(),
        AravisCamera(CONFIG, HostClock()) as camera,
    ):
        end, first = time.monotonic() + seconds, None
        for exposure in camera.exposures(0.5):
            if time.monotonic() > end:
                break
            if exposure is None or exposure.image is None or exposure.frame_id is None:
                continue
            if first is None and exposure.valid_rows is None:
                first = exposure.frame_id - number_of(exposure.image)
            if first is None:
                continue
            whole = whole_rows(exposure.image, exposure.frame_id - first)
            told = HEIGHT if exposure.valid_rows is None else exposure.valid_rows
            seen["frames"] += 1
            seen["damaged"] += told < HEIGHT
            seen["damaged_passed_as_whole"] += whole < HEIGHT and told == HEIGHT
            seen["rows_overstated"] += told > whole
            if told < HEIGHT:
                seen["rows_true"] += whole
                seen["rows_told"] += told
    return seen


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    print(json.dumps({"clean": clean(seconds), "one_in_a_thousand": lossy(seconds)}))
