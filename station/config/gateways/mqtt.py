"""The table `[gateway.NAME]` of type `mqtt`. Pure."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from station.config.gateways.base import GatewayBase
from station.config.security import is_local
from station.config.table import ConfigPath, Table

__all__ = ["MqttConfig", "MqttTlsConfig"]

_NO_WILDCARDS = r"^[^/+#$\x00-\x1f][^+#\x00-\x1f]*[^/+#\x00-\x1f]$|^[^/+#$\x00-\x1f]$"
_ONE_LEVEL = r"^[^/+#\x00-\x1f]{1,64}$"


class MqttTlsConfig(Table):
    """How broker and gateway know each other."""

    ca: ConfigPath
    """File of the certificates that the broker's must come from, PEM."""
    certificate: ConfigPath | None = None
    """The gateway's own certificate, PEM, where the broker asks for one."""
    key: ConfigPath | None = None
    """Its key, PEM, open to the gateway's user alone."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both, or none")
        return self


class MqttConfig(GatewayBase):
    """An MQTT broker, and what is said there: JSON, or Sparkplug B."""

    type: Literal["mqtt"]
    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Name or address of the broker; with TLS its certificate must be made out to it."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    """Its port, 8883 for most with TLS."""
    version: Literal["5", "3.1.1"] = "5"
    """Of the protocol; 3.1.1 does not tell that a message is refused, or heard by nobody."""
    tls: MqttTlsConfig | None = None
    """Without it nothing is encrypted."""
    plain_network: bool = False
    """Do without TLS beyond this computer: anybody there can read, and pretend to be the station or the broker."""
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Name to log in with."""
    password_file: ConfigPath | None = None
    """File with the password as its one line, open to the gateway's user alone."""
    client_id: Annotated[str, Field(pattern=r"^[\w.:-]{1,64}$")] | None = None
    """Name of the connection, which no other may have; shadowline-<station>-<gateway> without it."""
    keep_alive_s: Annotated[int, Field(ge=1, le=600)] = 10
    """After so much silence broker and gateway ask for each other."""
    max_in_flight: Annotated[int, Field(ge=2, le=10_000)] = 100
    """Messages on their way at a time, if the broker takes as many."""
    format: Literal["json", "sparkplug"] = "json"
    """The station's own messages, or metrics of Sparkplug B."""
    topic: Annotated[str, Field(pattern=_NO_WILDCARDS, max_length=200)] | None = None
    """What all topics of JSON begin with; shadowline/<station> without it."""
    keep_unheard: bool = False
    """Keep JSON results in the journal while nobody has subscribed to them; needs version 5."""
    group: Annotated[str, Field(pattern=_ONE_LEVEL)] | None = None
    """Group of Sparkplug that the station belongs to; shadowline without it."""
    primary_host: Annotated[str, Field(pattern=_ONE_LEVEL)] | None = None
    """Sparkplug host without which nothing is sent; what it misses stays in the journal and comes as historical."""

    @model_validator(mode="after")
    def _the_network_is_kept_out(self) -> Self:
        if self.tls is None and not self.plain_network and not is_local(f"tcp://{self.host}:{self.port}"):
            raise ValueError(
                f'host {self.host} is beyond this computer: tls = {{ ca = "ca.pem" }} protects what is said, '
                "plain_network = true leaves it open"
            )
        return self

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        if self.password_file is not None and self.user is None:
            raise ValueError("password_file needs the user that it belongs to")
        if self.format == "sparkplug" and (self.topic is not None or self.keep_unheard):
            raise ValueError('topic and keep_unheard are for format = "json": Sparkplug says how its topics are named')
        if self.format == "json" and (self.group is not None or self.primary_host is not None):
            raise ValueError('group and primary_host are for format = "sparkplug"')
        if self.keep_unheard and self.version != "5":
            raise ValueError('keep_unheard needs version = "5": with 3.1.1 a broker does not say that nobody hears')
        return self
