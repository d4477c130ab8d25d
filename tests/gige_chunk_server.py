"""A GigE Vision camera written from the standard, with what Aravis' fake one has not: chunks, resent packets, test
packets, frame ids of 64 bits, 12 bits a pixel, a user name, an answer to those who may not control it.

    python -m tests.gige_chunk_server ADDRESS SERIAL [--lose-every PACKETS] [--wide-ids] [--user-name NAME]

Prints `ready` once it listens, and runs until it is ended. Registers are those of GigE Vision 2.2 and, from 0xA000 on,
the camera's own. Frame n has the encoder count 1000 + 7 n, the line status n modulo 4 and the frame id 5 000 000 + n.
"""

import argparse
import contextlib
import select
import socket
import struct
import time

import numpy as np

from tests.gige_server import draw, end_with_parent

__all__ = ["encoder_of"]

_PORT = 3956
_XML_AT = 0x10000
_CONTROL, _CAPABILITY, _HEARTBEAT = 0x0A00, 0x0934, 0x0938
_WIDTH, _HEIGHT, _FORMAT, _RATE, _RUN, _PAYLOAD = 0xA000, 0xA004, 0xA008, 0xA00C, 0xA010, 0xA014
_CHUNK_MODE, _CHUNK_SELECTOR, _CHUNK_ENABLE = 0xA020, 0xA024, 0xA030
_MONO = {"Mono8": 0x0108_0001, "Mono10": 0x0110_0003, "Mono12": 0x0110_0005}
_CHUNKS = {"FrameID": ">Q", "Timestamp": ">Q", "EncoderValue": ">I", "LineStatusAll": ">I"}
_IMAGE_CHUNK, _FIRST_CHUNK = 1, 0x10
_IMAGE, _EXTENDED_CHUNK = 0x0001, 0x4001
_LEADER, _TRAILER, _DATA = 1, 2, 3
_DENIED = 0x8006
_PACKETS, _FIRE = 0x0D04, 0x8000_0000
_MTU_DISCOVER, _NEVER_IN_PIECES = 10, 2


def encoder_of(number: int) -> int:
    """Return the encoder count of frame `number`."""
    return 1000 + 7 * number


def _integer(name: str, address: int, low: int, high: int, access: str = "RW") -> str:
    return f"""
        <Integer Name="{name}"><pValue>{name}Reg</pValue><Min>{low}</Min><Max>{high}</Max></Integer>
        {_register(f"{name}Reg", address, 4, "Device", access)}"""


def _register(name: str, address: int, length: int, port: str, access: str = "RW", index: str = "") -> str:
    return f"""
        <IntReg Name="{name}"><Address>{address}</Address>{index}<Length>{length}</Length>
        <AccessMode>{access}</AccessMode><pPort>{port}</pPort><Cachable>NoCache</Cachable>
        <Sign>Unsigned</Sign><Endianess>BigEndian</Endianess></IntReg>"""


def _choice(name: str, address: int, values: dict[str, int], selected: str = "") -> str:
    entries = "".join(f'<EnumEntry Name="{key}"><Value>{value}</Value></EnumEntry>' for key, value in values.items())
    chosen = f"<pSelected>{selected}</pSelected>" if selected else ""
    return f"""
        <Enumeration Name="{name}">{entries}<pValue>{name}Reg</pValue>{chosen}</Enumeration>
        {_register(f"{name}Reg", address, 4, "Device")}"""


def _switch(name: str, address: int, index: str = "") -> str:
    return f"""
        <Boolean Name="{name}"><pValue>{name}Reg</pValue></Boolean>
        {_register(f"{name}Reg", address, 4, "Device", index=index)}"""


def _command(name: str, address: int, value: int) -> str:
    return f"""
        <Command Name="{name}"><pValue>{name}Reg</pValue><CommandValue>{value}</CommandValue></Command>
        {_register(f"{name}Reg", address, 4, "Device")}"""


def _chunk(name: str, number: int, layout: str) -> str:
    return f"""
        <Port Name="{name}Port"><ChunkID>{number:08x}</ChunkID></Port>
        {_register(f"Chunk{name}", 0, struct.calcsize(layout), f"{name}Port", "RO")}"""


