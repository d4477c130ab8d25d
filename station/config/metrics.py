"""The table `[metrics]`. Pure."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from station.config.security import is_local
from station.config.table import ConfigPath, Table

__all__ = ["MetricsConfig"]


class MetricsConfig(Table):
    """The Prometheus endpoint, and the health of the station for those who supervise it."""

    enabled: bool = True
    """Serve metrics."""
    host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9560
    """Port to listen on; 0 lets the system choose."""
    certificate: ConfigPath | None = None
    """PEM file of the certificate, with those that vouch for it; with it the metrics are served by TLS."""
    key: ConfigPath | None = None
    """PEM file of its private key, without a passphrase."""
    password_file: ConfigPath | None = None
    """Hash of the password that opens the metrics, as `station metrics password` writes it."""
    plain_network: bool = False
    """Allow an address beyond this computer without TLS and password: anybody there can read the metrics."""

    @property
    def local(self) -> bool:
        """Whether only this computer reaches the address."""
        return is_local(f"tcp://{self._place(self.port)}")

    def url(self, port: int) -> str:
        """Return where the metrics are when they are served at `port`."""
        return f"{'https' if self.certificate else 'http'}://{self._place(port)}/metrics"

    def _place(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    @property
    def exposed(self) -> bool:
        """Whether others than this computer reach the address and lack either TLS or the password."""
        return not self.local and (self.certificate is None or self.password_file is None)

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both, or none")
        return self

    @model_validator(mode="after")
    def _plain_is_meant(self) -> Self:
        if self.exposed and not self.plain_network:
            raise ValueError(
                f"host {self.host} is open to the network: give certificate, key and password_file,"
                " or allow it in plain text with plain_network = true"
            )
        return self
