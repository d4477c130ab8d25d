import http.server
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from station.config.gateways import GatewayConfig, ModbusConfig
from station.console.live.gateways import ask_gateways


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """Yield the port of a server that answers so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def gateway(port: int | None) -> dict[str, GatewayConfig]:
    return {"plc": ModbusConfig(type="modbus", role="client", host="plc", metrics_port=port)}


ANSWERS = {
    "it carries": (200, b'{"ok": true, "reasons": []}', "online", ""),
    "it says what is in the way": (503, b'{"ok": false, "reasons": ["a", "b"]}', "degraded", "a; b"),
    "no gateway": (200, b"<html>", "offline", "what answers at port {port} is no gateway"),
    "nor this": (200, b"[1]", "offline", "what answers at port {port} is no gateway"),
}


@pytest.mark.parametrize(("status", "body", "state", "detail"), ANSWERS.values(), ids=ANSWERS)
def test_a_gateway_is_asked_at_its_own_port(status: int, body: bytes, state: str, detail: str) -> None:
    with answering(status, body) as port:
        (told,) = ask_gateways(gateway(port))
    assert (told.name, told.type, told.state) == ("plc", "modbus", state)
    assert told.detail == detail.format(port=port)


def test_one_that_does_not_run_is_offline_and_one_without_a_port_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert [one.state for one in ask_gateways(gateway(port))] == ["offline"]
    assert [one.state for one in ask_gateways(gateway(None))] == ["unknown"]
    assert ask_gateways({}) == ()
