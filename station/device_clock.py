"""How old a picture is when it comes, by the camera's own stamps. Pure; used by the capture thread."""

__all__ = ["DeviceClock"]

_DRIFT = 2e-4  # two quartz clocks differ by less; the shortest way may seem longer by so much of the time that passed


class DeviceClock:
    """Compares a device's stamps, of any origin, with the host's tick.

    The picture that came fastest of all is taken to be of age 0: what all of them need on their way is not seen.
    """

    def __init__(self) -> None:
        self._least_ns: float | None = None
        self._last_tick_ns = 0
        self._last_device_ns = 0

    def age_ns(self, device_ns: int, tick_ns: int) -> int:
        """Return how long before `tick_ns` the picture stamped `device_ns` was taken.

        A stamp that steps back is a clock that was set anew: everything counts from there.
        """
        apart_ns = tick_ns - device_ns
        if self._least_ns is None or device_ns < self._last_device_ns:
            self._least_ns = apart_ns
        else:
            self._least_ns = min(apart_ns, self._least_ns + _DRIFT * (tick_ns - self._last_tick_ns))
        self._last_tick_ns, self._last_device_ns = tick_ns, device_ns
        return round(apart_ns - self._least_ns)
