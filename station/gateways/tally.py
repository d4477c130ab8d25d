"""A gateway's own numbers and state, and how Prometheus sees them. The gateway's thread writes, any thread reads."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from station.client import Gap
from station.event import InspectionEvent
from station.gateways.base import Entry, GatewayState

__all__ = ["Tally"]

_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0)
_STATES: tuple[GatewayState, ...] = ("starting", "online", "retrying", "offline")


class Tally:
    """What one gateway did since its start. Totals only grow."""

    def __init__(self, name: str, kind: str) -> None:
        """`kind` is the gateway's type."""
        self.name, self.kind = name, kind
        self.state: GatewayState = "starting"
        self.detail = ""
        self.station_online = False
        self.carried = 0
        """Results that the peer has settled."""
        self.expired = 0
        self.lost = 0
        self.late = 0
        self.reconnects = 0
        """Attempts that failed and connections that were lost."""
        self.waiting = 0
        self.done = 0
        """The last number that is settled."""
        self.reject = True
        self.counts: Mapping[str, int] = {}
        """The outlet's own."""
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._seconds = Histogram(
            "station_gateway_delivery_seconds",
            "From hearing a result to the peer's acknowledgement.",
            ["gateway"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        ).labels(name)

    def change(self, state: GatewayState, detail: str) -> bool:
        """Note the state; return whether it is another one."""
        changed = state != self.state
        self.state, self.detail = state, detail
        return changed

    def carry(self, entry: Entry, seconds: float) -> None:
        """Count what the peer has settled."""
        if isinstance(entry, InspectionEvent):
            self.carried += 1
            self._seconds.observe(seconds)

    def lose(self, gap: Gap) -> None:
        """Count numbers that never came."""
        self.lost += gap.last - gap.first + 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the moment. Metrics thread."""
        labels = ["gateway", "type"]
        names = [self.name, self.kind]
        state = GaugeMetricFamily(
            "station_gateway_state", "1 for the state that the gateway is in.", labels=["gateway", "type", "state"]
        )
        for one in _STATES:
            state.add_metric([*names, one], float(one == self.state))
        yield state
        gauges = {
            "waiting_messages": ("Messages that the station has sent and the peer has not settled.", self.waiting),
            "station_online": ("1 while the gateway hears the station.", self.station_online),
            "reject_output": ("1 while the reject output says reject.", self.reject),
        }
        for name, (text, value) in gauges.items():
            gauge = GaugeMetricFamily(f"station_gateway_{name}", text, labels=labels)
            gauge.add_metric(names, float(value))
            yield gauge
        counters = {
            "carried_results": ("Results that the peer has settled.", self.carried),
            "expired_results": ("Results that were too old when the peer could have had them.", self.expired),
            "lost_messages": ("Messages that never reached the gateway.", self.lost),
            "late_results": ("Results that came when their part had reached the reject gate.", self.late),
            "reconnects": ("Attempts that failed and connections that were lost.", self.reconnects),
        }
        for name, (text, total) in counters.items():
            counter = CounterMetricFamily(f"station_gateway_{name}", text, labels=labels)
            counter.add_metric(names, total)
            yield counter
        own = CounterMetricFamily(
            "station_gateway_events", "What the gateway's own protocol counts.", labels=["gateway", "what"]
        )
        for what, total in sorted(self.counts.items()):
            own.add_metric([self.name, what], total)
        yield own
