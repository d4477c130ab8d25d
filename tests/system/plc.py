"""A PLC of its own process, to be frozen and killed: a Modbus TCP server with 100 holding and 100 input registers."""

import asyncio
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

INPUTS = (0x0001, 0x0002, 0x0003, 0x0004)
"""What the first input registers hold."""


async def serve(port: int) -> None:
    """Serve unit 1 at 127.0.0.1, and say so in one line."""
    bits = SimData(0, values=True, datatype=DataType.BITS)
    holding = SimData(0, count=100, values=0, datatype=DataType.REGISTERS)
    inputs = SimData(0, values=[*INPUTS, *[0] * 96], datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(1, ([bits], [bits], [holding], [inputs])), address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
