"""A Basler camera, or pylon's emulator of one, through pypylon. Lives in the capture thread."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from shadowline.errors import CameraError, CameraLost, MissingExtra
from station.camera import sfnc
from station.camera.base import Found
from station.camera.basler.nodes import PylonNodes, first_line
from station.camera.grey import GreyBuffer
from station.camera.waiting import SoftwareTrigger, each_exposure
from station.camera.wrap import Unwrap
from station.clock import Clock
from station.config import BaslerConfig
from station.frame import Exposure, Image, InvalidReason

__all__ = ["BaslerCamera", "discover"]

_NO_ID = 2**64 - 1  # GetBlockID of pylon's reference: not supported by this camera
_NO_FILE = "Failed to load image file"  # what the emulator says


def discover(device_class: str) -> list[Found]:
    """Return the devices that one transport layer sees; the GigE layer asks by broadcast. Raises `MissingExtra`."""
    return [_found(info, device_class) for info in _enumerate(device_class, "discover")]


class BaslerCamera:
    """A device of pylon. A picture smaller than the camera's window is delivered as it is.

    pylon goes on delivering after a removal, so each fetch asks for that first.
    """

    def __init__(self, config: BaslerConfig, clock: Clock) -> None:
        self.features: frozenset[str] = frozenset()
        self.identity = ""
        self._config = config
        self._clock = clock
        self._who = f"camera {config.name}"
        self._stack = ExitStack()
        self._grey = GreyBuffer(config.sfnc.pixel_format)
        self._device: Any = None

    def __enter__(self) -> Self:
        config = self._config
        info = _pick(_enumerate(config.device_class, self._who), config, self._who)
        from pypylon import genicam, pylon

        self._gone = genicam.GenericException
        self._return = pylon.TimeoutHandling_Return
        with ExitStack() as stack:
            try:
                device = self._open(info, stack)
                self._nodes = PylonNodes(device.GetNodeMap(), self._who)
                (sfnc.apply if config.settings == "push" else sfnc.compare)(config.sfnc, self._nodes, self._who)
                self._start(device, stack)
            except self._gone as error:
                raise CameraLost(f"{self._who}: {first_line(error)}") from error
            self._unwrap = Unwrap(1, 0xFFFF) if config.device_class == "BaslerGigE" else int
            self.identity = _name(info)
            self.features = sfnc.features(self._nodes) | {"FrameID", *config.sfnc.chunks}
            self._device = device
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._device = None
        self._stack.close()
        self._stack = ExitStack()

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield pictures as they come, None after `timeout_s` without one; a software trigger fires meanwhile."""
        trigger = SoftwareTrigger(self._config.sfnc.trigger, self._fire, self._clock)
        return each_exposure(self._fetch, timeout_s, trigger, self._clock)

    @property
    def counters(self) -> Mapping[str, int]:
        """Return pylon's counts of this opening: pictures, those that failed, those for which it had no buffer."""
        return _counts(self._device) if self._device else {}

    def _open(self, info: Any, stack: ExitStack) -> Any:
        """Open the device as it is: pylon's own configuration would set its trigger."""
        from pypylon import pylon

        factory = pylon.TlFactory.GetInstance()
        if not factory.IsDeviceAccessible(info):
            raise CameraLost(f"{self._who}: {_name(info)} is held by another program")
        device = pylon.InstantCamera(factory.CreateDevice(info))
        stack.callback(self._quietly, device.DestroyDevice)
        configuration = pylon.ConfigurationEventHandler()
        stack.callback(self._quietly, device.DeregisterConfiguration, configuration)
        device.RegisterConfiguration(configuration, pylon.RegistrationMode_ReplaceAll, pylon.Cleanup_None)
        device.Open()
        stack.callback(self._quietly, device.Close)
        return device

    def _start(self, device: Any, stack: ExitStack) -> None:
        from pypylon import pylon

        device.MaxNumBuffer.Value = self._config.buffers
        device.StartGrabbing(pylon.GrabStrategy_OneByOne)
        stack.callback(self._quietly, device.StopGrabbing)

    def _quietly(self, close: Callable[..., object], *arguments: object) -> None:
        """Close what may be gone already."""
        with contextlib.suppress(self._gone):
            close(*arguments)

    def _opened(self) -> Any:
        if self._device is None:
            raise CameraError(f"{self._who}: not open")
        return self._device

    def _fire(self) -> None:
        self._opened()
        sfnc.fire(self._nodes, self._who)

    def _fetch(self, wait_ms: int) -> Exposure | None:
        device = self._opened()
        try:
            result = device.RetrieveResult(wait_ms, self._return)
            if device.IsCameraDeviceRemoved():
                raise CameraLost(f"{self._who}: {self.identity} was removed")
            if not result.IsValid():
                return None
            try:
                return self._expose(result)
            finally:
                result.Release()
        except self._gone as error:
            raise CameraLost(f"{self._who}: {first_line(error)}") from error

    def _expose(self, result: Any) -> Exposure:
        captured_ns = self._clock.utc_ns()
        frame_id = None if result.BlockID == _NO_ID else self._unwrap(result.BlockID)
        if not result.GrabSucceeded():
            fault = InvalidReason.UNREADABLE if _NO_FILE in result.ErrorDescription else InvalidReason.INCOMPLETE
            return Exposure(None, frame_id, captured_ns, fault=fault)
        image = self._picture(result)
        chunks = self._read_chunks(result)
        return Exposure(
            image,
            frame_id,
            captured_ns,
            encoder=chunks.get("EncoderValue"),
            fault=InvalidReason.UNSUPPORTED if image is None else None,
            device_ns=chunks.get("Timestamp") or result.TimeStamp or None,
            line_status=chunks.get("LineStatusAll"),
        )

    def _picture(self, result: Any) -> Image | None:
        """Return the picture, None when it is of another pixel format than configured."""
        if result.PixelType != self._grey.code:
            return None
        stride = result.Width * self._grey.dtype.itemsize + result.PaddingX
        return self._grey.take_rows(result.GetImageMemoryView(), 0, result.Height, result.Width, stride)

    def _read_chunks(self, result: Any) -> dict[str, int]:
        """Return what the camera put beside the picture, by the names of the standard."""
        if not self._config.sfnc.chunks or not result.IsChunkDataAvailable():
            return {}
        nodes = PylonNodes(result.ChunkDataNodeMap, self._who)
        names = {name: f"Chunk{name}" for name in self._config.sfnc.chunks}
        return {name: int(nodes.get(chunk)) for name, chunk in names.items() if nodes.has(chunk)}


