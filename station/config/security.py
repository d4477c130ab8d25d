"""The table `[security]`, and which endpoints leave this computer. Pure."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field

from station.config.table import ConfigPath, Table

__all__ = ["SecurityConfig", "is_local", "refuse_unmeant"]


class SecurityConfig(Table):
    """Who may listen, ask and command from other computers, and how much."""

    folder: ConfigPath | None = None
    """Where `station keys` keeps the keys of station and clients; needed for sockets beyond this computer."""
    loopback: bool = False
    """Ask for keys at loopback addresses too."""
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Connections to one socket at a time; more are cut off."""
    requests_per_s: Annotated[float, Field(gt=0, le=100_000)] = 500.0
    """What one client may ask of journal or control, on the average; twice as many at once. More is not answered."""

    def needs_keys(self, endpoint: str, plain_network: bool) -> bool:
        """Whether only clients with keys may use `endpoint`, which may be plain beyond this computer when so said."""
        if endpoint.startswith("ipc://"):
            return False
        return self.loopback if is_local(endpoint) else not plain_network


def is_local(endpoint: str) -> bool:
    """Whether only this computer reaches `endpoint`: a socket file, or a loopback address in figures or `localhost`.

    What else there is, names of hosts and interfaces and all wildcards, is taken to leave it.
    """
    if endpoint.startswith("ipc://"):
        return True
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_unmeant(table: str, endpoint: str, plain_network: bool, security: SecurityConfig) -> None:
    """Raise `ValueError` where `endpoint` of `table` asks for keys and there is no folder of them."""
    if security.folder is not None or not security.needs_keys(endpoint, plain_network):
        return
    if is_local(endpoint):
        raise ValueError('[security] loopback asks for keys: folder = "keys" says where, station keys new makes them')
    raise ValueError(
        f'[{table}] endpoint {endpoint} is open to the network: [security] folder = "keys" and station keys new protect'
        " it, plain_network = true leaves it open"
    )
