"""Pauses before a lost peer is tried again."""

from station.config.gateways import GatewayBase
from station.gateways.circuit import Circuit

CONFIG = GatewayBase(backoff_s=0.1, backoff_max_s=3.0, breaker_failures=5)


def test_pauses_double_up_to_the_longest_which_an_open_breaker_keeps() -> None:
    circuit = Circuit(CONFIG, draw=lambda: 1.0)
    assert [circuit.fail() for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 3.0, 3.0, 3.0]
    assert circuit.is_open


def test_pauses_are_drawn_from_their_upper_half() -> None:
    shortest = Circuit(CONFIG, draw=lambda: 0.0)
    assert [shortest.fail() for _ in range(3)] == [0.05, 0.1, 0.2]
    drawn = Circuit(CONFIG)
    assert all(0.05 <= Circuit(CONFIG).fail() <= 0.1 for _ in range(20))
    assert 0.05 <= drawn.fail() <= 0.1


def test_a_peer_that_held_begins_anew() -> None:
    circuit = Circuit(CONFIG, draw=lambda: 1.0)
    for _ in range(6):
        circuit.fail()
    circuit.close()
    assert not circuit.is_open
    assert circuit.fail() == 0.1


def test_a_million_failures_still_have_a_pause() -> None:
    circuit = Circuit(GatewayBase(breaker_failures=1_000_000), draw=lambda: 1.0)
    circuit.failures = 900_000
    assert circuit.fail() == 10.0
