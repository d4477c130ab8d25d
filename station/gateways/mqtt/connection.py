"""One connection to a broker: paho-mqtt without its thread, driven by whoever owns it. The gateway's thread.

Each has a clean session and a client of its own, so nothing of the one before is ever sent again by itself: what the
broker did not acknowledge is put again by the gateway.
"""

import contextlib
import select
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shadowline.errors import MissingExtra, PeerLost
from station.config.gateways import MqttConfig
from station.gateways.mqtt.base import Begin, Publication
from station.gateways.mqtt.tls import context_of, password_of

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["Connection"]

_MOST_HEARD = 100
_MOST_BYTES = 65_536
_NOBODY_SUBSCRIBED = 16
_POLL_MS = 5
_FAREWELL_S = 0.3


class Connection:
    """Publishes, and knows what the broker has acknowledged. To be closed in any case."""

    def __init__(self, config: MqttConfig, client_id: str, begin: Begin, counts: Counter[str]) -> None:
        """Count into `counts`. Raises `MissingExtra`; `ConfigError` and `KeysError` for files that the table names."""
        self._config = config
        self._begin = begin
        self._counts = counts
        self._name = f"{config.host}:{config.port}"
        self.heard: deque[tuple[str, bytes]] = deque(maxlen=_MOST_HEARD)
        """Topic and payload of what came, at most 64 KiB each; to be taken out."""
        self.waiting: dict[int, str] = {}
        """What the broker has not acknowledged yet: its topic by its id."""
        self.window = config.max_in_flight
        """So many may wait at a time."""
        self.most_bytes = 2**28 - 1
        """The longest message that the broker takes."""
        self._results: set[int] = set()
        self._connected = False
        self._fault = self._logged = ""
        self._moved_s = 0.0
        """When the broker acknowledged something last, or had nothing to acknowledge."""
        self._client = self._made(client_id)
        self._expiry = self._properties("PUBLISH", MessageExpiryInterval=max(1, round(config.max_age_s)))

    def open(self) -> None:
        """Connect, and listen. Raises `PeerLost`."""
        client, config = self._client, self._config
        properties = self._properties("CONNECT", MaximumPacketSize=_MOST_BYTES)
        try:
            client.connect(config.host, config.port, config.keep_alive_s, properties=properties)
        except (OSError, ValueError) as fault:  # ValueError: a host that is none
            raise PeerLost(f"{self._name}: {_said(fault)}") from None
        if isinstance(opened := client.socket(), socket.socket):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a message may wait 40 ms for the next
        self._await(lambda: self._connected, "does not answer")
        client.on_log = None
        for topic in self._begin.topics:
            _, number = client.subscribe(topic, qos=1)
            self._expect(number, topic)
        self._await(lambda: not self.waiting, "does not let the gateway listen")

    def publish(self, publication: Publication) -> int | None:
        """Send; return the number under which it waits, None where nothing is acknowledged. Raises `PeerLost`."""
        expiry = self._expiry if publication.perishable else None
        sent = self._client.publish(publication.topic, publication.payload, publication.qos, publication.retain, expiry)
        if not publication.qos:
            return None
        if publication.result:
            self._results.add(sent.mid)
        return self._expect(sent.mid, publication.topic)

    def mark(self) -> int:
        """Return a number that stops waiting when the broker has taken all that was sent before.

        What has no acknowledgement of its own is followed by a request that has one and changes nothing: to end a
        subscription that never was.
        """
        _, number = self._client.unsubscribe(self._begin.will.topic)
        return self._expect(number, self._begin.will.topic)

    def serve(self, wait_ms: int = 0) -> None:
        """Read what came and send what has to wait, for so long at most. Raises `PeerLost`."""
        opened = self._client.socket()
        if wait_ms and opened is not None:
            poll = select.poll()
            poll.register(opened, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
            poll.poll(wait_ms)
        try:
            self._client.loop_read()
        except ValueError as fault:  # paho lets some of what is no MQTT through
            self._blame(f"speaks no MQTT: {fault}")
        if self._client.want_write():
            self._client.loop_write()
        self._client.loop_misc()
        if not self.waiting:
            self._moved_s = time.monotonic()
        if not self._fault and time.monotonic() > self._moved_s + self._config.connect_s:
            self._fault = f"acknowledges nothing for {self._config.connect_s} s"
        if self._fault:
            raise PeerLost(f"{self._name} {self._fault}")

    def close(self, say_will: bool) -> None:
        """Say good-bye where somebody hears it, before it the will if asked to, and free everything. Never fails."""
        client = self._client
        if client.is_connected():
            with contextlib.suppress(PeerLost):
                number = self.publish(self._begin.will) if say_will else None
                self._await(lambda: number not in self.waiting, "does not take the will", _FAREWELL_S)
            client.disconnect()
        if (opened := client.socket()) is not None:
            opened.close()
        client.on_connect = client.on_disconnect = client.on_log = None
        client.on_message = client.on_publish = client.on_subscribe = client.on_unsubscribe = None

    def _made(self, client_id: str) -> "Client":
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        except ImportError:
            raise MissingExtra("paho-mqtt", "mqtt") from None
        config, will = self._config, self._begin.will
        protocol = MQTTProtocolVersion.MQTTv5 if config.version == "5" else MQTTProtocolVersion.MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False)
        client.connect_timeout = config.connect_s
        client.max_inflight_messages = 0  # as many as are published: `window` bounds them
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        if config.tls is not None:
            client.tls_set_context(context_of(config.tls))
        if config.user is not None:
            client.username_pw_set(config.user, password_of(config.password_file) if config.password_file else None)
        client.on_connect, client.on_disconnect, client.on_log = self._on_connect, self._on_disconnect, self._on_log
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_subscribe, client.on_unsubscribe = self._on_subscribe, self._on_unsubscribe
        return client

    def _properties(self, packet: str, **values: int) -> "Properties | None":
        if self._config.version != "5" or not values:
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call]
        for name, value in values.items():
            setattr(properties, name, value)
        return properties

    def _await(self, done: Callable[[], bool], fault: str, seconds: float | None = None) -> None:
        """Serve until `done`. Raises `PeerLost`, with `fault` when it takes too long."""
        within_s = self._config.connect_s if seconds is None else seconds
        self._moved_s = until_s = time.monotonic() + within_s
        while not done():
            self.serve(_POLL_MS)
            if time.monotonic() > until_s:
                raise PeerLost(f"{self._name} {fault} within {within_s} s")

    def _expect(self, number: int | None, topic: str) -> int:
        if number is None:
            raise PeerLost(f"{self._name} {self._fault or 'is lost'}")
        if not self.waiting:
            self._moved_s = time.monotonic()
        self.waiting[number] = topic
        return number

    def _settle(self, number: int, refusal: str = "") -> None:
        topic = self.waiting.pop(number, "")
        self._moved_s = time.monotonic()
        if refusal:
            self._blame(f"refuses {topic}: {refusal.lower()}")

    def _blame(self, fault: str) -> None:
        """Keep the first fault: what follows comes of it."""
        self._fault = self._fault or fault

    def _on_connect(
        self, client: "Client", own: Any, flags: "ConnectFlags", reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        if reason.is_failure:
            self._blame(f"refuses the gateway: {str(reason).lower()}")
            return
        self._connected = True
        self.window = min(self.window, getattr(properties, "ReceiveMaximum", self.window))
        self.most_bytes = getattr(properties, "MaximumPacketSize", self.most_bytes)

    def _on_disconnect(
        self,
        client: "Client",
        own: Any,
        flags: "DisconnectFlags",
        reason: "ReasonCode",
        properties: "Properties | None",
    ) -> None:
        said = f"has ended the connection: {self._logged or str(reason).lower()}"
        if self._config.tls is not None and not self._connected:
            said += ": does it ask for the gateway's own certificate, and is that valid?"
        self._blame(said)

    def _on_log(self, client: "Client", own: Any, level: int, text: str) -> None:
        if "failed to" in text:
            self._logged = text

    def _on_message(self, client: "Client", own: Any, message: "MQTTMessage") -> None:
        self.heard.append((message.topic, bytes(message.payload[:_MOST_BYTES])))

    def _on_publish(
        self, client: "Client", own: Any, number: int, reason: "ReasonCode", properties: "Properties | None"
    ) -> None:
        if number not in self.waiting:
            return
        is_result = number in self._results
        self._results.discard(number)
        if is_result and reason.value == _NOBODY_SUBSCRIBED:
            self._counts["unheard"] += 1
            if self._config.keep_unheard:
                self._blame(f"has no subscriber to {self.waiting[number]}")
                return
        self._settle(number, str(reason) if reason.is_failure else "")

    def _on_subscribe(
        self, client: "Client", own: Any, number: int, reasons: "list[ReasonCode]", properties: "Properties | None"
    ) -> None:
        self._settle(number, next((str(reason) for reason in reasons if reason.is_failure), ""))

    def _on_unsubscribe(
        self, client: "Client", own: Any, number: int, reasons: "list[ReasonCode]", properties: "Properties | None"
    ) -> None:
        self._settle(number)


def _said(fault: Exception) -> str:
    """Return what a fault of the network is, and what is wrong with a certificate."""
    match fault:
        case ssl.SSLCertVerificationError():
            return f"the broker's certificate can't be trusted: {fault.verify_message}"
        case ssl.SSLError():
            return f"no TLS: {(fault.reason or str(fault)).lower().replace('_', ' ')}"
        case TimeoutError():
            return "does not answer"
        case OSError():
            return (fault.strerror or str(fault)).lower()
        case _:
            return str(fault)