def _description() -> bytes:
    """Return the camera's XML."""
    selector = {name: place for place, name in enumerate(_CHUNKS)}
    features = [
        _integer("Width", _WIDTH, 8, 4096),
        _integer("Height", _HEIGHT, 1, 4096),
        _integer("PayloadSize", _PAYLOAD, 0, 2**31, "RO"),
        _choice("PixelFormat", _FORMAT, _MONO),
        f'<FloatReg Name="AcquisitionFrameRate"><Address>{_RATE}</Address><Length>4</Length><AccessMode>RW</AccessMode>'
        "<pPort>Device</pPort><Cachable>NoCache</Cachable><Endianess>BigEndian</Endianess></FloatReg>",
        _command("AcquisitionStart", _RUN, 1),
        _command("AcquisitionStop", _RUN, 0),
        _command("GevSCPSFireTestPacket", _PACKETS, _FIRE),
        _switch("ChunkModeActive", _CHUNK_MODE),
        _choice("ChunkSelector", _CHUNK_SELECTOR, selector, "ChunkEnable"),
        _switch("ChunkEnable", _CHUNK_ENABLE, '<pIndex Offset="4">ChunkSelectorReg</pIndex>'),
        *(_chunk(name, _FIRST_CHUNK + place, layout) for place, (name, layout) in enumerate(_CHUNKS.items())),
    ]
    return f"""<?xml version="1.0" encoding="utf-8"?>
        <RegisterDescription ModelName="Chunks" VendorName="Shadowline" StandardNameSpace="GEV"
            SchemaMajorVersion="1" SchemaMinorVersion="1" SchemaSubMinorVersion="0" MajorVersion="1" MinorVersion="0"
            SubMinorVersion="0" ProductGuid="0" VersionGuid="0" xmlns="http://www.genicam.org/GenApi/Version_1_1">
        {"".join(features)}
        <Port Name="Device"/></RegisterDescription>""".encode()


