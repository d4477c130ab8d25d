"""A Modbus TCP server of a PLC: its holding registers are a list, served in a thread."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from station.worker import Ready, Worker

__all__ = ["RegistersPeer", "serving"]


@dataclass
class RegistersPeer:
    """What it serves at 127.0.0.1, and where."""

    holding: list[int]
    coil: bool | None = None
    port: int = 0
    connections: int = 0
    """So many were made."""


@contextmanager
def serving(words: int = 300, port: int = 0) -> Iterator[RegistersPeer]:
    """Serve so many holding registers and one coil for the length of a block."""
    peer = RegistersPeer([0] * words, port=port)
    ended = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve(ready: Ready) -> None:
        server = ModbusTcpServer(
            _device(peer), address=("127.0.0.1", port), trace_connect=lambda made: _count(peer, made)
        )
        assert await server.listen()
        peer.port = server.transport.sockets[0].getsockname()[1]
        loops.append(asyncio.get_running_loop())
        ready()
        await ended.wait()
        server.close()

    with Worker(
        "modbus peer", lambda ready: asyncio.run(serve(ready)), lambda: loops[0].call_soon_threadsafe(ended.set)
    ):
        yield peer


def _count(peer: RegistersPeer, made: bool) -> None:
    peer.connections += made


def _device(peer: RegistersPeer) -> SimDevice:
    async def act(
        function: int, start: int, address: int, count: int, held: list[int], values: list[int] | None
    ) -> None:
        if function in (1, 5):
            if values is not None:
                peer.coil = bool(values[0])
            return
        if values is not None:
            peer.holding[address : address + count] = values
        held[address : address + count] = peer.holding[address : address + count]

    bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
    holding = SimData(0, count=len(peer.holding), values=0, datatype=DataType.REGISTERS)
    blocks = ([bits], [bits], [holding], [SimData(0, values=0, datatype=DataType.REGISTERS)])
    return SimDevice(1, blocks, use_bit_addressing=True, action=act)
