"""Whether a camera that delivers is well: the share of its last frames that was lost or spoilt. Pure."""

from collections import Counter, deque

from station.frame import Frame, InvalidReason, Missing

__all__ = ["CameraHealth"]

_WINDOW_NS = 5_000_000_000
_SLOT_NS = 500_000_000
_SPOILT = frozenset(
    {
        InvalidReason.LOST,
        InvalidReason.INCOMPLETE,
        InvalidReason.REPEATED,
        InvalidReason.STALE,
        InvalidReason.UNREADABLE,
        InvalidReason.UNSUPPORTED,
    }
)
_AGAIN_WELL = 0.5  # of the limit, so that a camera at the limit does not change state with each frame


class CameraHealth:
    """Counts one camera's frames of the last five seconds."""

    def __init__(self, max_share: float) -> None:
        """`max_share` of the frames may be lost, incomplete, repeated, stale or unreadable."""
        self._max_share = max_share
        self._slots: deque[tuple[int, Counter[str]]] = deque()
        self.complaint = ""
        """What is wrong, with figures, as `of the last 290 frames 3 incomplete`; empty while all is well."""

    def count(self, item: Frame | Missing, tick_ns: int) -> None:
        """Count what was announced at `tick_ns` and judge anew."""
        reason, frames = ("", 1) if isinstance(item, Frame) else (item.reason.value, item.count)
        if not self._slots or tick_ns - self._slots[-1][0] >= _SLOT_NS:
            self._slots.append((tick_ns, Counter()))
            while tick_ns - self._slots[0][0] >= _WINDOW_NS:
                self._slots.popleft()
            self._judge()
        self._slots[-1][1][reason] += frames
        if reason in _SPOILT:
            self._judge()

    def restart(self) -> None:
        """Forget everything: the camera was opened anew."""
        self._slots.clear()
        self.complaint = ""

    def _judge(self) -> None:
        counts = sum((slot for _, slot in self._slots), Counter[str]())
        spoilt = {reason: count for reason, count in counts.items() if reason in _SPOILT}
        limit = self._max_share * (_AGAIN_WELL if self.complaint else 1) * counts.total()
        if sum(spoilt.values()) > limit:
            what = ", ".join(f"{count} {reason}" for reason, count in sorted(spoilt.items()))
            self.complaint = f"of the last {counts.total()} frames {what}"
        else:
            self.complaint = ""