def _enumerate(device_class: str, who: str) -> list[Any]:
    """Return pylon's news of the devices in one transport layer, and ask no other."""
    try:
        from pypylon import genicam, pylon
    except ImportError as error:
        raise MissingExtra("pypylon", "basler") from error
    wanted = pylon.DeviceInfo()
    wanted.SetDeviceClass(device_class)
    try:
        return list(pylon.TlFactory.GetInstance().EnumerateDevices([wanted]))
    except genicam.GenericException as error:
        raise CameraLost(f"{who}: {device_class} can't search: {first_line(error)}") from error


def _pick(infos: list[Any], config: BaslerConfig, who: str) -> Any:
    """Return the one device that is meant."""
    wanted = config.serial or config.user_name
    fitting = [
        info for info in infos if wanted == (info.GetSerialNumber() if config.serial else info.GetUserDefinedName())
    ]
    if len(fitting) > 1:
        raise CameraError(f"{who}: {len(fitting)} devices are called {wanted}: {', '.join(map(_name, fitting))}")
    if not fitting:
        seen = ", ".join(map(_name, infos)) or "none"
        raise CameraLost(f"{who}: no device {wanted} at {config.device_class}; seen: {seen}")
    return fitting[0]


def _name(info: Any) -> str:
    parts = (info.GetVendorName(), info.GetModelName(), info.GetSerialNumber(), info.GetUserDefinedName())
    return " ".join(part for part in parts if part)


def _found(info: Any, device_class: str) -> Found:
    return Found(
        driver="basler",
        vendor=info.GetVendorName(),
        model=info.GetModelName(),
        serial=info.GetSerialNumber(),
        table={"type": "basler", "device_class": device_class, "serial": info.GetSerialNumber()},
        user_name=info.GetUserDefinedName(),
        address=info.GetIpAddress() if info.IsIpAddressAvailable() else "",
    )


def _counts(device: Any) -> dict[str, int]:
    """Read the statistics that the transport layer keeps."""
    nodes = device.GetStreamGrabberNodeMap()
    names = {"completed": "Total_Buffer_Count", "failed": "Failed_Buffer_Count", "underrun": "Buffer_Underrun_Count"}
    found = {name: nodes.GetNode(f"Statistic_{node}") for name, node in names.items()}
    return {name: node.Value for name, node in found.items() if node.IsReadable()}
