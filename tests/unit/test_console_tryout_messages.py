"""What travels between the console and its judging process, whole or as a clear end."""

import socket
from collections.abc import Iterator

import pytest

from station.console.tryout.messages import (
    Choice,
    Reply,
    Sorry,
    Task,
    receive,
    receive_reply,
    send,
    send_reply,
)

TASK = Task((Choice("default", "default"), Choice("b", "default", "/models/b.onnx")), "top", True)


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_task_and_its_reply_arrive_as_they_were_sent(line: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = line
    send(ours, TASK, b"picture")
    assert receive(theirs) == (TASK, b"picture")
    replies: list[Reply] = [Sorry("default", "no")]
    send_reply(theirs, replies)
    assert receive_reply(ours, 5.0) == replies


def test_an_end_is_told_on_both_sides(line: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = line
    ours.close()
    assert receive(theirs) is None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\x00\x00")
        theirs.close()
        with pytest.raises(EOFError):
            receive_reply(ours, 5.0)


def test_a_reply_that_does_not_come_is_given_up(line: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = line
    theirs.sendall(b"\x00\x00\x00\x10half")
    with pytest.raises(TimeoutError):
        receive_reply(ours, 0.05)
