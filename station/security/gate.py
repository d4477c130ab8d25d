"""The one owner of the context of the station's inbound ZeroMQ sockets: binds them, and lets in who is known.

The gate thread answers libzmq's questions about clients, follows the connections, and has a door renewed where somebody
is connected who is not allowed any more.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

import zmq

from shadowline.errors import ConfigError
from station.config import SecurityConfig
from station.config.security import is_local
from station.security.admission import Admission
from station.security.clients import Domain
from station.security.connections import EVENTS, Connections
from station.security.door import Callers, Door
from station.security.roster import Roster
from station.security.tally import Tally

__all__ = ["Gate"]

logger = logging.getLogger(__name__)

_TURN_MS = 50
_PAUSE_S = 0.002
_MOST_A_TURN = 50  # so a flood of connections takes about a tenth of the interpreter's time, and waits for the rest
_LOOK_NS = 50_000_000
_RENEW_NS = 1_000_000_000
_MONITOR_WAITING = 10_000
_HANDSHAKE_MS = 2000
_PING_MS, _PONG_MS = 10_000, 30_000


class _Bounds(NamedTuple):
    """What one client of a domain may send, and which of libzmq's threads serves it."""

    io_thread: int
    max_bytes: int
    waiting: int
    bytes_per_s: float
    most_bytes: float


_BOUNDS: Final[Mapping[Domain, _Bounds]] = MappingProxyType(
    {
        "events": _Bounds(1, 1024, 100, 128.0, 16_384.0),  # subscriptions, and a ping now and then
        "replay": _Bounds(2, 4096, 16, 262_144.0, 1_048_576.0),
        "control": _Bounds(2, 16_384, 16, 262_144.0, 1_048_576.0),
    }
)


class _Watched(NamedTuple):
    """A door that others than this user reach, and where libzmq tells of its connections."""

    door: Door
    monitor: zmq.Socket[bytes]
    connections: Connections


