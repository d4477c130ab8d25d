"""The control sockets: what `station model`, `recipe`, `part` and `coil` ask of a running station.

The control thread owns them. One request, one reply, JSON. One socket is a file open to this user alone; where the
configuration has another, it is for clients with keys that may `control`. A request is bounded and checked, and what
is none gets a reply that says so.
"""

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import zmq

from shadowline.errors import ConfigError, StationError
from station.config import Config
from station.control_protocol import (
    NO_JSON,
    Coil,
    Job,
    ModelRequest,
    ModelStatus,
    Part,
    Prepare,
    Recipe,
    Recipes,
    Refused,
    Reload,
    Reply,
    Request,
    Rollback,
    Status,
    Swap,
    Unprepare,
    ask,
    decode_request,
    endpoint_of,
)
from station.models import Models
from station.pieces import Pieces
from station.positions import Positions
from station.recipe_book import RecipeBook
from station.reload_desk import ReloadDesk
from station.security.door import Callers, Door
from station.security.gate import Gate
from station.swapper import Swapper

__all__ = ["Control"]

logger = logging.getLogger(__name__)

_POLL_MS = 200
_OTHER_S = 0.5
_TOLD_BYTES = 200
_FILE_MODE = stat.S_IRUSR | stat.S_IWUSR


class Control:
    """Runs in a `Worker`; answers requests until stopped."""

    def __init__(
        self,
        config: Config,
        models: Models,
        swapper: Swapper,
        recipes: RecipeBook,
        positions: Positions,
        pieces: Pieces,
        gate: Gate,
        reloads: ReloadDesk,
    ) -> None:
        self._config = config
        self._models = models
        self._swapper = swapper
        self._recipes = recipes
        self._positions = positions
        self._pieces = pieces
        self._gate = gate
        self._reloads = reloads
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
            return self._do(decode_request(b"".join(parts)))
        except NO_JSON as fault:
            return Refused(f"not a request of this station: {fault}")
        except StationError as fault:
            return Refused(str(fault))

    def _do(self, request: Request) -> Reply:
        match request:
            case Reload():
                return self._reloads.ask()
            case Recipe():
                self._recipes.select(request.recipe)
            case Prepare():
                self._recipes.prepare(request.recipe)
            case Unprepare():
                self._recipes.unprepare(request.recipe)
            case Recipes():
                pass
            case _:
                return self._do_model(request)
        return self._recipes.status()

    def _do_model(self, request: ModelRequest) -> ModelStatus:
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
            case Part():
                self._pieces.begin_part(request.id)
            case Job():
                self._pieces.begin_job(request.id)
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
