"""Which sockets a configuration has towards others, and what protects each. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from station.config import Config, ZeroMqEncoder
from station.config.security import is_local

__all__ = ["Exposure", "survey"]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A socket: its place in the configuration, and how it is protected."""

    place: str
    endpoint: str
    keyed: bool

    @property
    def open(self) -> bool:
        """Whether other computers can use it, or be taken for it, without keys."""
        return not self.keyed and not is_local(self.endpoint)

    @property
    def told(self) -> str:
        """Say what protects it."""
        if self.keyed:
            return f"{self.endpoint}, for clients with keys"
        return f"{self.endpoint}, open to the network without keys" if self.open else self.endpoint


def survey(config: Config) -> Iterator[Exposure]:
    """Yield the ZeroMQ sockets that are in use, but for the control file."""
    security, publish, journal = config.security, config.publish, config.journal
    needs_keys = security.needs_keys
    yield Exposure("publish", publish.endpoint, needs_keys(publish.endpoint, publish.plain_network))
    if journal.folder is not None:
        yield Exposure("journal", journal.endpoint, needs_keys(journal.endpoint, journal.plain_network))
    if config.control.enabled and config.control.network is not None:
        yield Exposure("control", config.control.network, True)
    if isinstance(encoder := config.line.encoder, ZeroMqEncoder):
        yield Exposure("line.encoder", encoder.endpoint, encoder.publisher_key is not None)
