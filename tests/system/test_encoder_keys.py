"""The counter of a publisher that both sides know by their keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from shadowline.errors import KeysError
from station.clock import HostClock
from station.config import LineConfig, ZeroMqEncoder
from station.encoder_feed import EncoderFeed
from station.odometer import Odometer
from station.security.keys import Pair, make_station_pair
from station.worker import Worker
from tests.keyed import Keyring

CLOCK = HostClock()


def feed_from(endpoint: str, publisher_key: str, key_folder: Path) -> EncoderFeed:
    config = ZeroMqEncoder(type="zeromq", endpoint=endpoint, mm_per_count=0.5, publisher_key=publisher_key)
    return EncoderFeed(config, 0.2, Odometer(LineConfig(encoder=config), CLOCK), CLOCK, key_folder)


@contextmanager
def publishing(pair: Pair) -> Iterator[tuple[str, zmq.Socket[bytes]]]:
    with zmq.Context(io_threads=1) as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.curve_server = True
        socket.curve_secretkey = pair.private.encode()
        socket.bind("tcp://127.0.0.1:*")
        yield socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0"), socket


@pytest.fixture
def publisher(tmp_path: Path) -> Pair:
    return make_station_pair(tmp_path / "publisher")


def test_a_publisher_with_the_right_key_is_heard(tmp_path: Path, publisher: Pair) -> None:
    with publishing(publisher) as (endpoint, socket):
        feed = feed_from(endpoint, publisher.public, Keyring(tmp_path).folder)
        with Worker("encoder", feed.run, feed.stop):
            assert socket.poll(20_000)
            while feed.state.name != "online":
                socket.send(b'{"count": 100}')
                socket.poll(20)


def test_another_publisher_is_not_heard(tmp_path: Path, publisher: Pair) -> None:
    keyring = Keyring(tmp_path)
    with publishing(publisher) as (endpoint, socket):
        feed = feed_from(endpoint, keyring.client("plc").own.public, keyring.folder)
        with Worker("encoder", feed.run, feed.stop):
            while feed.state.name != "offline":
                socket.send(b'{"count": 100}')
                assert not socket.poll(20)


@pytest.mark.parametrize(
    ("key", "told"), [("~" * 40, r"\[line.encoder\] publisher_key: a key has 40"), ("", "no such file")]
)
def test_keys_that_can_not_be_used_end_the_start(tmp_path: Path, publisher: Pair, key: str, told: str) -> None:
    feed = feed_from("tcp://127.0.0.1:1", key or publisher.public, tmp_path / "none")
    with pytest.raises(KeysError, match=told), Worker("encoder", feed.run, feed.stop):
        pass
