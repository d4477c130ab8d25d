"""Positions of a coil over a restart of the station, whose zero is another one thereafter. Pure."""

import msgspec

from station.event import DefectRecord, InspectionEvent, PositionRecord

__all__ = ["Bridge"]


class _Place(msgspec.Struct, frozen=True):
    mm: float
    step: int
    """The count there, or the time where the line has no counter."""
    counted: bool


class Bridge(msgspec.Struct):
    """Carries one camera's frames on in the millimetres that the coil began with; it can be kept as JSON.

    How far the strip went meanwhile is told by the counter, which goes on counting, or by the time where the line has a
    kept speed.
    """

    shift_mm: float = 0.0
    """From the zero of now to that of the coil."""
    _coil: str | None = None
    _last: _Place | None = None
    _mm_per_step: float = 0.0
    _moved: bool = False

    def begin_run(self) -> None:
        """Take the next frame with a position as the first one behind another zero."""
        self._moved = True

    def carry(self, event: InspectionEvent, position: PositionRecord, coil: str) -> InspectionEvent | None:
        """Return `event`, which has `position`, in the millimetres of `coil`; None where nothing tells where it lies.

        A coil named otherwise than the last time has another zero too.
        """
        self._moved |= self._coil not in (None, position.coil)
        self._coil = position.coil
        if self._moved and not self._place(position, event.captured_ns):
            return None
        self._note(_place_of(position, event.captured_ns, self.shift_mm))
        if self.shift_mm == 0.0 and position.coil == coil:
            return event
        shifted = msgspec.structs.replace(position, mm=round(position.mm + self.shift_mm, 3), coil=coil)
        return msgspec.structs.replace(
            event, position=shifted, defects=tuple(_shift(defect, self.shift_mm) for defect in event.defects)
        )

    def _place(self, position: PositionRecord, captured_ns: int) -> bool:
        """Find the shift of the new zero, and return whether it could be."""
        last, here = self._last, _place_of(position, captured_ns, 0.0)
        if last is None or last.counted != here.counted or not self._mm_per_step:
            return False
        went_mm = (here.step - last.step) * self._mm_per_step
        if went_mm < 0:  # the counter was set back, or went round
            return False
        self.shift_mm, self._moved, self._last = last.mm + went_mm - position.mm, False, None
        return True

    def _note(self, place: _Place) -> None:
        last, self._last = self._last, place
        if last is not None and place.step != last.step and place.mm != last.mm:
            self._mm_per_step = (place.mm - last.mm) / (place.step - last.step)


def _place_of(position: PositionRecord, captured_ns: int, shift_mm: float) -> _Place:
    counted = position.count is not None
    return _Place(position.mm + shift_mm, position.count if position.count is not None else captured_ns, counted)


def _shift(defect: DefectRecord, shift_mm: float) -> DefectRecord:
    if defect.position_mm is None:
        return defect
    start, end = defect.position_mm
    return msgspec.structs.replace(defect, position_mm=(round(start + shift_mm, 3), round(end + shift_mm, 3)))
