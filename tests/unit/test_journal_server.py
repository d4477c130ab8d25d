import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import zmq

from station.clock import HostClock
from station.config import JournalConfig, SecurityConfig
from station.journal.database import damaged_files
from station.journal.protocol import (
    Acknowledge,
    Cursor,
    Latest,
    Page,
    Read,
    Refused,
    Reply,
    Request,
    Snapshot,
    Where,
    decode_reply,
)
from station.journal.server import Replay
from station.security.gate import Gate
from station.worker import Worker
from tests.journals import Kept, change, keeping, line_numbers, wait_until

Kind = TypeVar("Kind", bound=Reply)


@dataclass
class Asker:
    """A consumer of a running journal."""

    kept: Kept
    replay: Replay
    socket: zmq.Socket[bytes]

    def ask_raw(self, *parts: bytes) -> tuple[Reply, list[bytes]]:
        self.socket.send_multipart(parts)
        assert self.socket.poll(20_000), "no answer"
        reply, *more = self.socket.recv_multipart()
        return decode_reply(reply), more

    def ask(self, request: Request, kind: type[Kind]) -> tuple[Kind, list[bytes]]:
        reply, parts = self.ask_raw(msgspec.json.encode(request))
        assert isinstance(reply, kind), reply
        assert reply.id == request.id
        return reply, parts


@contextmanager
def asking(folder: Path, kind: int = zmq.DEALER) -> Iterator[Asker]:
    """Run a journal with its server, and connect to it."""
    config = JournalConfig(endpoint=f"ipc://{folder.parent}/replay")
    gate = Gate(SecurityConfig())
    with Worker("gate", gate.run, gate.stop), keeping(folder) as kept:
        replay = Replay(config, kept.journal, gate, HostClock())
        with (
            Worker("replay", replay.run, replay.stop),
            zmq.Context(io_threads=1) as context,
            context.socket(kind) as socket,
        ):
            socket.linger = 0
            socket.connect(config.endpoint)
            yield Asker(kept, replay, socket)


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with asking(tmp_path / "journal") as asker:
        asker.kept.put(*range(1, 101))
        asker.kept.wait_for(100)
        yield asker


def test_a_read_gives_a_range_and_says_where_to_read_on(asker: Asker) -> None:
    page, parts = asker.ask(Read(7, 10, 19), Page)
    assert (page.journal, page.first, page.last, page.next) == (asker.kept.journal.id, 1, 100, 20)
    assert line_numbers(parts) == list(range(10, 20))


def test_a_read_to_the_newest_ends_with_what_is_on_the_disk(asker: Asker) -> None:
    page, parts = asker.ask(Read(1, 95), Page)
    assert (line_numbers(parts), page.next) == ([95, 96, 97, 98, 99, 100], 101)
    page, parts = asker.ask(Read(2, 101), Page)
    assert (parts, page.next) == ([], 101)
    page, parts = asker.ask(Read(3, 500), Page)
    assert (parts, page.next) == ([], 500)


def test_a_long_read_comes_in_pages_of_about_a_megabyte(asker: Asker) -> None:
    asker.kept.put(*range(101, 2101), size=2000)
    asker.kept.wait_for(2100)
    start, numbers, pages = 1, [], 0
    while start <= 2100:
        page, parts = asker.ask(Read(pages, start), Page)
        assert sum(map(len, parts)) < 1_400_000
        numbers += line_numbers(parts)
        start, pages = page.next, pages + 1
    assert numbers == list(range(1, 2101))
    assert pages < 8


def test_a_late_joiner_gets_the_newest_of_each_topic(asker: Asker) -> None:
    latest, parts = asker.ask(Snapshot(1), Latest)
    assert (latest.first, latest.last) == (1, 100)
    assert line_numbers(parts) == [100]


