"""A GigE Vision or USB3 Vision camera through Aravis. Lives in the capture thread."""

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from shadowline.errors import CameraError, CameraLost
from station.camera import sfnc
from station.camera.aravis.device import AravisDevice
from station.camera.aravis.find import discover, locate
from station.camera.aravis.stream import AravisStream, Filled
from station.camera.grey import GreyBuffer
from station.camera.waiting import SoftwareTrigger, each_exposure
from station.camera.wrap import Unwrap
from station.clock import Clock
from station.config import AravisConfig
from station.frame import Exposure, InvalidReason

__all__ = ["AravisCamera", "discover"]


class _Size(NamedTuple):
    """Of a picture, in pixels, and the bytes from one row to the next."""

    height: int
    width: int
    stride: int


class AravisCamera:
    """A device of Aravis. Its pictures are numbered by the transport, or by the camera where its chunk `FrameID` is on.

    A picture that came in part is delivered with the rows that are surely whole. A software trigger to a camera that
    has just died blocks for 2.5 s, the library's own time-out.
    """

    def __init__(self, config: AravisConfig, clock: Clock) -> None:
        self.features: frozenset[str] = frozenset()
        self.identity = ""
        self._config = config
        self._clock = clock
        self._who = f"camera {config.name}"
        self._grey = GreyBuffer(config.sfnc.pixel_format)
        self._stamps_by_chunk = "Timestamp" in config.sfnc.chunks  # of another origin than the transport's
        self._device: AravisDevice | None = None
        self._stream: AravisStream | None = None

    def __enter__(self) -> Self:
        address, device_id = locate(self._config, self._who, self._clock)
        self._device = AravisDevice(self._who, address, device_id, self._clock)
        try:
            self._set_up(self._device)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device is None:
            return
        self._device.leave()
        if self._stream is not None:
            self._stream.close()
        self._device.close()
        self._device = self._stream = None

    @property
    def counters(self) -> Mapping[str, int]:
        """Return Aravis' counts: `completed_buffers`, `failures`, `underruns`, `missing_packets`, …"""
        stream = self._stream
        return stream.counters if stream else {}

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield pictures as they come, None after `timeout_s` without one; a software trigger fires meanwhile."""
        trigger = SoftwareTrigger(self._config.sfnc.trigger, self._fire, self._clock)
        for exposure in each_exposure(self._fetch, timeout_s, trigger, self._clock):
            if exposure is None:
                self._opened()[0].check()
            yield exposure

    def _set_up(self, device: AravisDevice) -> None:
        config = self._config
        if not device.is_ours:
            raise CameraLost(f"{self._who}: {device.name} is held by another program")
        try:
            (sfnc.apply if config.settings == "push" else sfnc.compare)(config.sfnc, device, self._who)
            packet_bytes = self._set_transport(device) if device.is_gige else None
            self._stream = AravisStream(device, config.buffers, config.resend, packet_bytes)
            width, height = int(device.get("Width")), int(device.get("Height"))
            self._size = _Size(height, width, width * self._grey.dtype.itemsize)
            self._numbers = _Numbers()
            self._chunks = _Chunks(config.sfnc.chunks, device)
            if config.settings == "push":
                device.run_continuously()
            device.camera.start_acquisition()
        except device.error as error:
            raise device.failure(error) from error
        self.identity = device.name
        self.features = sfnc.features(device) | {"FrameID", *config.sfnc.chunks}

    def _set_transport(self, device: AravisDevice) -> int:
        config = self._config
        device.set_heartbeat(config.heartbeat_s)
        if config.packet_delay_ns is not None:
            device.camera.gv_set_packet_delay(config.packet_delay_ns)
        return device.set_packets(config.packet_bytes)

    def _opened(self) -> tuple[AravisDevice, AravisStream]:
        if self._device is None or self._stream is None:
            raise CameraError(f"{self._who}: not open")
        return self._device, self._stream

    def _fire(self) -> None:
        sfnc.fire(self._opened()[0], self._who)

    def _fetch(self, wait_ms: int) -> Exposure | None:
        _, stream = self._opened()
        with stream.filled(wait_ms * 1000) as filled:
            return None if filled is None else self._expose(filled)

    def _expose(self, filled: Filled) -> Exposure:
        buffer, memory, valid_bytes = filled
        arrived_ns = buffer.get_system_timestamp()
        if not arrived_ns:  # its header was lost
            return Exposure(None, self._numbers.unread(), self._clock.utc_ns(), fault=InvalidReason.INCOMPLETE)
        chunks = self._chunks.read(buffer) if valid_bytes is None else {}
        frame_id = self._numbers.read(buffer.get_frame_id(), chunks.get("FrameID"))
        if valid_bytes is None:
            if buffer.get_image_pixel_format() != self._grey.code:
                return Exposure(None, frame_id, arrived_ns, fault=InvalidReason.UNSUPPORTED)
            self._size = self._size_of(buffer)
        height, width, stride = self._size  # of a picture in part Aravis does not tell
        return Exposure(
            self._grey.take_rows(memory.data, 0, height, width, stride),
            frame_id,
            arrived_ns,
            valid_rows=None if valid_bytes is None else min(valid_bytes // stride, height - 1),
            encoder=chunks.get("EncoderValue"),
            device_ns=chunks.get("Timestamp") if self._stamps_by_chunk else buffer.get_timestamp() or None,
            line_status=chunks.get("LineStatusAll"),
        )

    def _size_of(self, buffer: Any) -> _Size:
        width = buffer.get_image_width()
        stride = width * self._grey.dtype.itemsize + buffer.get_image_padding().x_padding
        return _Size(buffer.get_image_height(), width, stride)


class _Numbers:
    """Numbers pictures without a wrap: a GigE camera counts from 1 to 65535, or in 64 bits."""

    def __init__(self) -> None:
        self._unwrap = Unwrap(1, 0xFFFF)
        self._last: int | None = None
        self._ahead = 0

    def read(self, block_id: int, frame_id: int | None) -> int:
        """Return the number behind the transport's count, or behind the camera's own, where that came."""
        self._last = self._unwrap(block_id)
        if frame_id is not None:
            self._ahead = frame_id - self._last
        return self._last + self._ahead

    def unread(self) -> int | None:
        """Return the least number of a picture whose count was lost."""
        if self._last is None:
            return None
        self._last += 1
        return self._last + self._ahead


class _Chunks:
    """What the camera puts beside each picture, by the names of the standard."""

    def __init__(self, names: tuple[str, ...], device: AravisDevice) -> None:
        self._names = names
        self._error = device.error
        self._parser: Any = device.camera.create_chunk_parser() if names else None

    def read(self, buffer: Any) -> dict[str, int]:
        """Return the values; a chunk that is not in the buffer is left out."""
        found = {}
        for name in self._names:
            with contextlib.suppress(self._error):
                found[name] = self._parser.get_integer_value(buffer, f"Chunk{name}")
        return found
