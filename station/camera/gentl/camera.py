"""Any camera with a GenTL producer (`.cti`) of its maker, through genicam. Lives in the capture thread."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shadowline.errors import CameraError, CameraLost
from station.camera import sfnc
from station.camera.base import Found
from station.camera.gentl.nodes import GenApiNodes, load_nodes
from station.camera.gentl.producer import optional, quietly, seen_devices
from station.camera.gentl.stream import Filled, GenTlStream
from station.camera.grey import GreyBuffer
from station.camera.waiting import SoftwareTrigger, each_exposure
from station.camera.wrap import Unwrap
from station.clock import Clock
from station.config import GenTlConfig
from station.frame import Exposure, Image, InvalidReason

__all__ = ["GenTlCamera", "discover"]


def discover(producer: Path) -> list[Found]:
    """Return the devices that a producer sees. Raises `CameraError` when the file is none, `MissingExtra`."""
    with seen_devices(producer, "discover") as devices:
        return [_found(device, producer) for device in devices]


class GenTlCamera:
    """A device of a GenTL producer. Its pictures are numbered by their frame ids where the producer gives them.

    A picture that is not whole, or of another pixel format than configured, is an exposure with a fault.
    """

    def __init__(self, config: GenTlConfig, clock: Clock) -> None:
        self.features: frozenset[str] = frozenset()
        self.identity = ""
        self._config = config
        self._clock = clock
        self._who = f"camera {config.name}"
        self._stack = ExitStack()
        self._grey = GreyBuffer(config.sfnc.pixel_format)
        self._incomplete = 0
        self._stream: GenTlStream | None = None

    def __enter__(self) -> Self:
        config = self._config
        with ExitStack() as stack:
            info = _pick(stack.enter_context(seen_devices(config.producer, self._who)), config, self._who)
            from genicam import genapi, gentl

            self._gone = (gentl.GenericException, genapi.GenericException)
            try:
                device = self._open(info, stack)
                nodes = load_nodes(device.remote_port, self._who)
                stack.callback(quietly, nodes.map.disconnect)
                (sfnc.apply if config.settings == "push" else sfnc.compare)(config.sfnc, nodes, self._who)
                self._chunks = _Chunks(config.sfnc.chunks, nodes, info.tl_type)
                self._unwrap = Unwrap(1, 0xFFFF) if info.tl_type == "GEV" else int
                stream = stack.enter_context(GenTlStream(device, nodes, config.buffers, self._clock))
            except self._gone as error:
                raise CameraLost(f"{self._who}: {error}") from error
            self.identity = _name(info)
            self.features = sfnc.features(nodes) | {"FrameID", *config.sfnc.chunks}
            self._stream = stream
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream = None
        self._stack.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the producer's counts (`delivered`, `underrun`) as far as it has them, and `incomplete`."""
        return {**self._stream.counters, "incomplete": self._incomplete} if self._stream else {}

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield pictures as they come, None after `timeout_s` without one; a software trigger fires meanwhile."""
        trigger = SoftwareTrigger(self._config.sfnc.trigger, self._fire, self._clock)
        return each_exposure(self._fetch, timeout_s, trigger, self._clock)

    def _open(self, info: Any, stack: ExitStack) -> Any:
        from genicam import gentl

        device = info.create_device()
        try:
            device.open(gentl.DEVICE_ACCESS_FLAGS_LIST.DEVICE_ACCESS_EXCLUSIVE)
        except (gentl.ResourceInUseException, gentl.AccessDeniedException) as error:
            raise CameraLost(f"{self._who}: {_name(info)} is held by another program") from error
        stack.callback(quietly, device.close)
        return device

    def _opened(self) -> GenTlStream:
        if self._stream is None:
            raise CameraError(f"{self._who}: not open")
        return self._stream

    def _fire(self) -> None:
        sfnc.fire(self._opened().nodes, self._who)

    def _fetch(self, wait_ms: int) -> Exposure | None:
        stream = self._opened()
        try:
            with stream.filled(wait_ms) as filled:
                if filled is None:
                    return None
                exposure = self._expose(filled)
            self._incomplete += exposure.fault is InvalidReason.INCOMPLETE
        except self._gone as error:
            raise CameraLost(f"{self._who}: {error}") from error
        return exposure

    def _expose(self, filled: Filled) -> Exposure:
        captured_ns = self._clock.utc_ns()
        buffer, raw = filled
        frame_id = optional(buffer, "frame_id")
        if frame_id is not None:
            frame_id = self._unwrap(frame_id)
        if not buffer.is_complete():
            return Exposure(None, frame_id, captured_ns, fault=InvalidReason.INCOMPLETE)
        image = self._picture(buffer, raw)
        chunks = self._chunks.read(buffer, raw)
        return Exposure(
            image,
            chunks.get("FrameID") if frame_id is None else frame_id,
            captured_ns,
            valid_rows=optional(buffer, "delivered_image_height"),
            encoder=chunks.get("EncoderValue"),
            fault=InvalidReason.UNSUPPORTED if image is None else None,
            device_ns=optional(buffer, "timestamp_ns") or chunks.get("Timestamp"),
            line_status=chunks.get("LineStatusAll"),
        )

    def _picture(self, buffer: Any, raw: bytes) -> Image | None:
        """Return the picture of a whole buffer, None when it holds something else."""
        if optional(buffer, "pixel_format") not in (self._grey.code, None):
            return None
        width, height = buffer.width, buffer.height
        stride = width * self._grey.dtype.itemsize + (optional(buffer, "padding_x") or 0)
        try:
            return self._grey.take_rows(raw, optional(buffer, "image_offset") or 0, height, width, stride)
        except ValueError:
            return None


class _Chunks:
    """What the camera puts beside each picture. A chunk that is not in a buffer is left out."""

    def __init__(self, names: Iterable[str], nodes: GenApiNodes, tl_type: str) -> None:
        from genicam import genapi

        self._names = tuple(names)
        self._nodes = nodes
        adapters = {"GEV": genapi.ChunkAdapterGEV, "U3V": genapi.ChunkAdapterU3V}
        self._is_listed = tl_type not in adapters
        self._adapter = adapters.get(tl_type, genapi.ChunkAdapterGeneric)(nodes.map)

    def read(self, buffer: Any, raw: bytes) -> dict[str, int]:
        """Return the values by the names of the standard."""
        if not self._names:
            return {}
        if self._is_listed:
            self._adapter.attach_buffer(raw, buffer.chunk_data_info_list)
        else:
            self._adapter.attach_buffer(raw, buffer.size_filled)
        found = {}
        for name in self._names:
            with contextlib.suppress(CameraError):
                found[name] = int(self._nodes.get(f"Chunk{name}"))
        return found


def _pick(devices: list[Any], config: GenTlConfig, who: str) -> Any:
    """Return the one device that is meant."""
    key, wanted = ("serial_number", config.serial) if config.serial else ("user_defined_name", config.user_name)
    fitting = [device for device in devices if optional(device, key) == wanted]
    if len(fitting) > 1:
        raise CameraError(f"{who}: {len(fitting)} devices are called {wanted}: {', '.join(map(_name, fitting))}")
    if not fitting:
        seen = ", ".join(map(_name, devices)) or "none"
        raise CameraLost(f"{who}: no device {wanted} at {config.producer}; seen: {seen}")
    return fitting[0]


def _name(device: Any) -> str:
    parts = (optional(device, name) for name in ("vendor", "model", "serial_number", "user_defined_name"))
    return " ".join(str(part) for part in parts if part)


def _found(device: Any, producer: Path) -> Found:
    serial = str(optional(device, "serial_number") or "")
    return Found(
        driver="gentl",
        vendor=str(optional(device, "vendor") or ""),
        model=str(optional(device, "model") or ""),
        serial=serial,
        table={"type": "gentl", "producer": str(producer), "serial": serial},
        user_name=str(optional(device, "user_defined_name") or ""),
    )