class _Camera:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        xml = _description()
        self._memory = bytearray(_XML_AT) + xml
        for address, text in (
            (0x48, "Shadowline"),
            (0x68, "Chunks"),
            (0xD8, options.serial),
            (0xE8, options.user_name),
            (0x200, f"Local:chunks.xml;{_XML_AT:x};{len(xml):x}"),
        ):
            self._memory[address : address + len(text)] = text.encode()
        self._memory[0x0A:0x10] = bytes.fromhex("020000000001")
        self._memory[0x24:0x28] = socket.inet_aton(options.address)
        for address, value in (
            *((0x904, 1), (0x940, 1_000_000_000), (_PACKETS, 1400), (_CAPABILITY, 0x7), (_HEARTBEAT, 3000)),
            *((_WIDTH, 512), (_HEIGHT, 400), (_FORMAT, _MONO["Mono8"])),
        ):
            self._put(address, value)
        self._memory[_RATE : _RATE + 4] = struct.pack(">f", 25.0)
        self._controller: tuple[str, int] | None = None
        self._heard_s = 0.0
        self._number = 0
        self._sent = 0
        self._kept: dict[int, list[bytes]] = {}
        self._control = _bound(options.address, _PORT)
        self._everyone = _bound("255.255.255.255", _PORT)
        self._stream = _bound(options.address, 0)
        self._stream.setsockopt(socket.IPPROTO_IP, _MTU_DISCOVER, _NEVER_IN_PIECES)

    def run(self) -> None:
        next_s = time.monotonic()
        while True:
            is_running = self._controller is not None and self._get(_RUN) == 1
            wait_s = max(0.0, next_s - time.monotonic()) if is_running else 1.0
            for ready in select.select([self._control, self._everyone], [], [], wait_s)[0]:
                self._answer(*ready.recvfrom(1024))
            now_s = time.monotonic()
            if now_s - self._heard_s > self._get(_HEARTBEAT) / 1000:
                self._controller = None
            if is_running and now_s >= next_s:
                self._send_frame()
                next_s = max(next_s + 1 / struct.unpack_from(">f", self._memory, _RATE)[0], now_s - 1)
            elif not is_running:
                next_s = now_s

    def _answer(self, packet: bytes, sender: tuple[str, int]) -> None:
        _, _, command, _, request = struct.unpack_from(">BBHHH", packet)
        body, status = packet[8:], 0
        if sender == self._controller:
            self._heard_s = time.monotonic()
        if command == 0x40:
            block, first, last = struct.unpack_from(">2xHII", body)
            for piece in self._kept.get(block, [])[first & 0xFFFFFF : (last & 0xFFFFFF) + 1]:
                self._stream.sendto(piece, self._target())
            return
        if command in (0x82, 0x86):
            status = self._write(*struct.unpack_from(">I", body), body[4:], sender)
        answers = {0x02: self._memory[:248], 0x82: b"\0\0\0\1", 0x86: b"\0\0\0\4"}
        if command in (0x80, 0x84):
            address, length = struct.unpack(">I2xH", body) if command == 0x84 else (*struct.unpack(">I", body), 4)
            if address == _CONTROL:
                self._put(_CONTROL, 2 if self._controller else 0)
            self._put(_PAYLOAD, self._payload_bytes())
            answers[command] = (body[:4] if command == 0x84 else b"") + self._memory[address : address + length]
        answer = bytes(answers[command])
        self._control.sendto(struct.pack(">HHHH", status, command + 1, len(answer), request) + answer, sender)

    def _write(self, address: int, data: bytes, sender: tuple[str, int]) -> int:
        if self._controller not in (None, sender):
            return _DENIED
        self._memory[address : address + len(data)] = data
        if address == _CONTROL:
            self._controller = sender if any(data) else None
            self._heard_s = time.monotonic()
        if address == _PACKETS and self._get(_PACKETS) & _FIRE:
            with contextlib.suppress(OSError):  # longer than the wire takes
                self._stream.sendto(bytes((self._get(_PACKETS) & 0xFFFF) - 28), self._target())
        return 0

    def _chunks(self) -> list[tuple[int, str, str]]:
        """Return number, name and layout of those that are on."""
        if not self._get(_CHUNK_MODE):
            return []
        numbered = enumerate(_CHUNKS.items())
        return [(_FIRST_CHUNK + i, name, layout) for i, (name, layout) in numbered if self._get(_CHUNK_ENABLE + 4 * i)]

    def _payload_bytes(self) -> int:
        image = self._get(_WIDTH) * self._get(_HEIGHT) * (1 if self._get(_FORMAT) == _MONO["Mono8"] else 2)
        chunks = sum(8 + struct.calcsize(layout) for _, _, layout in self._chunks())
        return image + (8 + chunks if self._get(_CHUNK_MODE) else 0)

    def _frame(self, taken_ns: int) -> bytes:
        dtype = np.uint8 if self._get(_FORMAT) == _MONO["Mono8"] else np.uint16
        image = np.empty((self._get(_HEIGHT), self._get(_WIDTH)), dtype)
        draw(image, self._number)
        parts = [image.tobytes()]
        if self._get(_CHUNK_MODE):
            parts.append(struct.pack(">II", _IMAGE_CHUNK, image.nbytes))
        values = {
            "FrameID": 5_000_000 + self._number,
            "Timestamp": taken_ns,
            "EncoderValue": encoder_of(self._number),
            "LineStatusAll": self._number % 4,
        }
        for chunk, name, layout in self._chunks():
            parts.append(struct.pack(layout + "II", values[name], chunk, struct.calcsize(layout)))
        return b"".join(parts)

    def _send_frame(self) -> None:
        taken_ns = time.monotonic_ns()
        data = self._frame(taken_ns)
        kind = _EXTENDED_CHUNK if self._get(_CHUNK_MODE) else _IMAGE
        width, height = self._get(_WIDTH), self._get(_HEIGHT)
        leader = struct.pack(">HHQIIIIIHH", 0, kind, taken_ns, self._get(_FORMAT), width, height, 0, 0, 0, 0)
        step = (self._get(_PACKETS) & 0xFFFF) - (48 if self._options.wide_ids else 36)
        bodies = [(_LEADER, leader)]
        bodies += [(_DATA, data[start : start + step]) for start in range(0, len(data), step)]
        bodies.append((_TRAILER, struct.pack(">HHI", 0, kind, height)))
        pieces = [self._header(form, place) + body for place, (form, body) in enumerate(bodies)]
        block = self._number % 0xFFFF + 1
        self._kept = {**dict(list(self._kept.items())[-3:]), block: pieces}
        for piece in pieces:
            self._sent += 1
            if not self._options.lose_every or self._sent % self._options.lose_every:
                self._stream.sendto(piece, self._target())
        self._number += 1

    def _header(self, form: int, place: int) -> bytes:
        if self._options.wide_ids:
            return struct.pack(">HHIQI", 0, 0, (0x80 | form) << 24, 2**40 + self._number, place)
        return struct.pack(">HHI", 0, self._number % 0xFFFF + 1, form << 24 | place)

    def _target(self) -> tuple[str, int]:
        return socket.inet_ntoa(self._memory[0xD18:0xD1C]), self._get(0xD00) & 0xFFFF

    def _get(self, address: int) -> int:
        return int.from_bytes(self._memory[address : address + 4])

    def _put(self, address: int, value: int) -> None:
        self._memory[address : address + 4] = value.to_bytes(4)


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((address, port))
    return bound


def main() -> None:
    end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("serial")
    parser.add_argument("--lose-every", type=int, default=0)
    parser.add_argument("--wide-ids", action="store_true")
    parser.add_argument("--user-name", default="")
    camera = _Camera(parser.parse_args())
    print("ready", flush=True)
    camera.run()


if __name__ == "__main__":
    main()
