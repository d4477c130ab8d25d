"""`station watch`: a process of its own that subscribes and shows. Main thread."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import zmq
from rich.console import Console
from rich.live import Live

from station.client import Peer
from station.command.options import AsJson, ConfigFile, Endpoint, KeyFolder
from station.command.peer import connect, find_peer
from station.event import Message, decode
from station.watch_view import View, describe

__all__ = ["watch"]

_REDRAW_S = 0.2


def watch(
    config: ConfigFile = Path("config.toml"),
    endpoint: Endpoint = None,
    keys: KeyFolder = None,
    lines: Annotated[bool, typer.Option("--lines", help="A line a message; the default where no terminal is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show verdicts, defects, rates, latency and the ledger of a running station."""
    peer = find_peer("publish", config, endpoint, keys)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with _subscribed(peer) as socket:
        try:
            if as_json:
                _print_json(socket)
            elif lines or not sys.stdout.isatty():
                _print_lines(socket)
            else:
                _show(socket)
        except KeyboardInterrupt:
            return


@contextmanager
def _subscribed(peer: Peer) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context(io_threads=1)
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    socket.subscribe(b"")
    try:
        connect(socket, peer)
        yield socket
    finally:
        socket.close()
        context.term()


def _receive(socket: zmq.Socket[bytes], timeout_ms: int) -> Message | None:
    """Return the next message, or None when none came or it is not one of a Shadowline station."""
    if not socket.poll(timeout_ms):
        return None
    try:
        return decode(socket.recv_multipart()[-1])
    except msgspec.DecodeError:
        return None


def _print_json(socket: zmq.Socket[bytes]) -> None:
    while True:
        print(socket.recv_multipart()[-1].decode(errors="replace"), flush=True)


def _print_lines(socket: zmq.Socket[bytes]) -> None:
    while True:
        if (message := _receive(socket, 1000)) is not None:
            print(describe(message), flush=True)


def _show(socket: zmq.Socket[bytes]) -> None:
    view, console, drawn_s = View(), Console(), 0.0
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            message = _receive(socket, round(_REDRAW_S * 1e3))
            now_s = time.monotonic()
            if message is not None:
                view.take(message, now_s)
            if now_s - drawn_s >= _REDRAW_S:
                drawn_s = now_s
                live.update(view.draw(now_s, console.width), refresh=True)
