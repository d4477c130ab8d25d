"""A gateway as a process: its threads, its state for systemd and Prometheus. Main thread."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from shadowline.errors import ConfigError
from station.client import Client, Peer
from station.clock import Clock, HostClock
from station.config import ChunkEncoder, Config, MetricsConfig, ModbusEncoder, ZeroMqEncoder
from station.config.gateways import GatewayConfig, RejectConfig
from station.encoder_feed import EncoderFeed
from station.gateways.age import Ages
from station.gateways.base import Outlet
from station.gateways.commander import Commander
from station.gateways.gate import RejectGate
from station.gateways.gateway import Gateway
from station.gateways.place import Place, open_place
from station.gateways.pulse import Pulse
from station.gateways.tally import Tally
from station.metrics.server import MetricsServer
from station.odometer import Odometer
from station.worker import Ready, Worker

__all__ = ["GatewayProcess", "Peers", "check_gateway", "settings_of"]

logger = logging.getLogger(__name__)

_CONNECT_S = 0.5


class Peers:
    """The station's three sockets, as the gateway reaches them."""

    def __init__(self, live: Peer, journal: Peer, control: Peer) -> None:
        self.live, self.journal, self.control = live, journal, control


class GatewayProcess:
    """A gateway for the length of a `with` block, in which `run` carries."""

    def __init__(self, name: str, config: Config, peers: Peers, outlet: Outlet, clock: Clock | None = None) -> None:
        """Raises `ConfigError` where there is no such gateway, or its reject gate can't be placed."""
        settings = settings_of(name, config)
        self.clock = clock or HostClock()
        self.tally = Tally(name, settings.type)
        self.metrics_url = ""
        self._config, self._settings = config, settings
        ages = Ages(self.clock)
        self._feed, gate, place = _open_gate(config, settings, self.clock)
        self._pulse = Pulse(peers.live, ages, gate, place)
        self._commander = Commander(peers.control)
        client = partial(
            Client, peers.live, peers.journal, consumer=f"gateway-{name}", start="first", timeout_s=_CONNECT_S
        )
        self._gateway = Gateway(settings, client, outlet, self._pulse, self._commander, ages, self.tally, self.clock)
        self._workers: list[Worker] = []
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            if self._settings.metrics_port is not None:
                server = MetricsServer(MetricsConfig(port=self._settings.metrics_port), self.tally.registry, self)
                self._start(starting, "metrics", server.run, server.stop)
                self.metrics_url = server.url
            if self._feed is not None:
                self._start(starting, "encoder", self._feed.run, self._feed.stop)
            self._start(starting, "commander", self._commander.run, self._commander.stop)
            self._start(starting, "pulse", self._pulse.run, self._pulse.stop)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)

    def run(self, stopping: Callable[[], bool], alive: Callable[[], None]) -> None:
        """Carry until `stopping`; `alive` is called in every turn. Raises what a thread failed with."""

        def watched() -> None:
            for worker in self._workers:
                if worker.failure is not None:
                    raise worker.failure
            alive()

        self._gateway.run(stopping, watched)

    def faults(self) -> list[str]:
        """Return why the process should be started anew; empty while it lives. Any thread."""
        return [f"thread {worker.name} has ended" for worker in self._workers if not worker.alive]

    def obstacles(self) -> list[str]:
        """Return why results do not reach the peer; empty while they do. Any thread."""
        tally = self.tally
        away = [] if tally.state == "online" else [f"the peer is {tally.state}: {tally.detail}"]
        silent = [] if tally.station_online else ["the station is not heard"]
        return self.faults() + away + silent

    def _start(self, running: ExitStack, name: str, target: Callable[[Ready], None], stop: Callable[[], None]) -> None:
        worker = Worker(name, target, stop)
        running.enter_context(worker)
        self._workers.append(worker)


def settings_of(name: str, config: Config) -> GatewayConfig:
    """Return the table `[gateway.NAME]`. Raises `ConfigError` where there is none, or it names a camera that is not."""
    if name not in config.gateway:
        known = ", ".join(config.gateway) or "there is none"
        raise ConfigError(f"[gateway.{name}] is missing: {known}")
    settings = config.gateway[name]
    if unknown := set(settings.cameras) - {camera.name for camera in config.camera}:
        raise ConfigError(f"[gateway.{name}] cameras: {', '.join(sorted(unknown))} is no camera of this line")
    return settings


def check_gateway(name: str, config: Config) -> str:
    """Return what the gateway `name` would do, in a line. Raises `ConfigError` where it could not start."""
    settings = settings_of(name, config)
    if config.journal.folder is None:
        raise ConfigError(f"[gateway.{name}] carries from the journal: [journal] folder is missing")
    _open_gate(config, settings, HostClock())
    what = ", ".join(settings.cameras) or "all cameras"
    reject = settings.reject
    if reject is None:
        gate = "output stays at reject"
    elif reject.distance_mm is not None:
        gate = f"gate {reject.distance_mm:g} mm behind the camera"
    else:
        gate = f"gate {reject.delay_ms:g} ms after capture"
    return f"{settings.type}, {what}, results up to {settings.max_age_s:g} s old; {gate}"


def _open_gate(
    config: Config, settings: GatewayConfig, clock: Clock
) -> tuple[EncoderFeed | None, RejectGate | None, Place | None]:
    """Return the gate of the table, how it is placed, and what reads the counter for that, where there is one."""
    reject, encoder = settings.reject, config.line.encoder
    if reject is None:
        return None, None, None
    distance = reject.distance_mm if reject.distance_mm is not None else reject.delay_ms or 0.0
    names = settings.cameras or tuple(camera.name for camera in config.camera)
    gate = RejectGate(names, distance, reject.before, reject.after)
    feed, odometer = None, None
    if reject.distance_mm is not None and isinstance(encoder, ModbusEncoder | ZeroMqEncoder):
        _refuse_endless(config, names, reject)
        odometer = Odometer(config.line, clock)
        feed = EncoderFeed(encoder, config.line.stale_after_s, odometer, clock, config.security.folder)
    if reject.distance_mm is not None and isinstance(encoder, ChunkEncoder):
        raise ConfigError(
            "[gateway] reject distance_mm: only the cameras see this line's counter; give delay_ms, or let a counter be"
            " read by [line.encoder] type modbus or zeromq"
        )
    return feed, gate, open_place(config, reject, odometer, clock)


def _refuse_endless(config: Config, names: tuple[str, ...], reject: RejectConfig) -> None:
    """Raise `ConfigError` where nobody says how much strip a picture shows."""
    for camera in config.camera:
        if camera.name in names and camera.pitch_mm is None and reject.frame is None:
            raise ConfigError(
                f"[gateway] reject: how long is a picture of camera {camera.name}? give frame, or the camera's pitch_mm"
            )
