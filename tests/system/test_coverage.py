"""Coverage and report of a running line with faults: inspected and not inspected spans are the coil."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from station.app import Station
from station.config import Config
from station.config_file import parse
from station.control_protocol import Coil, ask, endpoint_of
from station.coverage import Coverage, Span
from station.event import CoverageEvent, InspectionEvent, StateEvent
from tests.system.coil_camera import HEIGHT, PITCH_MM, TURN_MM
from tests.system.lines import Listener, listening

FRAME_MM = HEIGHT * PITCH_MM
COUNTER = {"type": "chunk", "mm_per_count": PITCH_MM}
ROOT = Path(__file__).parents[2]


def make_config(folder: Path, camera: dict[str, Any], encoder: dict[str, Any] = COUNTER, **line: Any) -> Config:
    return parse(
        {
            "camera": [{"name": "top", "pitch_mm": PITCH_MM, "drop": "wait"} | camera],
            "line": {"encoder": encoder, **line},
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events", "high_water_mark": 1_000_000},
            "metrics": {"port": 0},
            "control": {"endpoint": f"ipc://{folder}/control"},
        },
        folder / "config.toml",
    )


def simulated(**settings: Any) -> dict[str, Any]:
    size = {"width_px": 256, "height_px": HEIGHT, "defects_per_frame": 0.5, "rate_hz": 200.0}
    return {"type": "simulated", **size} | settings


def rendered(**settings: int) -> dict[str, Any]:
    return {"type": "python", "factory": "tests.system.coil_camera:CoilCamera", "settings": settings}


def run(config: Config, frames: int | None = None) -> Listener:
    with listening(config.publish.endpoint) as listener:
        with Station(config, frames) as station:
            while not station.done:
                listener.hear()
        listener.hear_rest()
    return listener


def cover(listener: Listener, **settings: Any) -> list[Span]:
    """Follow what was heard in its order; spans must follow on each other from 0."""
    coverage, spans = Coverage(**settings), []
    for message in listener.messages:
        if isinstance(message, StateEvent):
            coverage.note_state(message)
        elif isinstance(message, InspectionEvent):
            spans += coverage.take(message)
    spans += coverage.close()
    for before, after in pairwise(spans):
        assert after.start_mm == pytest.approx(0.0 if before.coil != after.coil else before.end_mm)
    return spans


def lengths(spans: list[Span]) -> dict[str, float]:
    found: dict[str, float] = {}
    for span in spans:
        found[span.reason] = found.get(span.reason, 0.0) + span.length_mm
    return found


def test_lost_cut_and_repeated_frames(tmp_path: Path) -> None:
    """Of 420 frames every 7th is lost and every 5th cut: 60 and 84, of which 12 both, so lost."""
    faults = {"lose_every": 7, "cut_every": 5, "repeat_every": 11}
    spans = cover(run(make_config(tmp_path, simulated(faults=faults, find_repeats=True)), 420 + 36))
    whole_mm = spans[-1].end_mm
    assert sum(span.length_mm for span in spans) == pytest.approx(whole_mm)
    frames = round(whole_mm / FRAME_MM)
    assert whole_mm == frames * FRAME_MM
    missed = sum(span.length_mm for span in spans if span.reason)
    assert missed == FRAME_MM * sum(number % 7 == 0 or number % 5 == 0 for number in range(1, frames + 1))
    assert {word for span in spans for word in span.reason.split(", ") if word} <= {"lost", "incomplete", "repeated"}


def test_strip_that_goes_back_is_not_counted_twice(tmp_path: Path) -> None:
    spans = cover(run(make_config(tmp_path, rendered(frames=100, back_every=20, lose_every=13))))
    assert sum(span.length_mm for span in spans) == 100 * FRAME_MM
    assert set(lengths(spans)) == {"", "lost"}


@pytest.mark.parametrize("fault", ["unplug_at", "freeze_at"])
def test_an_outage(tmp_path: Path, fault: str) -> None:
    """The strip goes on by the clock while the camera is away."""
    camera = simulated(rate_hz=50.0, reconnect_s=0.1, offline_after_s=0.3, faults={fault: 30, "outage_s": 1.0})
    listener = run(make_config(tmp_path, camera, {"type": "speed", "mm_per_s": 2000.0}), 80)
    spans = cover(listener)
    assert sum(span.length_mm for span in spans) == pytest.approx(spans[-1].end_mm)
    (outage,) = [state.outage for state in listener.states if state.outage]
    away = [span for span in spans if "offline" in span.reason]
    assert len(away) == 1
    assert outage.mm is not None
    assert abs(away[0].length_mm - (outage.mm - FRAME_MM)) < 1.0


def test_a_coil_that_begins(tmp_path: Path) -> None:
    """The camera looks 300 mm behind the mark, so it sees the end of a coil when the next one has begun."""
    config = make_config(tmp_path, simulated(reach_mm=300.0, faults={"lose_every": 9}))
    with listening(config.publish.endpoint) as listener, Station(config):
        for coil in ("A", "B", "C"):
            seen = len(listener.inspections)
            while len(listener.inspections) < seen + 40:
                listener.hear()
            ask(endpoint_of(config), Coil(coil))
        while not any(
            one.position and one.position.coil == "C" and one.position.mm > 300 for one in listener.inspections
        ):
            listener.hear()
    lasting = true_lengths(listener)
    spans = cover(listener, reach_mm=300.0, length_of=lasting.get)
    events = [message for message in listener.messages if isinstance(message, CoverageEvent)]
    assert [(one.coil, one.reason) for one in events] == [(one.coil, one.reason) for one in spans[: len(events)]]
    assert [one.end_mm for one in events] == pytest.approx([one.end_mm for one in spans[: len(events)]], abs=2e-3)
    assert [one.coil for one in events if one.ends_coil] == ["", "A", "B"]
    for coil in ("A", "B"):
        assert sum(span.length_mm for span in spans if span.coil == coil) == pytest.approx(lasting[coil])
    assert lengths([span for span in spans if span.coil == "A"])[""] < 0.95 * lasting["A"]


def true_lengths(listener: Listener) -> dict[str, float]:
    """Return the length of each coil that has ended, by the counts that frames carry."""
    zeros: dict[str, float] = {}
    for one in listener.inspections:
        if one.position is not None and one.position.count is not None:
            zeros.setdefault(one.position.coil, one.position.count * PITCH_MM - one.position.mm)
    return {coil: zeros[after] - zeros[coil] for coil, after in pairwise(zeros)}


def command(folder: Path, *words: str | Path, code: int) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STATION__")}
    done = subprocess.run(
        [sys.executable, "-m", "station", "report", *map(str, words), "--to", str(folder)],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=plain,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


CONFIG = """
[[camera]]
name = "top"
type = "simulated"
[[line.rolls]]
name = "bridle"
diameter_mm = 400.0
[[line.rolls]]
name = "work roll"
diameter_mm = 200.0
"""


def test_the_report_of_a_rendered_roll_mark(tmp_path: Path) -> None:
    """20 turns on the strip, through regions and verdicts to the name of the roll."""
    listener = run(make_config(tmp_path, rendered(frames=round(21 * TURN_MM / FRAME_MM), lose_every=50)))
    events, config = tmp_path / "events.jsonl", tmp_path / "config.toml"
    events.write_bytes(b"\n".join(listener.payloads))
    config.write_text(CONFIG)
    done = command(tmp_path, "", "--events", events, "--config", config, code=1)
    assert "work roll" in done.stdout
    figures = json.loads((tmp_path / "coil-.json").read_text())
    top = figures["cameras"]["top"]
    assert top["inspected_mm"] + sum(top["not_inspected_mm"].values()) == pytest.approx(figures["length_mm"])
    assert top["not_inspected_mm"] == {"lost": 4 * FRAME_MM}
    assert figures["repeats"][0]["rolls"] == ["work roll"]
    assert abs(figures["repeats"][0]["distance_mm"] - TURN_MM) < 0.5


def test_the_report_listens_until_the_coil_ends(tmp_path: Path) -> None:
    config = make_config(tmp_path, simulated())
    (tmp_path / "config.toml").write_text(
        f'[[camera]]\nname = "top"\ntype = "simulated"\n[publish]\nendpoint = "{config.publish.endpoint}"\n'
    )
    words = ["report", "A", "--listen", "--config", str(tmp_path / "config.toml"), "--to", str(tmp_path)]
    with listening(config.publish.endpoint) as listener, Station(config):
        process = subprocess.Popen(
            [sys.executable, "-m", "station", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            assert process.stderr is not None
            assert "waiting" in process.stderr.readline()
            assert "listening" in process.stderr.readline()
            for coil in ("A", "B"):
                ask(endpoint_of(config), Coil(coil))
                taken = 0
                while taken < 200:
                    message = listener.hear()
                    position = message.position if isinstance(message, InspectionEvent) else None
                    taken += position is not None and position.coil == coil
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode in (0, 1), errors
    assert "coil A" in out
    figures = json.loads((tmp_path / "coil-A.json").read_text())
    assert figures["coil"] == "A"
    assert figures["length_mm"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["A"], "one of the three"),
        (["A", "--events", "none.jsonl"], "can't read the events"),
    ],
)
def test_the_report_refuses(tmp_path: Path, words: list[str], says: str) -> None:
    assert says in command(tmp_path, *words, code=2).stderr
