"""The control socket's requests and replies, and how a client asks. In the caller's thread; imports nothing heavy."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, overload

import msgspec
import zmq

from shadowline.errors import ConfigError, StationError
from station.config import Config
from station.security.keys import ClientKeys

__all__ = [
    "NO_JSON",
    "Coil",
    "Job",
    "ModelRequest",
    "ModelStatus",
    "Part",
    "Prepare",
    "Recipe",
    "RecipeRecord",
    "RecipeRequest",
    "RecipeState",
    "RecipeStatus",
    "Recipes",
    "Refused",
    "Reload",
    "Reloaded",
    "Reply",
    "Request",
    "Rollback",
    "Status",
    "Swap",
    "Unprepare",
    "ask",
    "decode_request",
    "endpoint_of",
    "live_folder",
]

_MAX_PATH = 100

Id: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
"""Of a part or job; empty for none. The station refuses what can't be printed."""
Key: TypeAlias = (
    Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | Annotated[int, msgspec.Meta(ge=0, le=65535)]
)
"""A recipe's name, or the number that the PLC calls it (`external_id`); `default` or 0 are the plain tables."""


class Status(msgspec.Struct, frozen=True, tag_field="do", tag="status", forbid_unknown_fields=True):
    """Which model is live, and how far a swap is."""


class Swap(msgspec.Struct, frozen=True, tag_field="do", tag="swap", forbid_unknown_fields=True):
    """Bring in the model file `model`, an absolute path on the station's computer."""

    model: str
    precision: Literal["fp32", "fp16", "int8"] | None = None


class Rollback(msgspec.Struct, frozen=True, tag_field="do", tag="rollback", forbid_unknown_fields=True):
    """Bring back the previous model."""


class Coil(msgspec.Struct, frozen=True, tag_field="do", tag="coil", forbid_unknown_fields=True):
    """Let positions count from here, as of the coil `name`."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Part(msgspec.Struct, frozen=True, tag_field="do", tag="part", forbid_unknown_fields=True):
    """Let frames that are captured from now on carry the part `id`; the empty id ends it."""

    id: Id


class Job(msgspec.Struct, frozen=True, tag_field="do", tag="job", forbid_unknown_fields=True):
    """Let frames that are captured from now on carry the job or order `id`; the empty id ends it."""

    id: Id


class Recipe(msgspec.Struct, frozen=True, tag_field="do", tag="recipe", forbid_unknown_fields=True):
    """Let a recipe hold from the next frame that is captured; one that is not prepared is prepared first."""

    recipe: Key


class Prepare(msgspec.Struct, frozen=True, tag_field="do", tag="prepare", forbid_unknown_fields=True):
    """Build and prove a recipe's model in the background, so that selecting it takes no time."""

    recipe: Key


class Unprepare(msgspec.Struct, frozen=True, tag_field="do", tag="unprepare", forbid_unknown_fields=True):
    """Free a recipe's model, which must not be in use."""

    recipe: Key


class Recipes(msgspec.Struct, frozen=True, tag_field="do", tag="recipes", forbid_unknown_fields=True):
    """Which recipes there are, and which is active."""


class Reload(msgspec.Struct, frozen=True, tag_field="do", tag="reload", forbid_unknown_fields=True):
    """Read the configuration file again, as SIGHUP does."""


ModelRequest: TypeAlias = Status | Swap | Rollback | Coil | Part | Job
RecipeRequest: TypeAlias = Recipe | Prepare | Unprepare | Recipes
Request: TypeAlias = ModelRequest | RecipeRequest | Reload


class ModelStatus(msgspec.Struct, tag_field="reply", tag="status"):
    """The reply to a `ModelRequest` that was done; after `swap` and `rollback` it carries the new job's number."""

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


RecipeState: TypeAlias = Literal["loaded", "preparing", "prepared", "active", "failed"]


class RecipeRecord(msgspec.Struct, frozen=True):
    """One recipe: `prepared` is one that selecting brings in from one frame to the next."""

    name: str
    number: int | None
    """What the PLC calls it, 0 for the plain tables; null without a number."""
    description: str
    model: str
    """Its model file; empty for the shipped or a fake one."""
    state: RecipeState
    detail: str = ""
    """What it is doing, or why it failed."""


class RecipeStatus(msgspec.Struct, tag_field="reply", tag="recipes"):
    """The reply to a `RecipeRequest` that was done or begun; `active` is a name, `default` for the plain tables.

    `job` is the number of the last preparation begun; while its `stage` is not `idle` it goes on, and `outcome`, with
    `report`, is of the last that ended: `kept` where it could be prepared (and selected, if that was asked for).
    """

    active: str
    recipes: tuple[RecipeRecord, ...]
    job: int
    stage: str
    detail: str
    part: float
    outcome: str | None
    report: str


class Reloaded(msgspec.Struct, frozen=True, tag_field="reply", tag="reload"):
    """The reply to `Reload`: taken from the next frame on, not before a restart, or refused; what was holds then."""

    outcome: Literal["taken", "restart", "refused"]
    config: str
    """First digits of the SHA-256 of the configuration in force."""
    words: str
    """The keys that changed, or why it was not taken."""


class Refused(msgspec.Struct, tag_field="reply", tag="refused"):
    """The reply to a request that can't be done or is none."""

    error: str


Reply: TypeAlias = ModelStatus | RecipeStatus | Reloaded | Refused

NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def decode_request(payload: bytes) -> Request:
    """Return the request in `payload`; raises one of `NO_JSON` on anything else."""
    return _requests.decode(payload)


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


def live_folder(config: Config) -> Path:
    """Return the folder of the newest pictures, in memory: it lies beside the control socket."""
    socket = Path(endpoint_of(config).removeprefix("ipc://"))
    return socket.with_name(f"{socket.name}.live")


@overload
def ask(
    endpoint: str, request: ModelRequest, timeout_s: float = 5.0, keys: ClientKeys | None = None
) -> ModelStatus: ...


@overload
def ask(
    endpoint: str, request: RecipeRequest, timeout_s: float = 5.0, keys: ClientKeys | None = None
) -> RecipeStatus: ...


@overload
def ask(endpoint: str, request: Reload, timeout_s: float = 5.0, keys: ClientKeys | None = None) -> Reloaded: ...


def ask(
    endpoint: str, request: Request, timeout_s: float = 5.0, keys: ClientKeys | None = None
) -> ModelStatus | RecipeStatus | Reloaded:
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
        except NO_JSON as fault:
            raise StationError(f"{endpoint}: what answers there is no station: {fault}") from fault
    if isinstance(reply, Refused):
        raise StationError(reply.error)
    return reply
