"""An open device of Aravis: its features by name, and a way to leave one that is dead. Lives in the capture thread."""

import contextlib
from typing import Any

from shadowline.errors import CameraError, CameraLost, MissingExtra
from station.camera.aravis.gvcp import Gvcp
from station.camera.aravis.sockets import cut_off, with_socket
from station.camera.sfnc import Value, allowed_names, allowed_range
from station.clock import Clock

__all__ = ["AravisDevice", "load_aravis"]

_HEARTBEAT_REGISTER = 0x0938  # GigE Vision 2.2: milliseconds after which the camera is free for others
_SILENT_S = 1.5  # several questions without an answer
_ANSWER_S = 0.5
_READ = (
    ("GcBoolean", "get_boolean_feature_value"),
    ("GcEnumeration", "get_string_feature_value"),
    ("GcFloat", "get_float_feature_value"),
    ("GcInteger", "get_integer_feature_value"),
    ("GcString", "get_string_feature_value"),
)
_WRITE = (
    ("GcCommand", "execute_command"),
    ("GcBoolean", "set_boolean_feature_value"),
    ("GcEnumeration", "set_string_feature_value"),
    ("GcFloat", "set_float_feature_value"),
    ("GcInteger", "set_integer_feature_value"),
    ("GcString", "set_string_feature_value"),
)
"""The library's methods by the type of a feature; an enumeration is a number and a text as well."""


def load_aravis() -> Any:
    """Return the namespace of the library. Raises `MissingExtra` without PyGObject, `CameraError` without Aravis."""
    try:
        import gi
    except ImportError as error:
        raise MissingExtra("PyGObject", "aravis") from error
    try:
        gi.require_version("Aravis", "0.8")
    except ValueError as error:
        raise CameraError("Aravis 0.8 is not installed: apt install gir1.2-aravis-0.8") from error
    from gi.repository import Aravis

    return Aravis


