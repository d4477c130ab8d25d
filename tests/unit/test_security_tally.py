import logging

import pytest

from station.security.tally import Tally

S = 1_000_000_000


def test_trouble_is_told_once_when_it_begins_and_once_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now_ns = [S]
    tally = Tally(lambda: now_ns[0])
    for _ in range(1000):
        tally.refuse("replay", "unknown", "a client from 10.0.0.1")
        tally.calm()
    now_ns[0] += 30 * S
    tally.refuse("replay", "malformed", "a connection")
    tally.calm()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "replay: refused a client from 10.0.0.1: unknown" in caplog.text
    now_ns[0] += 61 * S
    tally.calm()
    tally.calm()
    assert [record.getMessage() for record in caplog.records][1:] == [
        "replay: refused 1001 in 30 s, and none for a minute"
    ]
    assert tally.refused == {("replay", "unknown"): 1000, ("replay", "malformed"): 1}


def test_each_domain_has_its_own_trouble(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    tally.refuse("events", "unknown", "a client")
    tally.refuse("control", "unknown", "a client")
    assert len(caplog.records) == 2