class Gate:
    """Runs in a `Worker` that is started before and stopped after every thread with a door.

    Doors are opened, used and closed in their own threads.
    """

    def __init__(self, config: SecurityConfig) -> None:
        """Read the keys, where there is a folder of them. Raises `KeysError` when they can't be used."""
        self.tally = Tally()
        self.plain: list[Domain] = []
        """Domains that other computers may use without keys."""
        self._config = config
        self._roster = Roster(config.folder) if config.folder else None
        self._admission = Admission(self._roster, self.tally)
        self._context = zmq.Context(io_threads=2)
        self._stopping = threading.Event()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._arriving: list[_Watched] = []
        self._watched: list[_Watched] = []
        self._looked_ns = self._renewed_ns = 0

    def run(self, ready: Callable[[], None]) -> None:
        """Watch until stopped, and until the last door is closed."""
        try:
            with self._context.socket(zmq.REP) as asked:
                asked.bind("inproc://zeromq.zap.01")
                ready()
                while not self._stopping.is_set():
                    self._turn(asked)
        finally:
            for watched in (*self._watched, *self._arriving):
                watched.monitor.close(0)
            self._context.term()

    def stop(self) -> None:
        """Let the thread end within its turn. Any thread."""
        self._stopping.set()

    def open(
        self,
        domain: Domain,
        kind: int,
        endpoint: str,
        place: str,
        plain_network: bool = False,
        send_waiting: int = 1000,
    ) -> Door:
        """Bind a socket of `kind`. In the thread that will use and close it.

        `send_waiting` messages may wait for each client that is slow. Raises `ConfigError`, which names `place`, the
        one of `endpoint` in the configuration.
        """
        keyed = self._is_keyed(domain, endpoint, plain_network)
        with ExitStack() as undone:
            socket = self._context.socket(kind)
            undone.callback(socket.close, 0)
            _set_bounds(socket, _BOUNDS[domain], send_waiting)
            socket.ipv6 = "[" in endpoint
            if keyed:
                self._set_keys(socket, domain)
            monitor = None if endpoint.startswith("ipc://") else self._monitor(socket)
            if monitor is not None:
                undone.callback(monitor.close, 0)
            try:
                socket.bind(endpoint)
            except zmq.ZMQError as fault:
                raise ConfigError(f"{place} {endpoint}: {zmq.strerror(fault.errno or 0).lower()}") from None
            undone.pop_all()
        door = Door(socket, domain, socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0"), keyed)
        if monitor is not None:
            self._watch(door, monitor)
        if not keyed and not is_local(endpoint):
            self.plain.append(domain)
            logger.warning("%s %s is open to the network: anybody can use it, and pretend to be it", place, endpoint)
        return door

    def callers(self, door: Door) -> Callers:
        """Return the requests at a ROUTER's door. In the door's thread."""
        return Callers(door, self._admission.name_of, self._config.requests_per_s, self.tally.refuse)

    @property
    def connected(self) -> dict[Domain, int]:
        """Connections of each domain by TCP. Any thread."""
        return {watched.door.domain: len(watched.connections) for watched in tuple(self._watched)}

    def _is_keyed(self, domain: Domain, endpoint: str, plain_network: bool) -> bool:
        """Whether only clients with keys come in; who commands by TCP always needs them."""
        by_tcp = not endpoint.startswith("ipc://")
        return (by_tcp and domain == "control") or self._config.needs_keys(endpoint, plain_network)

    def _set_keys(self, socket: zmq.Socket[bytes], domain: Domain) -> None:
        if self._roster is None:
            raise ConfigError('[security] folder is missing: say where the keys are, folder = "keys"')
        socket.curve_server = True
        socket.curve_secretkey = self._roster.pair.private.encode()
        socket.zap_domain = domain.encode()

    def _monitor(self, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        """Return the socket on which libzmq tells of the connections of `socket`; the gate thread will own it."""
        address = f"inproc://connections-{next(self._numbers)}"
        socket.monitor(address, EVENTS)
        monitor = self._context.socket(zmq.PAIR)
        monitor.rcvhwm = _MONITOR_WAITING
        monitor.connect(address)
        return monitor

    def _watch(self, door: Door, monitor: zmq.Socket[bytes]) -> None:
        bounds = _BOUNDS[door.domain]
        connections = Connections(
            int(door.endpoint.rpartition(":")[2]),
            self._config.max_connections,
            bounds.bytes_per_s,
            bounds.most_bytes,
            partial(self.tally.note, door.domain),
            lambda reason: self.tally.refuse(door.domain, reason, "a connection"),
        )
        with self._lock:
            self._arriving.append(_Watched(door, monitor, connections))

    def _turn(self, asked: zmq.Socket[bytes]) -> None:
        """Do what is due; wait first, when there is nothing."""
        with self._lock:
            self._watched += self._arriving
            self._arriving.clear()
        sockets = [asked, *(watched.monitor for watched in self._watched)]
        busy = zmq.zmq_poll([(socket, zmq.POLLIN) for socket in sockets], _TURN_MS)
        for _ in range(_MOST_A_TURN):
            if not asked.poll(0):
                break
            asked.send_multipart(self._admission.answer(asked.recv_multipart()))
        for watched in self._watched:
            _hear(watched)
        self._look(time.monotonic_ns())
        if busy:
            self._stopping.wait(_PAUSE_S)

    def _look(self, now_ns: int) -> None:
        """Shut out who says too much, and have doors renewed behind which somebody is who may be there no more."""
        if now_ns - self._looked_ns > _LOOK_NS:
            self._looked_ns = now_ns
            for watched in self._watched:
                watched.connections.look(now_ns)
        if now_ns - self._renewed_ns > _RENEW_NS:
            self._renewed_ns = now_ns
            self.tally.calm()
            domains = self._admission.domains_to_renew()
            for watched in self._watched:
                if watched.door.keyed and watched.door.domain in domains:
                    watched.door.stale = True


def _set_bounds(socket: zmq.Socket[bytes], bounds: _Bounds, send_waiting: int) -> None:
    """Bound what clients may do, and leave out those that are gone without a word."""
    socket.linger = 0
    socket.sndhwm = send_waiting
    socket.rcvhwm = bounds.waiting
    for option, value in (
        (zmq.AFFINITY, bounds.io_thread),
        (zmq.MAXMSGSIZE, bounds.max_bytes),
        (zmq.HANDSHAKE_IVL, _HANDSHAKE_MS),
        (zmq.HEARTBEAT_IVL, _PING_MS),
        (zmq.HEARTBEAT_TIMEOUT, _PONG_MS),
        (zmq.HEARTBEAT_TTL, _PONG_MS),
    ):
        socket.setsockopt(option, value)


def _hear(watched: _Watched) -> None:
    """Take what libzmq told of a door's connections."""
    for _ in range(_MOST_A_TURN):
        try:
            told = watched.monitor.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
        watched.monitor.recv()  # the endpoint, always the same
        watched.connections.take(told)
