"""Who is let in: a file a client, with its public key and what it may. Pure but for the files."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec

from shadowline.errors import KeysError
from station.security.keys import check_key, check_name, today
from station.security.private_files import check_private, read_record, write_record

__all__ = [
    "CLIENTS",
    "DOMAINS",
    "Client",
    "Domain",
    "Refusal",
    "allow",
    "judge",
    "known_clients",
    "read_clients",
    "revoke",
]

Domain: TypeAlias = Literal["events", "replay", "control"]
"""What a client may: hear what is published, ask the journal, command the station."""

DOMAINS: tuple[Domain, ...] = get_args(Domain)

Refusal: TypeAlias = Literal["unknown", "revoked", "expired", "not allowed"]

CLIENTS = "clients"
"""Name of their folder within the folder of keys."""


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client of the station."""

    name: str
    public_key: str
    may: tuple[Domain, ...]
    allowed: date
    """In UTC, as all dates here."""
    expires: date | None = None
    """The first day on which it is let in no more."""
    revoked: date | None = None


def allow(folder: Path, name: str, public_key: str, may: Iterable[Domain], expires: date | None = None) -> Client:
    """Let the client in, from now on. What its file said before is replaced. Raises `KeysError`."""
    check_name(name)
    check_key(public_key)
    if expires is not None and expires <= today():
        raise KeysError(f"--expires {expires}: name a date to come")
    clients, _ = read_clients(folder)
    for client in clients:
        if client.public_key == public_key and client.name != name:
            raise KeysError(f"{name}: client {client.name} has this very key: each client needs its own")
    client = Client(name, public_key, tuple(may), today(), expires)
    write_record(folder / CLIENTS / f"{name}.json", client)
    return client


def revoke(folder: Path, name: str) -> None:
    """Let the client in no more; a running station cuts it off. Raises `KeysError` where it is not known."""
    check_name(name)
    path = folder / CLIENTS / f"{name}.json"
    if not path.exists():
        known = ", ".join(client.name for client in read_clients(folder)[0]) or "none"
        raise KeysError(f"no client {name}; there are: {known}")
    write_record(path, msgspec.structs.replace(read_record(path, Client), revoked=today()))


def read_clients(folder: Path) -> tuple[list[Client], list[str]]:
    """Return the clients by name, and a line for each file that is none of a client: nobody is let in by it.

    Raises `KeysError` where others can get at the folder.
    """
    clients: dict[str, Client] = {}
    faults = []
    if (folder / CLIENTS).exists():
        check_private(folder / CLIENTS)
    for path in sorted((folder / CLIENTS).glob("[!.]*.json")):
        try:
            client = read_record(path, Client)
            _check(path, client, clients)
        except KeysError as fault:
            faults.append(str(fault))
        else:
            clients[client.public_key] = client
    return list(clients.values()), faults


def known_clients(folder: Path) -> dict[str, Client]:
    """Return the clients by public key. Raises `KeysError` where a file is none of a client."""
    clients, faults = read_clients(folder)
    if faults:
        raise KeysError("\n".join(faults))
    return {client.public_key: client for client in clients}


def judge(clients: Mapping[str, Client], public_key: str, domain: Domain, on: date) -> Refusal | None:
    """Return why the owner of `public_key` is not let in at `domain` on the date `on`, None where it is."""
    client = clients.get(public_key)
    if client is None:
        return "unknown"
    if client.revoked:
        return "revoked"
    if client.expires and client.expires <= on:
        return "expired"
    return None if domain in client.may else "not allowed"


def _check(path: Path, client: Client, others: Mapping[str, Client]) -> None:
    check_key(client.public_key, str(path))
    if client.name != path.stem:
        raise KeysError(f"{path}: holds the key of client {client.name}: swapped? Allow both clients again")
    if client.public_key in others:
        raise KeysError(f"{path}: client {others[client.public_key].name} has this very key: each needs its own")
