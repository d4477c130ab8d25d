"""Where capture threads and the inspect thread meet: a bounded queue that owns the frame buffers.

When a camera has too many frames waiting, its oldest (or the new one, as configured) gives its buffer away and stays in
its place as `Missing`, so that order and count are kept. Pictures are copied in; after warm-up no buffer is allocated.
"""

import threading
from collections import deque
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from station.config import DropPolicy
from station.frame import Frame, Image, InvalidReason, Missing

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

    def put(self, item: Frame | Missing, drop: DropPolicy = "drop_oldest", head: Image | None = None) -> None:
        """Hand over `item`; a frame's picture is copied, with the rows of `head` on top. Capture threads.

        Where too many frames wait, `drop` says what gives way; with `wait` nothing does, and this call waits for room.
        """
        if isinstance(item, Frame):
            with self._changed:
                while drop == "wait" and not self._closed and self._frames[item.camera] >= self._max_frames:
                    self._changed.wait()
                if drop == "drop_newest" and self._frames[item.camera] >= self._max_frames:
                    self._append(_overrun(item))
                    return
                rows = 0 if head is None else len(head)
                buffer = self._take_buffer(item.camera, item.image.nbytes + rows * item.image[0].nbytes)
            item = _copy(item, head, buffer)
        with self._changed:
            if isinstance(item, Frame):
                self._lent[item.camera, item.sequence] = buffer
                self._frames[item.camera] += 1
            self._append(item)

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

    def get_beside(self, taken: Collection[str]) -> Frame | None:
        """Return a frame that another camera than those `taken` has waiting now; None without one. Inspect thread."""
        with self._changed:
            heads = [waiting[0] for name, waiting in self._waiting.items() if waiting and name not in taken]
            frames = [head for head in heads if isinstance(head, Frame)]
            if not frames:
                return None
            frame = min(frames, key=lambda one: one.captured_tick_ns)
            self._waiting[frame.camera].popleft()
            self._frames[frame.camera] -= 1
            self._changed.notify_all()
            return frame

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

    def _append(self, item: Frame | Missing) -> None:
        waiting = self._waiting[item.camera]
        before = waiting[-1] if waiting else None
        if isinstance(item, Missing) and isinstance(before, Missing) and self._are_one_run(before, item):
            waiting[-1] = _joined(before, item)
        else:
            waiting.append(item)
        self._changed.notify_all()

    def _take_buffer(self, camera: str, nbytes: int) -> NDArray[np.uint8]:
        if self._frames[camera] >= self._max_frames:
            self._drop_oldest(camera)
        free = self._buffers[camera]
        buffer = free.pop() if free else np.empty(0, np.uint8)
        return buffer if buffer.nbytes >= nbytes else np.empty(nbytes, np.uint8)

    def _drop_oldest(self, camera: str) -> None:
        """Turn the oldest waiting frame of `camera` into a missing one and free its buffer."""
        waiting = self._waiting[camera]
        index, frame = next((index, item) for index, item in enumerate(waiting) if isinstance(item, Frame))
        self._buffers[camera].append(self._lent.pop((camera, frame.sequence)))
        self._frames[camera] -= 1
        waiting[index] = _overrun(frame)
        self._join(waiting, index)

    def _join(self, waiting: deque[Frame | Missing], index: int) -> None:
        """Join the missing frame at `index` to the runs before it; before the oldest frame there are only such."""
        while index:
            item, before = waiting[index], waiting[index - 1]
            assert isinstance(item, Missing)
            assert isinstance(before, Missing)
            if not self._are_one_run(before, item):
                return
            waiting[index - 1] = _joined(before, item)
            del waiting[index]
            index -= 1

    def _are_one_run(self, before: Missing, item: Missing) -> bool:
        """Whether both of one piece were overrun; with very many runs waiting any two are one: it overran them all."""
        overrun = before.reason is InvalidReason.OVERRUN and item.reason is InvalidReason.OVERRUN
        return (overrun and before.piece == item.piece) or len(self._waiting[item.camera]) > _MAX_RUNS


def _overrun(frame: Frame) -> Missing:
    """Return what is left of a frame that gave way."""
    return Missing(
        camera=frame.camera,
        sequence=frame.sequence,
        reason=InvalidReason.OVERRUN,
        captured_ns=frame.captured_ns,
        captured_tick_ns=frame.captured_tick_ns,
        frame_id=frame.frame_id,
        source=frame.source,
        piece=frame.piece,
    )


def _joined(before: Missing, item: Missing) -> Missing:
    return replace(before, reason=item.reason, count=before.count + item.count)


def _copy(frame: Frame, head: Image | None, buffer: NDArray[np.uint8]) -> Frame:
    """Return `frame` with its picture, under the rows of `head`, in `buffer`, read-only."""
    rows = 0 if head is None else len(head)
    shape = (rows + frame.image.shape[0], frame.image.shape[1])
    image = buffer[: shape[0] * frame.image[0].nbytes].view(frame.image.dtype).reshape(shape)
    if head is not None:
        np.copyto(image[:rows], head)
    np.copyto(image[rows:], frame.image)
    image.flags.writeable = False
    return replace(frame, image=image, overlap_rows=rows)
