"""A PLC in Python, for a gateway of type `modbus` with role `server`: `python docs/examples/plc.py [HOST] [PORT]`.

Each cycle is that of a PLC: read the station's words, take a result that is whole and new, write the own words. The
program is that of docs/plc.md, line by line; it prints what it takes, and when everything means reject.
"""

import sys
import time

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException

from station.gateways.plc.registers import CONTROL, HEAD, OUTPUT, RESULT, TAIL

CONTROL_REGISTER, STATUS_REGISTER = 0, 100
KEY = ("numbering", "inspection", "check")
CYCLE_S = 0.01


def read(client: ModbusTcpClient) -> dict:
    """Read the status in the order of its words: the head's key comes before the result, the tail's behind."""
    head_words, result_words = OUTPUT.words + HEAD.words, RESULT.words + TAIL.words
    head = client.read_input_registers(STATUS_REGISTER, count=head_words).registers
    result = client.read_input_registers(STATUS_REGISTER + head_words, count=result_words).registers
    values = {"outputs_reject": head[0] & 1}
    values.update(HEAD.unpack(head[OUTPUT.words :]))
    values.update(RESULT.unpack(result[: RESULT.words]))
    values.update(TAIL.unpack(result[RESULT.words :]))
    return values


def main() -> None:
    """Exchange until the station is gone."""
    host = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 502
    taken, heartbeat, was_reject = dict.fromkeys(KEY, 0), 0, None  # a PLC keeps `taken` in retentive memory
    with ModbusTcpClient(host, port=port, timeout=1, retries=0) as client:
        while True:
            values = read(client)
            head = {part: values[f"head_{part}"] for part in KEY}
            tail = {part: values[f"tail_{part}"] for part in KEY}
            if head == tail and any(head.values()) and head != taken:
                word = {1: "accept", 2: "reject", 3: "invalid"}[values["verdict"]]
                print(
                    f"{head['inspection']} {word} defects {values['defect_count']} age {values['age_ms']} ms",
                    flush=True,
                )
                taken = head
            reject = values["outputs_reject"] == 1 or not values["online"]
            if reject != was_reject:
                print("output:", "reject" if reject else "pass", flush=True)
                was_reject = reject
            heartbeat = (heartbeat + 1) % 2**16
            control = {"plc_heartbeat": heartbeat} | {f"ack_{part}": taken[part] for part in KEY}
            client.write_registers(CONTROL_REGISTER, CONTROL.pack(control))
            time.sleep(CYCLE_S)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except ConnectionException:
        sys.exit("no gateway answers there: station gateway NAME, of type modbus with role server")
