"""The data blocks of a Siemens PLC."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from snap7.server import Server
from snap7.type import SrvArea

from shadowline.errors import PeerLost
from station.config.gateways import S7Config
from station.gateways.plc.registers import CONTROL, STATUS_WORDS
from station.gateways.plc.s7 import s7_blocks
from station.worker import Ready, Worker


@contextmanager
def blocks(control_bytes: int = 200, status_bytes: int = 400) -> Iterator[tuple[S7Config, bytearray, bytearray]]:
    """Serve two data blocks, 10 and 11, and yield the table that names them."""
    control, status = bytearray(control_bytes), bytearray(status_bytes)
    server = Server(log=False)
    server.register_area(SrvArea.DB, 10, control)
    server.register_area(SrvArea.DB, 11, status)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server.start_to("127.0.0.1", port)
    table = {"type": "s7", "host": "127.0.0.1", "port": port, "control_block": 10, "status_block": 11}
    try:
        yield S7Config.model_validate(table | {"control_byte": 8, "status_byte": 20}), control, status
    finally:
        server.stop()


def test_words_are_read_and_written_where_the_table_says() -> None:
    with blocks() as (settings, control, status), s7_blocks(settings) as memory:
        struct.pack_into(f">{CONTROL.words}H", control, 8, *range(CONTROL.words))
        assert list(memory.read_control()) == [*range(CONTROL.words)]
        memory.write_status(0, [0x1234] * STATUS_WORDS)
        assert status[20 : 20 + 2 * STATUS_WORDS] == b"\x12\x34" * STATUS_WORDS
        assert not any(status[:20])
        memory.write_reject(True)


def test_blocks_that_are_too_short_are_told() -> None:
    with blocks(control_bytes=20, status_bytes=40) as (settings, _, _), s7_blocks(settings) as memory:
        with pytest.raises(PeerLost, match="data blocks 10 and 11"):
            memory.read_control()
        with pytest.raises(PeerLost, match="data blocks 10 and 11"):
            memory.write_status(100, [1])


def test_a_plc_that_is_away_is_lost_at_once() -> None:
    with blocks() as (settings, _, _):
        pass
    with pytest.raises(PeerLost, match="can't be reached"), s7_blocks(settings):
        pass


def test_what_is_no_s7_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def be_rude(ready: Ready) -> None:
            ready()
            for _ in range(2):
                peer, _ = listening.accept()
                with peer, suppress(OSError):
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        table = {"type": "s7", "host": "127.0.0.1", "port": listening.getsockname()[1], "connect_s": 5.0}
        settings = S7Config.model_validate(table | {"control_block": 1, "status_block": 2})
        with Worker("rude", be_rude, lambda: None), pytest.raises(PeerLost), s7_blocks(settings):
            pass


@pytest.mark.parametrize("said", [b"", b"\x03\x00"])
def test_a_plc_that_takes_the_connection_and_stays_mute_is_lost_in_time(said: bytes) -> None:
    heard: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def be_mute(ready: Ready) -> None:
            ready()
            for _ in range(2):
                heard.append(listening.accept()[0])
            heard[1].sendall(said)

        table = {"type": "s7", "host": "127.0.0.1", "port": listening.getsockname()[1], "connect_s": 0.2}
        settings = S7Config.model_validate(table | {"control_block": 1, "status_block": 2})
        with (
            Worker("mute", be_mute, lambda: None),
            pytest.raises(PeerLost, match=r"takes the connection and says nothing for 0\.2 s"),
            s7_blocks(settings),
        ):
            pass
    for peer in heard:
        peer.close()


def test_fifty_sessions_leave_nothing_behind() -> None:
    with blocks() as (settings, _, _):
        for _ in range(50):
            with s7_blocks(settings) as memory:
                memory.write_status(0, [1])
