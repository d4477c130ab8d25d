"""The ledger: every announced frame is settled exactly once. Capture threads announce, the inspect thread settles.

Each account has one announcing and one settling thread; a reader never sees more settled than announced.
"""

import threading
from dataclasses import dataclass, field

from shadowline.errors import StationError

__all__ = ["Account", "Ledger", "LedgerError"]


class LedgerError(StationError):
    """A frame was settled twice, out of order or without having been announced: a fault of the station itself."""


@dataclass(slots=True)
class Account:
    """What became of one camera's frames."""

    announced: int = 0
    accepted: int = 0
    rejected: int = 0
    invalid: dict[str, int] = field(default_factory=dict)
    late: int = 0

    @property
    def inspected(self) -> int:
        """Frames that got a verdict, `accept` or `reject`."""
        return self.accepted + self.rejected

    @property
    def settled(self) -> int:
        """Frames that have their one event."""
        return self.inspected + sum(self.invalid.copy().values())


class Ledger:
    """One account a camera, and their sum."""

    def __init__(self, cameras: list[str], max_frames: int | None = None) -> None:
        """Open an account for each of `cameras`; `max_frames` is the most that all together may announce."""
        self.accounts = {camera: Account() for camera in cameras}
        self._left = max_frames
        self._granting = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether `max_frames` are announced, so that the cameras can stop."""
        return self._left == 0

    def announce(self, camera: str, count: int = 1) -> range:
        """Count up to `count` new frames of `camera` and return their sequence numbers (from 1).

        Fewer than `count`, or none, only when `max_frames` is reached.
        """
        with self._granting:
            if self._left is not None:
                count = min(count, self._left)
                self._left -= count
            account = self.accounts[camera]
            first = account.announced + 1
            account.announced += count
        return range(first, first + count)

    def settle(self, camera: str, sequence: int, verdict: str, reason: str, late: bool) -> None:
        """Count the one event of frame `sequence`; it must be the next of its camera.

        Raises `LedgerError` otherwise: invariants 1 and 2 are checked on each frame, not at the end.
        """
        account = self.accounts[camera]
        expected = account.settled + 1
        if sequence != expected or sequence > account.announced:
            raise LedgerError(
                f"camera {camera}: frame {sequence} was settled where {expected} was due"
                f" ({account.announced} announced)"
            )
        match verdict:
            case "accept":
                account.accepted += 1
            case "reject":
                account.rejected += 1
            case _:
                account.invalid[reason] = account.invalid.get(reason, 0) + 1
        account.late += late

    @property
    def settled(self) -> int:
        """Frames of all cameras that have their event."""
        return sum(account.settled for account in self.accounts.values())

    @property
    def announced(self) -> int:
        """Frames that all cameras announced."""
        return sum(account.announced for account in self.accounts.values())

    @property
    def balanced(self) -> bool:
        """Whether every announced frame is settled; true once the station has drained."""
        return self.settled == self.announced

    def total(self) -> dict[str, int | dict[str, int]]:
        """Return `announced`, `inspected` and `invalid` by reason, summed over the cameras."""
        invalid: dict[str, int] = {}
        inspected = 0
        for account in self.accounts.values():
            inspected += account.inspected
            for reason, count in account.invalid.copy().items():
                invalid[reason] = invalid.get(reason, 0) + count
        return {"announced": self.announced, "inspected": inspected, "invalid": dict(sorted(invalid.items()))}
