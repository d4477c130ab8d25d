"""Where capture threads and the inspect thread meet: a bounded queue that owns the frame buffers.

When a camera has too many frames waiting, its oldest gives its buffer away and stays in its place as `Missing`, so
that order and count are kept. Pictures are copied in; after warm-up no buffer is allocated.
"""

import threading
from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from station.frame import Frame, InvalidReason, Missing

__all__ = ["FrameQueue"]

_MAX_RUNS = 1024
"""Runs of missing frames that one camera may have waiting before neighbours are joined."""


class FrameQueue:
    """Frames and missing frames of all cameras, in order of arrival a camera, oldest camera first."""

    def __init__(self, cameras: list[str], max_frames: int) -> None:
        """Make room for `max_frames` waiting frames of each of `cameras`."""
        self._max_frames = max_frames
        self._waiting: dict[str, deque[Frame | Missing]] = {camera: deque() for camera in cameras}
        self._frames = dict.fromkeys(cameras, 0)
        self._buffers: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in cameras}
        self._lent: dict[tuple[str, int], NDArray[np.uint8]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Frame | Missing, wait: bool = False) -> None:
        """Hand over `item`; a frame's picture is copied. Capture threads.

        Never waits for the inspect thread unless `wait` says that the source can (files as fast as they go); then
        nothing gives way.
        """
        if isinstance(item, Frame):
            with self._changed:
                while wait and not self._closed and self._frames[item.camera] >= self._max_frames:
                    self._changed.wait()
                buffer = self._take_buffer(item.camera, item.image.nbytes)
            flat = buffer[: item.image.nbytes]
            image = flat.view(item.image.dtype).reshape(item.image.shape)
            np.copyto(image, item.image)
            image.flags.writeable = False
            item = item.with_image(image)
        with self._changed:
            if isinstance(item, Frame):
                self._lent[item.camera, item.sequence] = buffer
                self._frames[item.camera] += 1
            self._waiting[item.camera].append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> Frame | Missing | None:
        """Wait for the item that arrived first; None when the queue is closed and empty. Inspect thread.

        Raises `TimeoutError` when nothing came for `timeout_s`.
        """
        with self._changed:
            while True:
                heads = [waiting[0] for waiting in self._waiting.values() if waiting]
                if heads:
                    item = min(heads, key=lambda head: head.captured_tick_ns)
                    self._waiting[item.camera].popleft()
                    if isinstance(item, Frame):
                        self._frames[item.camera] -= 1
                        self._changed.notify_all()
                    return item
                if self._closed:
                    return None
                if not self._changed.wait(timeout_s):
                    raise TimeoutError

    def give_back(self, frame: Frame) -> None:
        """Take back the buffer of a frame that `get` returned; its picture must not be read any more."""
        with self._changed:
            self._buffers[frame.camera].append(self._lent.pop((frame.camera, frame.sequence)))

    def depth(self, camera: str) -> int:
        """Return how many frames of `camera` wait."""
        return self._frames[camera]

    def close(self) -> None:
        """Let `get` return None once everything that waits is taken, and let no `put` wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take_buffer(self, camera: str, nbytes: int) -> NDArray[np.uint8]:
        if self._frames[camera] >= self._max_frames:
            self._overrun(camera)
        free = self._buffers[camera]
        buffer = free.pop() if free else np.empty(0, np.uint8)
        return buffer if buffer.nbytes >= nbytes else np.empty(nbytes, np.uint8)

    def _overrun(self, camera: str) -> None:
        """Turn the oldest waiting frame of `camera` into a missing one and free its buffer."""
        waiting = self._waiting[camera]
        index, frame = next((index, item) for index, item in enumerate(waiting) if isinstance(item, Frame))
        self._buffers[camera].append(self._lent.pop((camera, frame.sequence)))
        self._frames[camera] -= 1
        waiting[index] = Missing(
            camera=camera,
            sequence=frame.sequence,
            reason=InvalidReason.OVERRUN,
            captured_ns=frame.captured_ns,
            captured_tick_ns=frame.captured_tick_ns,
            frame_id=frame.frame_id,
            source=frame.source,
        )
        self._join(waiting, index)

    def _join(self, waiting: deque[Frame | Missing], index: int) -> None:
        """Join the missing frame at `index` to the runs before it that gave way for the same reason.

        A camera with very many runs waiting joins them whatever their reasons: the queue overran them all. Before
        the oldest frame there are only missing ones.
        """
        while index:
            item, before = waiting[index], waiting[index - 1]
            assert isinstance(item, Missing)
            assert isinstance(before, Missing)
            if before.reason is not item.reason and len(waiting) <= _MAX_RUNS:
                return
            waiting[index - 1] = replace(before, reason=item.reason, count=before.count + item.count)
            del waiting[index]
            index -= 1
