"""What Linux says of its video devices: which there are, what they are called, and their controls. Pure but for ioctls.

Layouts and request codes are those of `linux/videodev2.h` on 64 bits.
"""

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import CameraError, CameraLost
from station.config.cameras import Control

__all__ = ["Card", "list_cards", "look", "offered_formats", "set_controls"]

_SYSTEM = Path("/sys/class/video4linux")
_LINKS = Path("/dev/v4l/by-id")

_QUERYCAP, _CAPABILITY = 0x80685600, struct.Struct("16s32s32s3I12x")
_ENUM_FMT, _FORMAT = 0xC0405602, struct.Struct("3I32s4s16x")
_QUERYCTRL, _RANGE = 0xC0445624, struct.Struct("2I32s4iI8x")
_G_CTRL, _S_CTRL, _CONTROL = 0xC008561B, 0xC008561C, struct.Struct("Ii")

_CAPTURES = 1  # V4L2_CAP_VIDEO_CAPTURE, and V4L2_BUF_TYPE_VIDEO_CAPTURE
_OFF = 1  # V4L2_CTRL_FLAG_DISABLED

_CONTROLS: dict[Control, int] = {
    "auto_exposure": 0x009A0901,
    "autofocus": 0x009A090C,
    "brightness": 0x00980900,
    "contrast": 0x00980901,
    "exposure": 0x009A0902,
    "focus": 0x009A090A,
    "gain": 0x00980913,
}
"""What can be set, automatics first: while one is on, the value beside it can't be set."""

_AWAY = (errno.ENOENT, errno.ENODEV, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class Card:
    """A node `/dev/videoN` that takes pictures. `bus` says where it is plugged in; `serial` is empty where unknown."""

    number: int
    vendor: str
    model: str
    serial: str
    bus: str

    @property
    def node(self) -> Path:
        return Path(f"/dev/video{self.number}")

    @property
    def lasting_name(self) -> str | int:
        """The link that survives another socket and another order, where the system keeps one; else the number."""
        links = sorted(_LINKS.iterdir()) if _LINKS.is_dir() else []
        return next((str(link) for link in links if link.resolve() == self.node), self.number)


def list_cards() -> list[Card]:
    """Return the devices that take pictures, by number; those that can't be asked are left out."""
    numbers = sorted(int(entry.name.removeprefix("video")) for entry in _SYSTEM.glob("video*"))
    cards = []
    for number in numbers:
        try:
            cards.append(look(number, "video"))
        except CameraError:
            continue
    return cards


def look(device: int | Path, who: str) -> Card:
    """Return what stands behind a device's number or path. `who` begins each error, as `camera top`.

    Raises `CameraLost` when it is not there and `CameraError` when it takes no pictures or can't be opened.
    """
    node = Path(f"/dev/video{device}") if isinstance(device, int) else device.resolve()
    with _opened(node, who) as handle:
        match = re.fullmatch(r"/dev/video(\d+)", str(node))
        if match is None:
            raise CameraError(f"{who}: {node} is no video device: name one as /dev/video0 or /dev/v4l/by-id/…")
        _, model, bus, _, _, abilities = _CAPABILITY.unpack(_ask(handle, _QUERYCAP, bytes(_CAPABILITY.size)))
    if not abilities & _CAPTURES:
        raise CameraError(f"{who}: {node} ({_text(model)}) takes no pictures: it is another function of its device")
    number = int(match[1])
    return Card(number, _usb(number, "manufacturer"), _text(model), _usb(number, "serial"), _text(bus))


def offered_formats(card: Card, who: str) -> list[str]:
    """Return the pixel formats that the device offers, in its own order."""
    formats: list[str] = []
    with _opened(card.node, who) as handle:
        while True:
            try:
                answer = _ask(handle, _ENUM_FMT, _FORMAT.pack(len(formats), _CAPTURES, 0, b"", b""))
            except OSError:
                return formats
            formats.append(_FORMAT.unpack(answer)[4].decode("ascii", "replace"))


def set_controls(card: Card, wanted: Mapping[Control, float], who: str) -> None:
    """Set controls in the device's own units; raises `CameraError` naming the first that is not there or not taken."""
    with _opened(card.node, who) as handle:
        for name in (name for name in _CONTROLS if name in wanted):
            _set_control(handle, name, wanted[name], who)


def _set_control(handle: int, name: Control, value: float, who: str) -> None:
    control = _CONTROLS[name]
    said = f"{who}: controls.{name} = {value:g}"
    try:
        answer = _ask(handle, _QUERYCTRL, _RANGE.pack(control, 0, b"", 0, 0, 0, 0, 0))
    except OSError as error:
        if error.errno in _AWAY:
            raise
        raise CameraError(f"{said}: this device has no such control") from error
    _, _, _, least, most, step, _, flags = _RANGE.unpack(answer)
    if flags & _OFF:
        raise CameraError(f"{said}: the device has switched this control off")
    said += f": the device takes {least} to {most} in steps of {step}"
    try:
        if value != int(value) or not least <= value <= most:
            raise CameraError(said)
        _ask(handle, _S_CTRL, _CONTROL.pack(control, int(value)))
        became = _CONTROL.unpack(_ask(handle, _G_CTRL, _CONTROL.pack(control, 0)))[1]
    except OSError as error:
        if error.errno in _AWAY:
            raise
        raise CameraError(f"{said}, but refused: {error.strerror}") from error
    if became != value:
        raise CameraError(f"{said} and made it {became}")


@contextmanager
def _opened(node: Path, who: str) -> Iterator[int]:
    """Open a node to ask it; a second opener disturbs nobody."""
    try:
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _reason(error, node, who) from error
    try:
        yield handle
    except OSError as error:
        raise _reason(error, node, who) from error
    finally:
        os.close(handle)


def _reason(error: OSError, node: Path, who: str) -> CameraError:
    if error.errno in _AWAY:
        return CameraLost(f"{who}: {node} is not there")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CameraError(f"{who}: no right to open {node}: put the station's user into the group video")
    return CameraError(f"{who}: {node} is no video device: {error.strerror}")


def _ask(handle: int, request: int, question: bytes) -> bytes:
    return fcntl.ioctl(handle, request, question)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _usb(number: int, name: str) -> str:
    """Return what a USB device says of itself; empty on another bus. The node hangs on one of its interfaces."""
    try:
        return (_SYSTEM / f"video{number}" / "device" / ".." / name).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
