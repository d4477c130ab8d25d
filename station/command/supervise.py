"""The daemon's main loop: readiness, life, status and reloads, each told to systemd. Main thread."""

import logging
import time
from pathlib import Path

from shadowline.errors import RestartNeeded, StationError
from station.app import Station
from station.command.signals import Signals
from station.config_file import load
from station.control_protocol import Reloaded
from station.event import CameraLedger, Heartbeat
from station.notify import notify
from station.reload import ReloadOutcome

__all__ = ["Supervisor", "status_text"]

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_ALIVE_S = 1.0
_STATUS_S = 2.0
_MORE_TIME_US = 60_000_000


class Supervisor:
    """Watches over a running station until it ends or is told to."""

    def __init__(self, station: Station, path: Path, signals: Signals, started_s: float) -> None:
        """`path` is the configuration to read again; `started_s` the process's start on the monotonic clock."""
        self._station = station
        self._path = path
        self._signals = signals
        self._started_s = started_s
        self._ready = False
        self._progress = -1
        self._alive_s = 0.0
        self._beat: Heartbeat | None = None
        self._beat_s = started_s
        self._last_reload = ""

    def run(self) -> None:
        """Return when every camera is at its end, or at a signal. Raises what a thread of the station failed with."""
        while not self._station.done and not self._signals.stop:
            if not self._ready and self._station.first_verdict.is_set():
                self._tell_ready()
            if time.monotonic() - self._alive_s >= _ALIVE_S and self._station.progress != self._progress:
                self._tell_life()
            if time.monotonic() - self._beat_s >= _STATUS_S:
                self._tell_status()
            if self._signals.reload:
                self._signals.reload = False
                self._reload()
            if (asked := self._station.reloads.take()) is not None:
                asked.set_result(self._reload())
            time.sleep(_POLL_S)

    def _tell_ready(self) -> None:
        seconds = time.monotonic() - self._started_s
        self._ready, self._alive_s, self._progress = True, 0.0, -1  # the watchdog waits from now on
        notify(f"READY=1\nSTATUS=first verdict after {seconds:.2f} s")
        logger.info("READY after %.2f s", seconds)

    def _tell_life(self) -> None:
        """Feed the watchdog; while the first frame is awaited, extend the time for the start instead."""
        self._progress, self._alive_s = self._station.progress, time.monotonic()
        notify("WATCHDOG=1" if self._ready else f"EXTEND_TIMEOUT_USEC={_MORE_TIME_US}")

    def _tell_status(self) -> None:
        beat, now_s = self._station.beat, time.monotonic()
        if beat is not None:
            notify(f"STATUS={status_text(beat, self._beat, now_s - self._beat_s)}{self._last_reload}")
        self._beat, self._beat_s = beat, now_s

    def _reload(self) -> Reloaded:
        """Read the configuration again; what can't be used leaves the one in force, and says why."""
        if self._ready:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        outcome: ReloadOutcome = "taken"
        restart = False
        try:
            words = ", ".join(self._station.reload(load(self._path))) or "nothing has changed"
        except StationError as fault:
            outcome, words = "refused", str(fault).replace("\n", "; ")
            restart = isinstance(fault, RestartNeeded)
        level = logging.INFO if outcome == "taken" else logging.ERROR
        logger.log(level, "reload %s, configuration %s: %s", outcome, self._station.config.sha256[:12], words)
        self._station.count_reload(outcome)
        self._last_reload = f"; reload {outcome} at {time.strftime('%H:%M:%S')}: {words[:200]}"
        if self._ready:
            notify(f"READY=1\nSTATUS=reload {outcome}: {words[:200]}")
        return Reloaded("restart" if restart else outcome, self._station.config.sha256[:12], words)


def status_text(beat: Heartbeat, before: Heartbeat | None, seconds: float) -> str:
    """Return one line for people: frames a second since the heartbeat `before`, verdicts so far, who is not well."""
    accounts = beat.ledger.values()
    settled = sum(map(_settled, accounts))
    rate = (settled - sum(map(_settled, before.ledger.values()))) / seconds if before else 0.0
    invalid = sum(sum(one.invalid.values()) for one in accounts)
    late = sum(one.late for one in accounts)
    cameras = ", ".join(f"{name} {account.state}" for name, account in beat.ledger.items())
    journal = "" if beat.journal is None else f"; journal {beat.journal.state}"
    return (
        f"{rate:.1f} frames/s; {settled - invalid} inspected, {invalid} invalid, {late} late; {cameras}{journal}; "
        f"configuration {beat.origin.config}"
    )


def _settled(account: CameraLedger) -> int:
    return account.inspected + sum(account.invalid.values())
