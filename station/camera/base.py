"""The camera contract. A camera lives in its capture thread and starts no thread of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from station.frame import Exposure

__all__ = ["CAN_WAIT", "Camera", "Found"]

CAN_WAIT = "CanWait"
"""Feature of a source that loses nothing by waiting (files as fast as they go): it is never overrun, it is slowed."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that a driver's `discover()` sees. `table` is what `[[camera]]` needs to open it, `note` for people."""

    driver: str
    vendor: str
    model: str
    serial: str
    table: Mapping[str, str | int]
    user_name: str = ""
    address: str = ""
    note: str = ""


class Camera(Protocol):
    """A blocking source of exposures, opened by entering it and closed by leaving it.

    Opening applies every setting. After `CameraLost` the object is left and a new one is made from the configuration.
    """

    features: frozenset[str]
    """What this device really has, by SFNC name where there is one (`ExposureTime`, `Width`, `FrameID`, …)."""

    identity: str
    """Vendor, model and serial number of the device, once it is open; empty where it has none."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the driver's own counts since opening (`completed`, `failures`, `underruns`, …); may be empty."""

    def __enter__(self) -> Self:
        """Open the device. Raise `CameraError` if it can't be used as configured, `CameraLost` if it is not there."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the device; never raises, may be called after any failure."""

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield exposures as they come, and None whenever `timeout_s` passed without one.

        Ends when the source is at its end (a directory played once), raises `CameraLost` when the device is gone.
        A picture's array is valid only until the next is asked for.
        """
