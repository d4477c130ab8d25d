"""How often each camera's newest frame is shown. Pure; called from the inspect thread."""

__all__ = ["Pace"]


class Pace:
    """At most `rate_hz` frames of each camera; none at 0."""

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = round(1e9 / rate_hz) if rate_hz else None
        self._due_ns: dict[str, int] = {}

    def is_due(self, camera: str, now_ns: int) -> bool:
        """Return whether a frame of `camera` may be shown now."""
        return self._period_ns is not None and now_ns >= self._due_ns.get(camera, 0)

    def note(self, camera: str, now_ns: int) -> None:
        """Note that one is."""
        self._due_ns[camera] = now_ns + (self._period_ns or 0)
