"""The line that `systemctl status` shows."""

from station.command.supervise import status_text
from station.event import CameraLedger, EngineRecord, Heartbeat, Origin


def beat(inspected: int, lost: int) -> Heartbeat:
    ledger = {
        "top": CameraLedger(inspected + lost, inspected, {"lost": lost}, 2, "online"),
        "bottom": CameraLedger(0, 0, {}, 0, "offline"),
    }
    return Heartbeat(Origin("line", "run", "model", "abc"), 0, 1.0, 0, ledger, EngineRecord("fake", (), ""), {})


def test_rates_are_taken_between_two_heartbeats() -> None:
    assert status_text(beat(115, 5), beat(95, 5), 2.0) == (
        "10.0 frames/s; 115 inspected, 5 invalid, 2 late; top online, bottom offline; configuration abc"
    )


def test_the_first_line_knows_no_rate() -> None:
    assert status_text(beat(115, 5), None, 2.0).startswith("0.0 frames/s; ")
