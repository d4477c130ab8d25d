"""Where a command finds the station, and the keys that it comes with. Main thread."""

from pathlib import Path
from typing import Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from shadowline.errors import ConfigError, StationError
from station.client import Peer
from station.config import JournalConfig, PublishConfig
from station.config_file import load
from station.control_protocol import endpoint_of
from station.security.keys import read_client_keys
from station.security.survey import survey

__all__ = ["connect", "find_control", "find_peer"]

_ANSWERS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_ANSWER_MS = 1000
_ANY_HOST = ("*", "0.0.0.0", "[::]")
_DEFAULTS = {"publish": PublishConfig().endpoint, "journal": JournalConfig().endpoint}


def connect(socket: zmq.Socket[bytes], peer: Peer) -> None:
    """Connect `socket` to `peer`, with its keys; where no station is, libzmq goes on trying.

    Raises `ConfigError` for what is no endpoint, `StationError` where a station is that does not let it in.
    """
    if peer.keys is not None:
        peer.keys.prepare(socket)
    with socket.get_monitor_socket(_ANSWERS) as answers:
        try:
            socket.connect(peer.endpoint)
            answer = recv_monitor_message(answers)["event"] if answers.poll(_ANSWER_MS) else None
        except zmq.ZMQError as fault:
            raise ConfigError(f"{peer.endpoint}: can't be connected to: {fault.strerror}") from None
        finally:
            socket.disable_monitor()
    if answer not in (None, zmq.EVENT_HANDSHAKE_SUCCEEDED):
        raise StationError(
            f"{peer.endpoint}: not let in: station keys list, on the station's computer, shows who is; --keys names"
            " the folder of this client's keys"
        )


def find_peer(place: Literal["publish", "journal"], config: Path, endpoint: str | None, keys: Path | None) -> Peer:
    """Return the station's socket: at `endpoint`, else where the file `config` says, else at the usual place.

    The keys are those in the folder `keys`; without it those of the configuration, where that asks for keys and names
    the endpoint. Raises `ConfigError` and `KeysError`.
    """
    if endpoint is not None or not config.exists():
        return Peer(endpoint or _DEFAULTS[place], read_client_keys(keys) if keys else None)
    settings = load(config)
    for exposure in survey(settings):
        if exposure.place == place:
            folder = keys or (settings.security.folder if exposure.keyed else None)
            return Peer(_reachable(exposure.endpoint), read_client_keys(folder) if folder else None)
    raise ConfigError(f"{config}: [{place}] folder is missing: this station keeps none")


def find_control(config: Path, endpoint: str | None, keys: Path | None) -> Peer:
    """Return the station's control socket: at `endpoint`, else the local one of the file `config`. Raises as above."""
    return Peer(endpoint or endpoint_of(load(config)), read_client_keys(keys) if keys else None)


def _reachable(endpoint: str) -> str:
    """Return an endpoint to connect to for one to bind: any address of this computer is its loopback address."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return f"tcp://127.0.0.1:{port}" if host in _ANY_HOST else endpoint
