"""The control sockets: what `station model` and `station coil` ask of a running station. The control thread owns them.

One request, one reply, JSON. One socket is a file open to this user alone; where the configuration has another, it is
for clients with keys that may `control`. A request is bounded and checked, and what is none gets a reply that says so.
"""

import contextlib
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
import zmq

from shadowline.errors import ConfigError, StationError
from station.config import Config
from station.models import Models
from station.positions import Positions
from station.security.door import Callers, Door
from station.security.gate import Gate
from station.security.keys import ClientKeys
from station.swapper import Swapper

__all__ = [
    "Coil",
    "Control",
    "ModelStatus",
    "Refused",
    "Reply",
    "Request",
    "Rollback",
    "Status",
    "Swap",
    "ask",
    "endpoint_of",
]

logger = logging.getLogger(__name__)

_POLL_MS = 200
_MAX_PATH = 100
_OTHER_S = 0.5
_TOLD_BYTES = 200
_FILE_MODE = stat.S_IRUSR | stat.S_IWUSR


class Status(msgspec.Struct, tag_field="do", tag="status", forbid_unknown_fields=True):
    """Which model is live, and how far a swap is."""


class Swap(msgspec.Struct, tag_field="do", tag="swap", forbid_unknown_fields=True):
    """Bring in the model file `model`, an absolute path on the station's computer."""

    model: str
    precision: Literal["fp32", "fp16", "int8"] | None = None


class Rollback(msgspec.Struct, tag_field="do", tag="rollback", forbid_unknown_fields=True):
    """Bring back the previous model."""


class Coil(msgspec.Struct, tag_field="do", tag="coil", forbid_unknown_fields=True):
    """Let positions count from here, as of the coil `name`."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


Request: TypeAlias = Status | Swap | Rollback | Coil


class ModelStatus(msgspec.Struct, tag_field="reply", tag="status"):
    """The reply to every request that was understood; after `swap` and `rollback` it carries the new job's number."""

    live: str
    engine: str
    why: str
    previous: str | None
    golden: float | None
    job: int
    stage: str
    detail: str
    part: float
    outcome: str | None
    report: str
    shadowed: dict[str, int]
    disagreed: dict[str, int]


class Refused(msgspec.Struct, tag_field="reply", tag="refused"):
    """The reply to a request that can't be done or is none."""

    error: str


Reply: TypeAlias = ModelStatus | Refused

_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def endpoint_of(config: Config) -> str:
    """Return the control socket's endpoint: as configured, else one in the user's runtime folder.

    Raises `ConfigError` when its path is longer than a socket's may be.
    """
    endpoint = config.control.endpoint
    if not endpoint:
        folder = os.environ.get("RUNTIME_DIRECTORY") or os.environ.get("XDG_RUNTIME_DIR")
        place = Path(folder) if folder else Path(tempfile.gettempdir()) / f"shadowline-{os.getuid()}"
        endpoint = f"ipc://{place / f'shadowline-{config.station.name}.control'}"
    if len(os.fsencode(endpoint.removeprefix("ipc://"))) > _MAX_PATH:
        raise ConfigError(f"[control] endpoint: {endpoint} is longer than a socket's path may be ({_MAX_PATH})")
    return endpoint


