"""The station as an edge node of Sparkplug B, its cameras as devices. The gateway's thread.

After the Sparkplug 3.0 specification: births before data, sequence numbers without a gap, deaths for what is not heard.
What was recorded before the birth, or while the station is silent, is historical: it changes no live value of a host.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from shadowline import __version__
from shadowline.errors import PeerLost
from station.client import Renumbered
from station.event import StateEvent
from station.gateways.base import Entry, View
from station.gateways.mqtt.base import Begin, Publication
from station.gateways.mqtt.metrics import CAMERA, NODE, Values, camera_of, taken_ms, values_of
from station.gateways.mqtt.payload import DataType, Metric, Payload, decode, encode

__all__ = ["SparkplugNode"]

_REBIRTH = "Node Control/Rebirth"
_ALIASES = 100
"""So far apart begin the aliases of station and cameras."""
_HOST_S = 1.0
"""How long to wait for the word of a primary host, which the broker keeps."""
_NEVER = 2**63
_GONE = ("offline", "ended")


class _HostState(msgspec.Struct):
    online: bool
    timestamp: int


class SparkplugNode:
    """Says what the station says as node `group`/`station`."""

    def __init__(
        self,
        group: str,
        station: str,
        cameras: Sequence[str] = (),
        primary_host: str | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`cameras` are those that are carried, all if there is none; nothing is while `primary_host` is not online."""
        self._group, self._station = group, station
        self._cameras = cameras
        self._host = primary_host
        self._now_ns = now_ns
        self._bd_seq = -1
        self._aliases: dict[str, int] = {"": 1}
        """The first alias of the node, and of each camera by its name; for good."""
        self._seq = -1
        self._due = True
        """Births are."""
        self._heard = False
        self._historical_to = _NEVER
        self._alive: list[str] = []
        """Devices that were born."""
        self._known: dict[str, dict[str, Metric]] = {}
        """The last value of each metric, by camera, `""` for the node."""
        self._host_state: _HostState | None = None
        self._begun_s = 0.0

    def begin(self) -> Begin:
        self._forget()
        self._bd_seq = (self._bd_seq + 1) % 256
        death = encode(Payload(self._now_ms(), (self._birth_sequence(),)))
        topics = [self._topic("NCMD")] + ([self._state_topic()] if self._host is not None else [])
        return Begin(Publication(self._topic("NDEATH"), death), tuple(topics))

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a command, of which only the one to be born again is followed, or the word of the host."""
        try:
            if topic == self._topic("NCMD"):
                commands = decode(payload).metrics
                self._due = self._due or any(one.name == _REBIRTH and one.value is True for one in commands)
            else:
                self._hear_host(msgspec.json.decode(payload, type=_HostState))
        except (ValueError, RecursionError):  # whoever sends what is none has no answer to expect
            return

    def tell(self, view: View) -> Sequence[Publication]:
        if self._host is not None and not self._is_host_there():
            return ()
        said: list[Publication] = []
        changes = self._changes(view)
        if view.online and not self._heard and view.beat is not None:
            self._historical_to = view.beat.last_event
        if self._due:
            self._due = False
            said += self._births()
        elif changes:
            said.append(self._data("", changes))
        return said + self._deaths_and_births(view)

    def carry(self, entry: Entry) -> Sequence[Publication]:
        if isinstance(entry, Renumbered) and self._heard:
            self._historical_to = 0
        camera = camera_of(entry) or ""
        goes = isinstance(entry, StateEvent) and entry.state in _GONE
        if camera and goes and camera not in self._alive:
            return ()
        said = [self._device_birth(camera)] if camera and camera not in self._alive else []
        said.append(self._data(camera, values_of(entry), taken_ms(entry), self._is_historical(entry)))
        if camera and goes:
            said.append(self._device_death(camera))
        return said

    def _forget(self) -> None:
        self._due, self._heard, self._historical_to = True, False, _NEVER
        self._alive.clear()
        self._known.clear()
        self._host_state = None
        self._begun_s = time.monotonic()

    def _is_host_there(self) -> bool:
        """Whether births may be said; the host's word is kept by the broker, and comes at once or never."""
        if self._host_state is None:
            if time.monotonic() - self._begun_s > _HOST_S:
                raise PeerLost(f"the broker has no word of primary host {self._host}: is it connected there?")
            return False
        if not self._host_state.online:
            raise PeerLost(f"primary host {self._host} is offline")
        return True

    def _hear_host(self, state: _HostState) -> None:
        if self._host_state is None or state.timestamp >= self._host_state.timestamp:
            self._host_state = state

    def _is_historical(self, entry: Entry) -> bool:
        return not self._heard or getattr(entry, "event", _NEVER) <= self._historical_to

    def _changes(self, view: View) -> Values:
        """Return what the node has to say of the station and did not say before."""
        now: Values = {
            "Properties/Version": __version__,
            "Station/Heard": view.online,
            "Station/Journal": view.journal,
            "Station/Expired Results": view.expired,
            "Station/Lost Messages": view.lost,
        }
        known = self._known.get("", {})
        changes = {name: value for name, value in now.items() if name not in known or known[name].value != value}
        self._keep("", changes, None, is_historical=False)
        return changes

    def _births(self) -> list[Publication]:
        """Say everything that there is, as after a connect; the sequence begins anew."""
        self._seq = -1
        rebirth = Metric(_REBIRTH, DataType.BOOLEAN, False, self._now_ms())
        births = [self._said("NBIRTH", (self._birth_sequence(), rebirth, *self._all("", NODE)))]
        return births + [self._device_birth(camera) for camera in self._alive]

    def _deaths_and_births(self, view: View) -> list[Publication]:
        """Let the cameras live that a station has which is heard again, and die when it is silent."""
        if view.online == self._heard:
            return []
        self._heard = view.online
        if not view.online:
            return [self._device_death(camera) for camera in tuple(self._alive)]
        ledger = view.beat.ledger if view.beat is not None else {}
        present = [name for name, camera in ledger.items() if camera.state not in _GONE]
        wanted = [camera for camera in present if camera not in self._alive]
        return [self._device_birth(camera) for camera in wanted if not self._cameras or camera in self._cameras]

    def _device_birth(self, camera: str) -> Publication:
        if camera not in self._alive:
            self._alive.append(camera)
            self._keep(camera, {"Reject": True}, None, is_historical=False)  # until a verdict says otherwise
        return self._said("DBIRTH", tuple(self._all(camera, CAMERA)), camera)

    def _device_death(self, camera: str) -> Publication:
        self._alive.remove(camera)
        self._known.pop(camera, None)
        return self._said("DDEATH", (), camera)

    def _data(self, camera: str, values: Values, at_ms: int | None = None, is_historical: bool = False) -> Publication:
        metrics = self._keep(camera, values, at_ms, is_historical)
        return self._said("DDATA" if camera else "NDATA", metrics, camera)

    def _keep(self, camera: str, values: Values, at_ms: int | None, is_historical: bool) -> tuple[Metric, ...]:
        """Return `values` by alias; those that are not historical are what the next birth says."""
        types, first = (CAMERA if camera else NODE), self._first_alias(camera)
        now_ms = self._now_ms() if at_ms is None else at_ms
        order = {name: first + index for index, name in enumerate(types)}
        metrics = {
            name: Metric("", types[name], value, now_ms, order[name], is_historical) for name, value in values.items()
        }
        if not is_historical:
            self._known.setdefault(camera, {}).update(metrics)
        return tuple(metrics.values())

    def _all(self, camera: str, types: Mapping[str, DataType]) -> list[Metric]:
        """Return all metrics by name and alias with their last values."""
        known, first, now_ms = self._known.get(camera, {}), self._first_alias(camera), self._now_ms()
        return [
            Metric(
                name,
                datatype,
                known[name].value if name in known else None,
                known[name].timestamp_ms if name in known else now_ms,
                first + index,
            )
            for index, (name, datatype) in enumerate(types.items())
        ]

    def _first_alias(self, camera: str) -> int:
        return self._aliases.setdefault(camera, 1 + _ALIASES * len(self._aliases))

    def _birth_sequence(self) -> Metric:
        return Metric("bdSeq", DataType.INT64, self._bd_seq, self._now_ms())

    def _said(self, kind: str, metrics: tuple[Metric, ...], camera: str = "") -> Publication:
        self._seq = (self._seq + 1) % 256
        payload = encode(Payload(self._now_ms(), metrics, self._seq))
        return Publication(self._topic(kind, camera), payload, qos=0)

    def _topic(self, kind: str, camera: str = "") -> str:
        return f"spBv1.0/{self._group}/{kind}/{self._station}" + (f"/{camera}" if camera else "")

    def _state_topic(self) -> str:
        return f"spBv1.0/STATE/{self._host}"

    def _now_ms(self) -> int:
        return self._now_ns() // 1_000_000
