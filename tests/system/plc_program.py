"""A PLC of its own process, to be frozen and killed: Modbus registers or S7 data blocks, and the program inside.

    python -m tests.system.plc_program modbus|s7 PORT RETAIN SCAN_MS [again]

Prints `listening`, then the number and part of each result that it takes. The file RETAIN is its retentive memory: the
key of each result that it took, a line each. With `again` it is killed and forked anew with each line that it is told.
"""

import json
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snap7.server import Server
from snap7.type import SrvArea

from station.gateways.plc.registers import CONTROL, STATUS_WORDS
from tests.modbus_peer import serving
from tests.plc_double import PlcModel, SharedMemory

CONTROL_BLOCK, STATUS_BLOCK = 10, 11
_STATUS = 100

Exchange = Callable[[SharedMemory], None]
"""Puts the control words of a memory where the gateway reads them, and gets the status words from where it writes."""


@contextmanager
def modbus(port: int) -> Iterator[Exchange]:
    with serving(_STATUS + STATUS_WORDS, port) as peer:

        def exchange(memory: SharedMemory) -> None:
            peer.holding[: CONTROL.words] = memory.control
            memory.status[:] = peer.holding[_STATUS:]

        yield exchange


@contextmanager
def s7(port: int) -> Iterator[Exchange]:
    control, status = bytearray(2 * CONTROL.words), bytearray(2 * STATUS_WORDS)
    server = Server(log=False)
    server.register_area(SrvArea.DB, CONTROL_BLOCK, control)
    server.register_area(SrvArea.DB, STATUS_BLOCK, status)
    server.start_to("127.0.0.1", port)

    def exchange(memory: SharedMemory) -> None:
        struct.pack_into(f">{CONTROL.words}H", control, 0, *memory.control)
        memory.status[:] = struct.unpack(f">{STATUS_WORDS}H", status)

    try:
        yield exchange
    finally:
        server.stop()


def run(exchange: Exchange, retain: Path, scan_s: float) -> None:
    """Run the program for ever."""
    memory = SharedMemory()
    plc = PlcModel(memory)
    with retain.open("a+") as kept:
        kept.seek(0)
        for line in kept:
            plc.taken = json.loads(line)
        while True:
            exchange(memory)
            plc.scan()
            for result in plc.results:
                print(json.dumps(plc.taken), file=kept, flush=True)
                words = f"{result['head_inspection']} {result['result_part_id']}\n"
                print(words, end="", flush=True)  # at once: the process may be killed between two writes
            plc.results.clear()
            time.sleep(scan_s)


def main(kind: str, port: str, retain: str, scan_ms: str) -> None:
    with {"modbus": modbus, "s7": s7}[kind](int(port)) as exchanging:
        print("listening", flush=True)
        run(exchanging, Path(retain), float(scan_ms) / 1e3)


def again(*words: str) -> None:
    """Run the program in a child: to import all it needs takes a hundred times longer than to fork."""
    while True:
        if (child := os.fork()) == 0:
            main(*words)
        order = sys.stdin.readline()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not order:
            return


if __name__ == "__main__":
    if sys.argv[5:] == ["again"]:
        again(*sys.argv[1:5])
    else:
        main(*sys.argv[1:5])
