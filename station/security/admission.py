"""Answers libzmq's question about each client that comes with a key (ZAP, ZeroMQ RFC 27). Gate thread.

libzmq asks once, when a client comes. So it is remembered who was let in, and looked again and again whether they still
may be there.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from zmq.utils import z85

from station.security.clients import DOMAINS, Domain, Refusal
from station.security.roster import Roster
from station.security.tally import Tally

__all__ = ["Admission"]

_REREAD_NS = 10_000_000
_DOMAINS: Final[Mapping[bytes, Domain]] = MappingProxyType({domain.encode(): domain for domain in DOMAINS})


class Admission:
    """Lets in whom the roster knows; without one, nobody."""

    def __init__(self, roster: Roster | None, tally: Tally) -> None:
        self._roster = roster
        self._tally = tally
        self._guests: set[tuple[Domain, str]] = set()
        self._reread_ns = 0

    def answer(self, question: list[bytes]) -> list[bytes]:
        """Return the answer to libzmq's question; who is let in is known by its public key from then on."""
        version, number, name, address, _, _, key = question
        domain, public_key = _DOMAINS[name], z85.encode(key).decode()
        if refusal := self._refusal(domain, public_key):
            self._tally.refuse(domain, refusal, f"a client from {address.decode()}")
            return [version, number, b"400", refusal.encode(), b"", b""]
        self._guests.add((domain, public_key))
        return [version, number, b"200", b"", public_key.encode(), b""]

    def domains_to_renew(self) -> set[Domain]:
        """Read the clients' files where they have changed; return where somebody is who may be there no more."""
        if self._roster is None:
            return set()
        self._roster.refresh()
        gone = {(domain, key) for domain, key in self._guests if self._roster.refusal(key, domain)}
        self._guests -= gone
        return {domain for domain, _ in gone}

    def name_of(self, domain: Domain, public_key: str) -> str | None:
        """Return the name of a client that was let in, None where it may be there no more. Any thread."""
        if self._roster is None or self._roster.refusal(public_key, domain):
            return None
        return self._roster.name_of(public_key)

    def _refusal(self, domain: Domain, public_key: str) -> Refusal | None:
        """Return why a client is not let in, by what stands in the files now: once refused, it does not try again."""
        if self._roster is None:
            return "unknown"
        refusal = self._roster.refusal(public_key, domain)
        if refusal and time.monotonic_ns() - self._reread_ns > _REREAD_NS:
            self._reread_ns = time.monotonic_ns()
            self._roster.refresh()
            refusal = self._roster.refusal(public_key, domain)
        return refusal