def test_a_consumer_goes_on_where_it_was_also_after_a_restart(tmp_path: Path) -> None:
    with asking(tmp_path / "journal") as asker:
        asker.kept.put(1, 2, 3)
        asker.kept.wait_for(3)
        assert asker.ask(Where(1, "plc"), Cursor)[0].acknowledged is None
        assert asker.ask(Acknowledge(2, "plc", 2), Cursor)[0].acknowledged == 2
        assert asker.ask(Acknowledge(3, "plc", 1), Cursor)[0].acknowledged == 2
    with asking(tmp_path / "journal") as asker:
        assert asker.ask(Where(4, "plc"), Cursor)[0].acknowledged == 2


def test_what_is_not_on_the_disk_can_not_be_acknowledged(asker: Asker) -> None:
    refused, _ = asker.ask(Acknowledge(1, "plc", 101), Refused)
    assert refused.error == "101 can't be acknowledged: the newest on disk is 100"
    assert asker.ask(Where(2, "plc"), Cursor)[0].acknowledged is None


def test_what_was_counted_in_another_journal_can_not_be_acknowledged(asker: Asker) -> None:
    ours = asker.kept.journal.id
    refused, _ = asker.ask(Acknowledge(1, "plc", 5, "0123456789abcdef"), Refused)
    assert refused.error == f"5 is of journal 0123456789abcdef, this one is {ours}: begin anew"
    assert asker.ask(Acknowledge(2, "plc", 5, ours), Cursor)[0].acknowledged == 5


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\x00",
        b"{}",
        b"[" * 4000,
        b'{"do":"read","id":1,"start":-1}',
        b'{"do":"read","id":1,"start":1e30}',
        b'{"do":"read","id":1,"start":1,"more":2}',
        b'{"do":"where","id":1,"consumer":"../x"}',
        b'{"do":"acknowledge","id":1,"consumer":"x","event":9223372036854775808}',
        b'{"do":"delete","id":1}',
    ],
)
def test_what_is_no_request_is_refused_and_counted(asker: Asker, payload: bytes) -> None:
    reply, parts = asker.ask_raw(payload)
    assert isinstance(reply, Refused)
    assert (reply.id, parts) == (0, [])
    assert asker.replay.replies["refused"] == 1
    assert asker.ask(Read(9, 100), Page)[0].next == 101


def test_a_request_socket_is_answered_too(tmp_path: Path) -> None:
    with asking(tmp_path / "journal", zmq.REQ) as asker:
        assert asker.ask(Read(9, 1), Page)[0].next == 1


def test_a_batch_with_a_wrong_checksum_is_left_out_and_announced(asker: Asker) -> None:
    asker.kept.put(101, 102)
    asker.kept.wait_for(102)
    change(asker.kept.journal.path, "UPDATE batch SET lines = ? WHERE first = 1", b"nonsense")
    page, parts = asker.ask(Read(1, 1), Page)
    assert line_numbers(parts) == [number for number in range(1, 103) if number not in _lost(asker)]
    assert page.next == 103


def _lost(asker: Asker) -> range:
    wait_until(lambda: asker.kept.losses)
    (loss,) = asker.kept.losses
    return range(loss.first, loss.last + 1)


def test_a_page_of_garbage_in_the_database_puts_it_aside(asker: Asker) -> None:
    asker.kept.put(*range(101, 1101), size=2000)
    asker.kept.wait_for(1100)
    path = asker.kept.journal.path
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'batch'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    refused, _ = asker.ask(Read(1, 1), Refused)
    assert "malformed" in refused.error
    wait_until(lambda: damaged_files(path))
    asker.kept.put(1101)
    asker.kept.wait_for(1101)
    page, parts = asker.ask(Read(2, 1), Page)
    assert (line_numbers(parts), page.first, page.last) == ([1101], 1101, 1101)
    assert [(loss.first, loss.last) for loss in asker.kept.losses] == [(1, 1100)]


def test_damaged_cursors_are_put_aside_and_consumers_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "cursors.db"
    path.parent.mkdir()
    path.write_bytes(b"garbage " * 5000)
    with asking(tmp_path / "journal") as asker:
        assert "ask again" in asker.ask(Where(1, "plc"), Refused)[0].error
        assert asker.ask(Where(2, "plc"), Cursor)[0].acknowledged is None
    assert len(damaged_files(path)) == 1
