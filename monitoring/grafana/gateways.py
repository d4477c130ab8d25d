"""The dashboard of the gateways: whether PLC and SCADA have what the line decided. Pure."""

from monitoring.grafana.panels import Panel, Row, lines, stat

__all__ = ["GATEWAYS"]

_OF = 'job="shadowline-gateways"'
_YES = {"0": ("no", "red"), "1": ("yes", "green")}


def _a_minute(total: str, by: str = "gateway") -> str:
    return f"60 * sum by ({by}) (rate(station_gateway_{total}_total{{{_OF}}}[$__rate_interval]))"


def _within(part: float) -> str:
    buckets = f"rate(station_gateway_delivery_seconds_bucket{{{_OF}}}[$__rate_interval])"
    return f"histogram_quantile({part}, sum by (le, gateway) ({buckets}))"


GATEWAYS: list[Row] = [
    (
        5,
        [
            stat(
                "Peers that are reached",
                f'avg(station_gateway_state{{{_OF}, state="online"}})',
                6,
                unit="percentunit",
                limits=((None, "red"), (1, "green")),
            ),
            stat(
                "Results that wait",
                f"sum(station_gateway_waiting_messages{{{_OF}}})",
                6,
                limits=((None, "green"), (100, "orange"), (1000, "red")),
            ),
            stat(
                "Given up in the last hour",
                f"sum(increase(station_gateway_expired_results_total{{{_OF}}}[1h]))",
                6,
                limits=((None, "green"), (1, "red")),
                words="Results that were too old when the peer could have had them.",
            ),
            stat(
                "Late at the gate in the last hour",
                f"sum(increase(station_gateway_late_results_total{{{_OF}}}[1h]))",
                6,
                limits=((None, "green"), (1, "red")),
                words="Their parts were rejected.",
            ),
        ],
    ),
    (
        7,
        [
            Panel(
                "state-timeline",
                "Peer reached",
                ((f'station_gateway_state{{{_OF}, state="online"}}', "{{gateway}}"),),
                8,
                names=_YES,
                options={"showValue": "never", "mergeValues": True},
            ),
            Panel(
                "state-timeline",
                "Station heard",
                ((f"station_gateway_station_online{{{_OF}}}", "{{gateway}}"),),
                8,
                names=_YES,
                options={"showValue": "never", "mergeValues": True},
            ),
            Panel(
                "state-timeline",
                "Output of the reject gate",
                ((f"station_gateway_reject_output{{{_OF}}}", "{{gateway}}"),),
                8,
                names={"0": ("pass", "green"), "1": ("reject", "red")},
                options={"showValue": "never", "mergeValues": True},
            ),
        ],
    ),
    (
        8,
        [
            lines("Results carried a minute", ((_a_minute("carried_results"), "{{gateway}}"),), 8),
            lines(
                "From hearing a result to its acknowledgement",
                ((_within(0.5), "{{gateway}}: half within"), (_within(0.99), "{{gateway}}: 99 % within")),
                8,
                unit="s",
            ),
            lines("Messages that wait", ((f"station_gateway_waiting_messages{{{_OF}}}", "{{gateway}}"),), 8),
        ],
    ),
    (
        8,
        [
            lines("Peers lost a minute", ((_a_minute("reconnects"), "{{gateway}}"),), 8),
            lines(
                "Given up and lost a minute",
                (
                    (_a_minute("expired_results"), "{{gateway}} expired"),
                    (_a_minute("lost_messages"), "{{gateway}} lost"),
                ),
                8,
            ),
            lines(
                "What the protocols count, a minute",
                ((_a_minute("events", "gateway, what"), "{{gateway}} {{what}}"),),
                8,
            ),
        ],
    ),
]
