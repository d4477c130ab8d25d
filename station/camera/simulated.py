"""A camera without hardware: a moving strip with known defects, and the faults of real cameras on demand.

Lives in the capture thread.
"""

import weakref
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from shadowline.errors import CameraError, CameraLost
from station.camera.base import CAN_WAIT
from station.camera.pace import Pace
from station.camera.strip import Defect, Strip
from station.clock import Clock
from station.config import SimulatedConfig
from station.frame import Exposure

__all__ = ["SimulatedCamera"]

_GARBAGE = 128  # grey level of rows that never arrived


@dataclass(slots=True)
class _Device:
    """What outlives the camera object, as a real device does: when it is back from its unplug and from its freeze."""

    back_ns: int | None = None
    thawed_ns: int | None = None


_devices: weakref.WeakKeyDictionary[Clock, dict[str, _Device]] = weakref.WeakKeyDictionary()
"""The devices of this process by clock and camera name. A station has one clock, a test one of its own."""


class SimulatedCamera:
    """An area camera over `Strip`: frame id n shows the strip's frame n.

    The frame id counts from 0 at every opening and counts every frame that the device made, delivered or not. The
    encoder counts the strip's rows that went by since.
    """

    def __init__(self, config: SimulatedConfig, clock: Clock) -> None:
        self.features = frozenset(
            {"AcquisitionFrameRate", "EncoderValue", "FrameID", "Height", "Width"}
            if config.rate_hz
            else {"AcquisitionFrameRate", "EncoderValue", "FrameID", "Height", "Width", CAN_WAIT}
        )
        self.identity = f"simulated {config.name}"
        self.counters: Mapping[str, int] = {}
        self._config = config
        self._clock = clock
        self._device = _devices.setdefault(clock, {}).setdefault(config.name, _Device())
        self._strip: Strip | None = None

    def __enter__(self) -> Self:
        config = self._config
        if self._device.back_ns is not None and self._clock.tick_ns() < self._device.back_ns:
            raise CameraLost(f"camera {config.name}: unplugged")
        self._strip = Strip(config.width_px, config.height_px, config.seed, config.defects_per_frame)
        self._buffer = np.empty(self._strip.shape, np.uint8)
        self._image = self._buffer.view()
        self._image.flags.writeable = False
        self._pace = Pace(config.rate_hz, self._clock)
        self._made = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._strip = None

    def truth(self, frame_id: int) -> tuple[Defect, ...]:
        """Return the defects drawn in the frame of that id."""
        return self._opened().truth(frame_id)

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield exposures at the configured rate, for ever; None after `timeout_s` without one."""
        faults = self._config.faults
        timeout_ns = round(timeout_s * 1e9)
        deadline_ns = self._clock.tick_ns() + timeout_ns
        deadline_ns = yield from self._wait_for_thaw(deadline_ns, timeout_ns)
        while True:
            strip = self._opened()
            if not self._pace.wait(deadline_ns):
                yield None
                deadline_ns = self._clock.tick_ns() + timeout_ns
                continue
            frame_id, number = self._made, self._made + 1
            if number == faults.unplug_at and (faults.again or self._device.back_ns is None):
                self._device.back_ns = self._clock.tick_ns() + round(faults.outage_s * 1e9)
                raise CameraLost(f"camera {self._config.name}: unplugged at frame {frame_id}")
            self._made += 1
            if number == faults.freeze_at and (faults.again or self._device.thawed_ns is None):
                self._device.thawed_ns = self._clock.tick_ns() + round(faults.outage_s * 1e9)
                deadline_ns = yield from self._wait_for_thaw(deadline_ns, timeout_ns)
            elif not _every(faults.lose_every, number):
                exposure = self._expose(strip, frame_id)
                yield exposure
                if _every(faults.repeat_every, number):
                    yield exposure
                deadline_ns = self._clock.tick_ns() + timeout_ns

    def _opened(self) -> Strip:
        if self._strip is None:
            raise CameraError(f"camera {self._config.name}: not open")
        return self._strip

    def _expose(self, strip: Strip, frame_id: int) -> Exposure:
        """Draw one frame into the camera's one buffer."""
        faults = self._config.faults
        captured_ns = self._clock.utc_ns()
        strip.render(frame_id, self._buffer)
        if faults.flicker:
            rng = np.random.default_rng((self._config.seed, frame_id, 1))
            cv2.convertScaleAbs(self._buffer, dst=self._buffer, alpha=1 - faults.flicker * rng.random())
        valid_rows = None
        if _every(faults.cut_every, frame_id + 1):
            valid_rows = self._config.height_px // 2
            self._buffer[valid_rows:] = _GARBAGE
        rows_passed = frame_id * self._config.height_px
        return Exposure(self._image, frame_id, captured_ns, valid_rows=valid_rows, encoder=rows_passed)

    def _wait_for_thaw(self, deadline_ns: int, timeout_ns: int) -> Generator[None, None, int]:
        """Deliver nothing while the device is frozen, though it goes on making frames; return the deadline then."""
        end_ns = self._device.thawed_ns or 0
        if end_ns <= self._clock.tick_ns():
            return deadline_ns
        while deadline_ns < end_ns:
            self._clock.sleep((deadline_ns - self._clock.tick_ns()) / 1e9)
            yield None
            deadline_ns = self._clock.tick_ns() + timeout_ns
        self._clock.sleep((end_ns - self._clock.tick_ns()) / 1e9)
        self._made += self._pace.skip_missed()
        return deadline_ns


def _every(nth: int, number: int) -> bool:
    """Whether `number`, counted from 1, is a multiple of `nth`; 0 is never."""
    return nth > 0 and number % nth == 0
