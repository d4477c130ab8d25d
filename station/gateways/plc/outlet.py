"""Carries results to a PLC, whatever its memory is reached by. The gateway's thread."""

import contextlib
import logging
from contextlib import ExitStack
from typing import Final

from shadowline.errors import PeerLost
from station.clock import Clock, HostClock
from station.config import Config
from station.config.gateways import ModbusConfig, S7Config
from station.event import Heartbeat
from station.gateways.age import Ages
from station.gateways.base import Ask, Entry, Turn, View
from station.gateways.plc.area import MASK_16, Value
from station.gateways.plc.drivers import opening_of
from station.gateways.plc.handshake import Handshake, Shown
from station.gateways.plc.key import NO_KEY, Key
from station.gateways.plc.listening import Listening
from station.gateways.plc.memory import Memory, Opening, StatusWriter
from station.gateways.plc.registers import OFFLINE_REASONS, OTHER_LABEL, UNKNOWN_LABEL, VERSION
from station.gateways.plc.requests import Requests
from station.gateways.plc.result import codes_of, result_values

__all__ = ["PlcOutlet"]

logger = logging.getLogger(__name__)

_COUNTERS: Final = ("expired", "lost", "late", "overruns")


class PlcOutlet:
    """An `Outlet` that speaks the exchange of docs/plc.md. While the station is silent all it shows means reject."""

    def __init__(
        self,
        name: str,
        settings: ModbusConfig | S7Config,
        config: Config,
        opening: Opening | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Without `opening` the memory is the one that the table names. Raises `ConfigError` where words do not fit."""
        self._settings, self._opening = settings, opening or opening_of(name, settings)
        self._clock = clock or HostClock()
        self._low_word_first = isinstance(settings, ModbusConfig) and settings.low_word_first
        self._ages = Ages(self._clock)
        self._codes = codes_of(config, settings)
        self._labels = {label: code for code, label in enumerate(settings.labels, 1)}
        self._requests = Requests()
        self._handshake = Handshake(
            settings.acknowledge, lambda event: self._ages.seconds(event.published_ns) > settings.max_age_s
        )
        self._beat: Heartbeat | None = None
        self._since = dict.fromkeys(_COUNTERS, 0)
        """The counters as they were when the PLC reset them."""
        self._overruns = 0
        """As many as there were when the PLC cleared the error."""
        self._silences = self._heartbeat = 0
        self._has_news = False
        self._result_key: Key | None = None
        self._result: dict[str, Value] = {}
        """The result that was shown last, as it was written."""
        self._session = ExitStack()
        self._memory: Memory | None = None

    def open(self) -> None:
        """Connect, or begin to listen. Raises `PeerLost`, `ConfigError` and `MissingExtra`."""
        with ExitStack() as session:
            self._memory = session.enter_context(self._opening())
            self._session = session.pop_all()
        self._writer = StatusWriter(self._memory, self._low_word_first)
        self._listening = Listening(self._settings.silent_s, self._low_word_first)
        self._handshake.begin()
        self._requests.begin()

    def put(self, entry: Entry) -> None:
        """Take an entry."""
        self._handshake.put(entry)
        self._has_news = True

    def turn(self, view: View) -> Turn:
        """Write what changed, the output before all else, and read what the PLC says. Raises `PeerLost`."""
        assert self._memory is not None, "turned before it was opened"
        try:
            self._writer.reject(view.reject or not self._online(view))  # before all else, and not after a slow read
            self._learn(view)
            now_s = self._clock.tick_ns() / 1e9
            if self._has_news:  # where nothing is shown, it need not wait for what the PLC says
                self._has_news = False
                self._handshake.step(view.journal, self._online(view))
                self._show(view, now_s)
            self._listen(self._memory, now_s)
            asks = self._exchange(view)
            self._show(view, now_s)
        except PeerLost:
            self._memory = None
            raise
        done = self._handshake.tell()
        counts = self._handshake.counts | {"plc_silences": self._silences}
        deaf = self._settings.acknowledge and not self._listening.alive
        return Turn(0 if deaf else self._handshake.room, done, asks, counts)

    def close(self) -> None:
        """Leave the PLC with what means reject, where it is still there, and end the session."""
        if self._memory is not None:
            with contextlib.suppress(PeerLost):
                self._writer.reject(True)
                self._writer.head({"version": VERSION, "offline_reason": OFFLINE_REASONS["gateway_ended"]})
        self._memory = None
        self._session.close()

    def _online(self, view: View) -> bool:
        return view.online and not self._listening.control["set_offline"]

    def _listen(self, memory: Memory, now_s: float) -> None:
        was_alive = self._listening.alive
        self._listening.hear(memory.read_control(), now_s)
        if self._listening.alive and not was_alive:
            logger.info("the PLC is alive")
        elif was_alive and not self._listening.alive:
            self._silences += 1
            logger.warning("the PLC's heartbeat stands: no result goes to it")

    def _exchange(self, view: View) -> tuple[Ask, ...]:
        """Let the handshakes go on."""
        for why in filter(None, view.answers.values()):
            logger.warning("the station refuses what the PLC asks: %s", why)
        control, alive = self._listening.control, self._listening.alive
        if alive:
            self._handshake.hear(self._listening.ack, not control["newest_only"])
        self._handshake.step(view.journal, self._online(view))
        return self._requests.step(control, self._online(view), view.answers)

    def _learn(self, view: View) -> None:
        """Take from a new heartbeat what time it is there, and which labels there are."""
        self._ages.look()
        if view.beat is None or view.beat is self._beat:
            return
        self._beat = view.beat
        self._ages.hear(view.beat)
        if not self._settings.labels:
            self._labels = {label: code for code, label in enumerate(view.beat.engine.labels, 1)}

    def _show(self, view: View, now_s: float) -> None:
        if (heartbeat := int(now_s / self._settings.heartbeat_s) & MASK_16) != self._heartbeat:
            self._heartbeat = heartbeat
            self._writer.forget()
        shown = self._handshake.shown
        if shown is not None:
            if shown.key != self._result_key:
                self._result_key, self._result = shown.key, self._values(shown)
            self._writer.result(self._result)
        self._writer.head(self._head(view))

    def _values(self, shown: Shown) -> dict[str, Value]:
        event = shown.event
        age_ms = (event.published_ns - event.captured_ns) / 1e6 + self._ages.seconds(event.published_ns) * 1e3
        return result_values(event, self._codes, self._labels, max(age_ms, 0.0)) | shown.key.values("tail")

    def _head(self, view: View) -> dict[str, Value]:
        shown, online = self._handshake.shown, self._online(view)
        recipe = view.beat.origin.recipe if view.beat is not None else ""
        reason = "" if online else "set_offline" if view.online else "station_silent"
        return {
            "version": VERSION,
            "online": online,
            "offline_reason": OFFLINE_REASONS[reason],
            "heartbeat": self._heartbeat,
            "active_job": self._codes.jobs.get(recipe, 0),
            "inspection_completed": self._handshake.completed,
            "results_valid": shown is not None,
            "waiting": view.waiting,
            "label_name": self._label_name(),
            **self._counters(view),
            **self._requests.values(),
            **(shown.key if shown is not None else NO_KEY).values("head"),
        }

    def _counters(self, view: View) -> dict[str, Value]:
        counts, control = self._handshake.counts, self._listening.control
        totals = {
            "expired": view.expired + counts["not_acknowledged"],
            "lost": view.lost,
            "late": view.late,
            "overruns": counts["overruns"],
        }
        if control["reset_counters"]:
            self._since = totals
        if control["clear_error"]:
            self._overruns = totals["overruns"]
        since = {name: total - self._since[name] for name, total in totals.items()}
        return {**since, "overrun": totals["overruns"] > self._overruns}

    def _label_name(self) -> str:
        code = self._listening.control["label"]
        names = {code: label for label, code in self._labels.items()} | {UNKNOWN_LABEL: "unknown", OTHER_LABEL: "other"}
        return names.get(int(code), "")
