"""Whether the gateways bring results to their peers: asked at their own `/readyz`. A thread of the pool."""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import msgspec

from station.config.gateways import GatewayConfig

__all__ = ["GatewayView", "ask_gateways"]

_TIMEOUT_S = 1.0
_MOST_BYTES = 4096

GatewayState: TypeAlias = Literal["online", "degraded", "offline", "unknown"]


class GatewayView(msgspec.Struct, frozen=True):
    """How a gateway is; `unknown` without a `metrics_port`, where nobody can ask it."""

    name: str
    type: str
    state: GatewayState
    detail: str


def ask_gateways(gateways: Mapping[str, GatewayConfig]) -> tuple[GatewayView, ...]:
    """Return how each of the configuration's gateways is; asks one after the other, a second each at most."""
    return tuple(_ask_all(gateways))


def _ask_all(gateways: Mapping[str, GatewayConfig]) -> Iterator[GatewayView]:
    for name, settings in gateways.items():
        state, detail = _ask(settings.metrics_port) if settings.metrics_port else ("unknown", "")
        yield GatewayView(name, settings.type, state, detail)


def _ask(port: int) -> tuple[GatewayState, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        told = json.loads(connection.getresponse().read(_MOST_BYTES))
        return ("online", "") if told["ok"] else ("degraded", "; ".join(map(str, told.get("reasons", ()))))
    except (OSError, http.client.HTTPException):
        return "offline", ""
    except (ValueError, LookupError, TypeError):
        return "offline", f"what answers at port {port} is no gateway"
    finally:
        connection.close()