class Control:
    """Runs in a `Worker`; answers requests until stopped."""

    def __init__(self, config: Config, models: Models, swapper: Swapper, positions: Positions, gate: Gate) -> None:
        self._positions = positions
        self._gate = gate
        self._config = config
        self._models = models
        self._swapper = swapper
        self._stopping = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Listen. Raises `ConfigError` when a socket can't be made."""
        with ExitStack() as opened:
            doors = [opened.enter_context(_listening(endpoint_of(self._config), self._gate))]
            if self._config.control.network is not None:
                beyond = self._gate.open("control", zmq.ROUTER, self._config.control.network, "[control] network")
                doors.append(opened.enter_context(closing(beyond)))
            self.network = doors[-1].endpoint
            callers = [self._gate.callers(door) for door in doors]
            ready()
            while not self._stopping.is_set():
                zmq.zmq_poll([(door.socket, zmq.POLLIN) for door in doors], _POLL_MS)
                for one in callers:
                    self._serve(one)

    def stop(self) -> None:
        """Let the thread end within its poll. Any thread."""
        self._stopping.set()

    def _serve(self, callers: Callers) -> None:
        if call := callers.receive(0):
            if call.client:
                logger.info("client %s asks %s", call.client, call.parts[0][:_TOLD_BYTES])
            callers.answer(call, [msgspec.json.encode(self._answer(call.parts))])

    def _answer(self, parts: list[bytes]) -> Reply:
        try:
            return self._do(_requests.decode(b"".join(parts)))
        except _NO_JSON as fault:
            return Refused(f"not a request of `station model`: {fault}")
        except StationError as fault:
            return Refused(str(fault))

    def _do(self, request: Request) -> Reply:
        match request:
            case Status():
                pass
            case Swap():
                if not Path(request.model).is_absolute():
                    raise StationError(f"{request.model}: not an absolute path")
                self._swapper.swap(Path(request.model), request.precision)
            case Rollback():
                self._swapper.roll_back()
            case Coil():
                self._positions.begin_coil(request.name)
        return self._status()

    def _status(self) -> ModelStatus:
        (live, previous), status = self._models.pair(), self._swapper.status
        return ModelStatus(
            live=live.title,
            engine=live.engine.name,
            why=live.why,
            previous=previous.title if previous else None,
            golden=live.golden,
            job=status.job,
            stage=status.stage,
            detail=status.detail,
            part=round(status.part, 3),
            outcome=status.outcome,
            report=status.report,
            shadowed=dict(self._swapper.shadowed),
            disagreed=dict(self._swapper.disagreed),
        )


def ask(endpoint: str, request: Request, timeout_s: float = 5.0, keys: ClientKeys | None = None) -> ModelStatus:
    """Send `request` to the station at `endpoint`, with `keys` where it asks for them, and return its reply.

    Raises `StationError` when it refuses, or when none answers within `timeout_s`.
    """
    with zmq.Context(io_threads=1) as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.rcvtimeo = round(timeout_s * 1e3)
        if keys is not None:
            keys.prepare(socket)
        try:
            socket.connect(endpoint)
            socket.send(msgspec.json.encode(request))
            reply = _replies.decode(socket.recv())
        except zmq.Again:
            known = "and does it let this client control it (station keys list)" if keys else "as this user"
            raise StationError(
                f"no station answers at {endpoint}: does one run with this configuration, {known}?"
            ) from None
        except zmq.ZMQError as fault:
            raise StationError(f"{endpoint}: {fault.strerror.lower()}: name the station's control socket") from None
        except _NO_JSON as fault:
            raise StationError(f"{endpoint}: what answers there is no station: {fault}") from fault
    if isinstance(reply, Refused):
        raise StationError(reply.error)
    return reply


@contextmanager
def _listening(endpoint: str, gate: Gate) -> Iterator[Door]:
    """Yield the local socket; its file is open to this user alone and goes with it."""
    path = Path(endpoint.removeprefix("ipc://"))
    before = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigError(f"[control] endpoint {endpoint}: {fault.strerror}") from fault
    finally:
        os.umask(before)
    if not _is_ours(path.parent):
        raise ConfigError(f"[control] endpoint {endpoint}: others can put their own socket there: name another")
    if path.exists() and not path.is_socket():  # binding would delete it
        raise ConfigError(f"[control] endpoint {endpoint}: a file that is no socket is in its place: name another")
    if path.exists() and _answers(endpoint):
        raise ConfigError(
            f"[control] endpoint {endpoint}: another station listens there: give this one another name or endpoint"
        )
    # no REP: it waits for ever, or loses a request, after what is no ZeroMQ request
    with closing(gate.open("control", zmq.ROUTER, endpoint, "[control] endpoint")) as door:
        path.chmod(_FILE_MODE)
        try:
            yield door
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_ours(folder: Path) -> bool:
    """Whether only this user and root can exchange files in `folder`."""
    found = folder.stat()
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.getuid()) and not shared


def _answers(endpoint: str) -> bool:
    try:
        ask(endpoint, Status(), timeout_s=_OTHER_S)
    except StationError:
        return False
    return True