class AravisDevice:
    """The `Nodes` of one device, and the only place that holds the library's objects, so that closing ends them.

    A local variable would keep the device open as long as a traceback lives, so there is none where errors may pass.
    `address` is the IPv4 address of a GigE Vision device; without one `device_id` names a USB3 Vision device. `who`
    begins each error but refusals. Raises `CameraLost` when the device is not there.
    """

    def __init__(self, who: str, address: str, device_id: str, clock: Clock) -> None:
        from gi.repository import GLib

        self._who = who
        self._library = load_aravis()
        self.error: type[Exception] = GLib.Error
        """What the library raises; `failure` translates it."""
        self._gvcp: Gvcp | None = None
        self._descriptor: int | None = None
        self._device: Any = None
        try:
            if address:
                self._gvcp = Gvcp(address, clock)
                if not self._answers():
                    raise OSError("no answer")  # the library would wait five times as long
                local = self._gvcp.local
                self._device, self._descriptor = with_socket(lambda: self._open_gige(address, local), local)
            else:
                self._device = self._library.open_device(device_id)
        except OSError as error:
            self.close()
            raise CameraLost(f"{who}: {address} can't be reached: {error.strerror or error}") from error
        except self.error as error:
            self.close()
            raise self.failure(error) from error
        self.camera = self._library.Camera.new_with_device(self._device)
        self._device.set_range_check_policy(self._library.RangeCheckPolicy.ENABLE)
        self._device.set_access_check_policy(self._library.AccessCheckPolicy.ENABLE)

    @property
    def is_gige(self) -> bool:
        """Whether this is a GigE Vision device."""
        return self._gvcp is not None

    @property
    def is_ours(self) -> bool:
        """Whether we control it; a device of others can be read, and no more."""
        return not self.is_gige or bool(self._device.is_controller())

    @property
    def name(self) -> str:
        """Vendor, model and serial number."""
        serial = "DeviceSerialNumber" if self.has("DeviceSerialNumber") else "DeviceID"
        parts = [self.get(name) for name in ("DeviceVendorName", "DeviceModelName", serial) if self.has(name)]
        return " ".join(str(part) for part in parts if part)

    def has(self, name: str) -> bool:
        try:
            return bool(self._device.is_feature_implemented(name) and self._device.is_feature_available(name))
        except self.error as error:
            if self._is_gone(error):
                raise self.failure(error) from error
            return False

    def get(self, name: str) -> Value:
        try:
            value: Value = getattr(self._device, self._pick(name, _READ))(name)
        except self.error as error:
            raise self._refusal(error, name) from error
        return value

    def set(self, name: str, value: Value) -> None:
        try:
            method = self._pick(name, _WRITE)
            if method == "execute_command":
                self._device.execute_command(name)
            elif method == "set_integer_feature_value" and isinstance(value, float):
                self._device.set_integer_feature_value(name, round(value))
            else:
                getattr(self._device, method)(name, value)
        except TypeError as error:
            raise CameraError(f"does not take {value!r}") from error
        except self.error as error:
            raise self._refusal(error, name) from error

    def run_continuously(self) -> None:
        """Have the camera go on after the first picture."""
        if self.has("AcquisitionMode"):
            self.camera.set_acquisition_mode(self._library.AcquisitionMode.CONTINUOUS)

    def set_heartbeat(self, seconds: float) -> None:
        """Say after how long without a sign of us a GigE camera is free for others."""
        self._device.write_register(_HEARTBEAT_REGISTER, round(seconds * 1000))

    def set_packets(self, size_bytes: int | None) -> int:
        """Set the size of a GigE camera's packets, without one what test packets find, and return what it is."""
        self._device.set_packet_size_adjustment(self._library.GvPacketSizeAdjustment.NEVER)
        if size_bytes is None:
            return int(self._device.auto_packet_size())
        self._device.set_packet_size(size_bytes)
        became = int(self._device.get_packet_size())
        if became != size_bytes:
            raise CameraError(f"{self._who}: packet_bytes = {size_bytes}: the camera made it {became}")
        return became

    def check(self) -> None:
        """Raise `CameraLost` when the device is gone or was restarted; a GigE Vision one is asked without waiting."""
        if self._gvcp is None:
            try:
                self._device.read_register(0)
            except self.error as error:
                raise CameraLost(f"{self._who}: {_text(error)}") from error
        elif not self._device.is_controller():
            raise CameraLost(f"{self._who}: control of the camera is lost")
        elif self._gvcp.is_silent(_SILENT_S):
            raise CameraLost(f"{self._who}: the camera does not answer any more")

    def failure(self, error: Any) -> CameraError:
        """Return what to raise for an error of the library: `CameraLost` when the device is gone."""
        kind = CameraLost if self._is_gone(error) else CameraError
        return kind(f"{self._who}: {_text(error)}")

    def leave(self) -> None:
        """Stop the pictures and give up control of a device that answers, then cut it off.

        Its stream is closed next, then itself: a device that dies meanwhile would hold up each of their calls.
        """
        with contextlib.suppress(self.error):
            if self.is_ours and self._answers():
                self.camera.stop_acquisition()
                if self.is_gige:
                    self._device.leave_control()
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                cut_off(self._descriptor)

    def close(self) -> None:
        """Close the device; its stream is closed before. May be called twice, raises nothing."""
        self.camera = self._device = self._descriptor = None
        if self._gvcp is not None:
            self._gvcp.close()

    def _answers(self) -> bool:
        return self._gvcp is None or self._gvcp.answers(_ANSWER_S)

    def _open_gige(self, address: str, local: str) -> Any:
        """Open without any broadcast."""
        from gi.repository import Gio

        return self._library.GvDevice.new(*map(Gio.InetAddress.new_from_string, (local, address)))

    def _pick(self, name: str, methods: tuple[tuple[str, str], ...]) -> str:
        """Return the method for the type of a feature."""
        node = self._device.get_feature(name)
        for kind, method in methods:
            if isinstance(node, getattr(self._library, kind)):
                return method
        raise CameraError("is not a feature that has a value")

    def _refusal(self, error: Any, name: str) -> CameraError:
        """Translate an error of the library to a refusal with its reason, or to `CameraLost`."""
        if self._is_gone(error):
            return CameraLost(f"{self._who}: {name}: {_text(error)}")
        reasons = self._library.GcError
        if error.matches(reasons.quark(), reasons.ENUM_ENTRY_NOT_FOUND):
            return CameraError(allowed_names(self._device.dup_available_enumeration_feature_values_as_strings(name)))
        if error.matches(reasons.quark(), reasons.OUT_OF_RANGE):
            return CameraError(self._range(name))
        return CameraError(_text(error))

    def _is_gone(self, error: Any) -> bool:
        codes = self._library.DeviceError
        gone = (codes.TIMEOUT, codes.TRANSFER_ERROR, codes.NOT_CONNECTED, codes.NOT_FOUND, codes.NOT_CONTROLLER)
        return any(error.matches(codes.quark(), code) for code in gone)

    def _range(self, name: str) -> str:
        if self._pick(name, _READ) == "get_float_feature_value":
            low, high = self._device.get_float_feature_bounds(name)
            return allowed_range(low, high)
        low, high = self._device.get_integer_feature_bounds(name)
        return allowed_range(low, high, self._device.get_integer_feature_increment(name))


def _text(error: Any) -> str:
    return " ".join(str(error.message).split())
