"""The buffers that a device of Aravis fills, and how much of a picture came. Lives in the capture thread."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from station.camera.aravis.device import AravisDevice, load_aravis

__all__ = ["AravisStream", "Filled"]

_MARK = np.uint64(0x9E37_79B9_7F4A_7C15)  # what no picture has there but by chance
_HEADERS_BYTES = 64  # IP, UDP and GVSP with room to spare
_USB_STEP_BYTES = 4096
_SOCKET_BYTES = 64 << 20  # used where we may not read past the sockets (CAP_NET_RAW); the host allows net.core.rmem_max


class Filled(NamedTuple):
    """A buffer of Aravis and its memory: what came, or its first `valid_bytes` if that is not all."""

    buffer: Any
    memory: NDArray[np.uint8]
    valid_bytes: int | None


class AravisStream:
    """The `count` buffers of a device that is open and set; `close` ends it, and only then may the memory go.

    Before a buffer is handed out, marks are put into its memory so densely that each packet overwrites one: those
    that are left tell where the first packet is missing.
    """

    def __init__(self, device: AravisDevice, count: int, resend: bool, packet_bytes: int | None) -> None:
        library = load_aravis()
        self._success = library.BufferStatus.SUCCESS
        self._stream = device.camera.create_stream(None, None)
        if device.is_gige:
            self._stream.set_property("socket-buffer", library.GvStreamSocketBuffer.FIXED)
            self._stream.set_property("socket-buffer-size", _SOCKET_BYTES)
            if not resend:
                self._stream.set_property("packet-resend", library.GvStreamPacketResend.NEVER)
        self._step = (packet_bytes - _HEADERS_BYTES) // 8 * 8 if packet_bytes else _USB_STEP_BYTES
        self._memory: dict[Any, NDArray[np.uint8]] = {}
        size = device.camera.get_payload()
        for _ in range(count):
            memory = np.empty(size, np.uint8)
            buffer = library.Buffer.new(size, memory.ctypes.data)
            self._memory[buffer] = memory
            self._give_back(buffer)

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the library's own counts."""
        stream = self._stream
        if stream is None:
            return {}
        names = [stream.get_info_name(index) for index in range(stream.get_n_infos())]
        return {name.removeprefix("n_"): stream.get_info_uint64_by_name(name) for name in names if name[:2] == "n_"}

    @contextmanager
    def filled(self, wait_us: int) -> Iterator[Filled | None]:
        """Wait for the next buffer, None without one, and give it back to the library when this is left."""
        buffer = self._stream.timeout_pop_buffer(wait_us)
        if buffer is None:
            yield None
            return
        try:
            memory = self._memory[buffer]
            yield Filled(buffer, memory, None if buffer.get_status() == self._success else self._valid_bytes(memory))
        finally:
            self._give_back(buffer)

    def close(self) -> None:
        """End the stream; raises nothing, and may be called twice."""
        self._stream = None

    def _give_back(self, buffer: Any) -> None:
        for forget in (buffer.set_frame_id, buffer.set_timestamp, buffer.set_system_timestamp):
            forget(0)  # they would stay if the packet with the new ones is lost
        self._marks(self._memory[buffer])[:] = _MARK
        self._stream.push_buffer(buffer)

    def _marks(self, memory: NDArray[np.uint8]) -> NDArray[np.uint64]:
        whole = len(memory) // self._step * self._step
        return memory[:whole].view(np.uint64)[:: self._step // 8]

    def _valid_bytes(self, memory: NDArray[np.uint8]) -> int:
        """Return a number of bytes from the start that came for sure.

        A missing packet is longer than a step and a mark, unless it is the last one, which begins after the last mark.
        """
        marks = self._marks(memory)
        left = np.flatnonzero(marks == _MARK)
        first = int(left[0]) if len(left) else len(marks)
        return max(0, (first - 1) * self._step)
