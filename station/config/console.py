"""The table `[console]`. Pure."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from station.config.served import ServedTable
from station.config.table import ConfigPath
from station.config.teach import TeachConfig

__all__ = ["ConsoleConfig", "Language"]

Language: TypeAlias = Literal["en", "de", "zh"]


class ConsoleConfig(ServedTable):
    """The web console, a process of its own: `station console`."""

    folder: ConfigPath | None = None
    """Where it keeps people, reviews and history; without it there is no console."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9580
    """Port to listen on; 0 lets the system choose."""
    names: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Names of this computer that browsers may ask for, beside its addresses, `localhost` and its own name."""
    plain_network: bool = False
    """Allow an address beyond this computer without TLS: anybody between can read passwords and act in their names."""
    language: Language = "en"
    """Language before somebody has logged in, and of new people."""
    session_hours: Annotated[float, Field(gt=0, le=744)] = 12.0
    """A login ends after this long."""
    idle_minutes: Annotated[float, Field(gt=0, le=44_640)] = 60.0
    """A login ends after this long without a request."""
    logins_per_minute: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    """Logins that may be tried with one name, and thrice as many from one address, on the average and at once."""
    requests_per_s: Annotated[float, Field(gt=0, le=100_000)] = 500.0
    """Requests that one address may send, on the average; twice as many at once. More are refused."""
    upload_mb: Annotated[int, Field(ge=1, le=4096)] = 128
    """Most that one upload may bring."""
    teach: TeachConfig = TeachConfig()
    """The review and its trainings."""

    def url(self, port: int) -> str:
        """Return where the console is when it is served at `port`."""
        return f"{self.origin(port)}/"

    @model_validator(mode="after")
    def _plain_is_meant(self) -> Self:
        if not self.local and self.certificate is None and not self.plain_network:
            raise ValueError(
                f"host {self.host} is open to the network: give certificate and key,"
                " or allow passwords in plain text with plain_network = true"
            )
        return self
