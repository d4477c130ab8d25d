"""A camera's exposures on their way to a recording: taken without waiting, written by a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from shadowline.errors import StationError
from station.frame import Exposure, Image, InvalidReason
from station.recording import RecordingWriter, Shot
from station.worker import Worker

__all__ = ["Recorder"]

_MAX_LINES = 100_000
_DRAIN_S = 600.0
_LOOK_S = 0.2  # a writing thread that failed does not notify


class Recorder:
    """Takes exposures for the length of a `with` block; leaving it waits until all of them are written.

    At most `room_bytes` of pictures wait for the disk, and never less than one. One that finds no room is dropped:
    its line says `overrun`, and `dropped` counts it. What fails in the writing thread is raised by `put` and `check`.
    """

    def __init__(self, writer: RecordingWriter, room_bytes: int) -> None:
        self.dropped = 0
        self.writer = writer
        self._room_bytes = room_bytes
        self._waiting_bytes = 0
        self._items: deque[tuple[Shot, Image | None]] = deque()
        self._free: list[Image] = []
        self._changed = threading.Condition()
        self._closed = False
        self._worker = Worker("record", self._run, self._close, join_s=_DRAIN_S)

    def __enter__(self) -> Self:
        self._worker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.__exit__(kind, error, trace)
        if kind is None:
            self.check()

    def put(self, exposure: Exposure, can_wait: bool = False) -> None:
        """Take a copy of `exposure`; without room for it drop it, or wait when the source can wait."""
        self.check()
        image = exposure.image
        if image is None:
            self._append(Shot.of(exposure), None)
        elif self._takes(image.nbytes, can_wait):
            copy = self._buffer(image)
            np.copyto(copy, image)
            self._append(Shot.of(exposure), copy)
        else:
            self.dropped += 1
            self._append(Shot.of(exposure, InvalidReason.OVERRUN), None)

    def check(self) -> None:
        """Raise what the writing thread failed with, or that it stands still."""
        if self._worker.failure is not None:
            raise self._worker.failure
        if len(self._items) > _MAX_LINES:
            raise StationError(f"the disk took nothing while {_MAX_LINES} pictures came: recording ended")

    def _append(self, shot: Shot, image: Image | None) -> None:
        with self._changed:
            self._items.append((shot, image))
            self._changed.notify()

    def _takes(self, image_bytes: int, can_wait: bool) -> bool:
        """Reserve room for a picture; False when there is none."""
        with self._changed:
            while self._waiting_bytes and self._waiting_bytes + image_bytes > self._room_bytes:
                if not can_wait:
                    return False
                self._changed.wait(_LOOK_S)
                self.check()
            self._waiting_bytes += image_bytes
            return True

    def _buffer(self, like: Image) -> Image:
        """Return a free buffer for `like`; those of another size are let go."""
        while self._free:
            buffer = self._free.pop()
            if buffer.shape == like.shape and buffer.dtype == like.dtype:
                return buffer
        return np.empty_like(like)

    def _run(self, ready: Callable[[], None]) -> None:
        with self.writer as writer:
            ready()
            while (item := self._next()) is not None:
                shot, image = item
                writer.write(shot, image)
                if image is not None:
                    self._free.append(image)
                    with self._changed:
                        self._waiting_bytes -= image.nbytes
                        self._changed.notify()

    def _next(self) -> tuple[Shot, Image | None] | None:
        """Wait for an exposure; None when the recorder is closed and all are written."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            return self._items.popleft() if self._items else None

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
