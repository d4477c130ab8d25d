"""The GigE Vision and USB3 Vision devices that are there, and the one that a configuration means.

Lives in the capture thread. All but a GigE camera named by its IP address is looked for with a broadcast on every
network interface, which takes half a second.
"""

import ipaddress
import threading
from dataclasses import dataclass

from shadowline.errors import CameraError, CameraLost
from station.camera.aravis.device import load_aravis
from station.camera.aravis.gvcp import broadcast
from station.camera.base import Found
from station.clock import Clock, HostClock
from station.config import AravisConfig

__all__ = ["discover", "locate"]

_WAIT_S = 0.5
_looking = threading.Lock()
"""The library has one list of devices."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A device: a GigE one has an `address` and a `mac`, a USB one the `device_id` that Aravis calls it."""

    vendor: str
    model: str
    serial: str
    user_name: str = ""
    device_id: str = ""
    address: str = ""
    mac: str = ""

    def __str__(self) -> str:
        parts = (self.vendor, self.model, self.serial, self.user_name, self.address)
        return " ".join(part for part in parts if part)


def discover() -> list[Found]:
    """Return the GigE Vision and USB3 Vision devices that answer; asks on every network interface."""
    return [_found(seen) for seen in _look(HostClock())]


def locate(config: AravisConfig, who: str, clock: Clock) -> tuple[str, str]:
    """Return the IPv4 address of the configured device if it is a GigE one, else the name that Aravis has for it.

    Raises `CameraLost` when it is not there, `CameraError` when several are meant.
    """
    if config.address is not None and ":" not in config.address:
        return _checked(config.address, who), ""
    field = next(name for name in ("serial", "user_name", "address") if getattr(config, name))
    wanted = getattr(config, field)
    key = "mac" if field == "address" else field
    seen = _look(clock)
    fitting = [one for one in seen if getattr(one, key).lower() == wanted.lower()]
    if len(fitting) > 1:
        raise CameraError(f"{who}: {field} = {wanted}: {len(fitting)} devices: {', '.join(map(str, fitting))}")
    if not fitting:
        raise CameraLost(f"{who}: {field} = {wanted}: no such device; seen: {', '.join(map(str, seen)) or 'none'}")
    return fitting[0].address, fitting[0].device_id


def _checked(address: str, who: str) -> str:
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError as error:
        raise CameraError(f"{who}: address = {address}: is no IPv4 address and no MAC (00:30:53:…)") from error


def _look(clock: Clock) -> list[_Seen]:
    usb = _look_at_usb()
    gige = [
        _Seen(one.vendor, one.model, one.serial, one.user_name, address=one.address, mac=one.mac)
        for one in broadcast(_WAIT_S, clock)
    ]
    return [*gige, *usb]


def _look_at_usb() -> list[_Seen]:
    """Return the USB3 Vision devices; Aravis does not tell their user names, nor cameras apart that have one serial."""
    library = load_aravis()
    with _looking:
        library.disable_interface("GigEVision")
        library.update_device_list()
        return [
            _Seen(
                vendor=library.get_device_vendor(index) or "",
                model=library.get_device_model(index) or "",
                serial=library.get_device_serial_nbr(index) or "",
                device_id=library.get_device_id(index),
            )
            for index in range(library.get_n_devices())
        ]


def _found(seen: _Seen) -> Found:
    return Found(
        driver="aravis",
        vendor=seen.vendor,
        model=seen.model,
        serial=seen.serial,
        table={"type": "aravis", **({"serial": seen.serial} if seen.serial else {"address": seen.address})},
        user_name=seen.user_name,
        address=seen.address,
        note=f"GigE Vision {seen.mac}" if seen.address else "USB3 Vision",
    )
