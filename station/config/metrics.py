"""The table `[metrics]`. Pure."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from station.config.served import ServedTable
from station.config.table import ConfigPath

__all__ = ["MetricsConfig"]


class MetricsConfig(ServedTable):
    """The Prometheus endpoint, and the health of the station for those who supervise it."""

    enabled: bool = True
    """Serve metrics."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9560
    """Port to listen on; 0 lets the system choose."""
    password_file: ConfigPath | None = None
    """Hash of the password that opens the metrics, as `station metrics password` writes it."""
    plain_network: bool = False
    """Allow an address beyond this computer without TLS and password: anybody there can read the metrics."""

    def url(self, port: int) -> str:
        """Return where the metrics are when they are served at `port`."""
        return f"{self.origin(port)}/metrics"

    @property
    def exposed(self) -> bool:
        """Whether others than this computer reach the address and lack either TLS or the password."""
        return not self.local and (self.certificate is None or self.password_file is None)

    @model_validator(mode="after")
    def _plain_is_meant(self) -> Self:
        if self.exposed and not self.plain_network:
            raise ValueError(
                f"host {self.host} is open to the network: give certificate, key and password_file,"
                " or allow it in plain text with plain_network = true"
            )
        return self
