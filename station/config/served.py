"""What every table of something that is served over HTTP has: where, and by which certificate. Pure."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from station.config.security import is_local
from station.config.table import ConfigPath, Table

__all__ = ["ServedTable"]


class ServedTable(Table):
    """Address, port and certificate."""

    host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    """Address to listen on; more than this computer's own asks for protection."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port to listen on; 0 lets the system choose."""
    certificate: ConfigPath | None = None
    """PEM file of the certificate, with those that vouch for it; with it all is served by TLS."""
    key: ConfigPath | None = None
    """PEM file of its private key, without a passphrase."""

    @property
    def local(self) -> bool:
        """Whether only this computer reaches the address."""
        return is_local(f"tcp://{self._place(self.port)}")

    def origin(self, port: int) -> str:
        """Return how an address in a browser begins when it is served at `port`."""
        return f"{'https' if self.certificate else 'http'}://{self._place(port)}"

    def _place(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both, or none")
        return self
