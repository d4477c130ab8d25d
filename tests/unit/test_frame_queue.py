import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.config import DropPolicy
from station.frame import Frame, InvalidReason, Missing, Piece
from station.frame_queue import FrameQueue


def frame(sequence: int, camera: str = "top", grey: int = 0, shape: tuple[int, int] = (4, 6)) -> Frame:
    return Frame(camera, sequence, np.full(shape, grey, np.uint8), captured_ns=0, captured_tick_ns=sequence)


def drain(queue: FrameQueue) -> list[Frame | Missing]:
    queue.close()
    return list(iter(queue.get, None))


def test_the_picture_is_copied_and_read_only() -> None:
    queue = FrameQueue(["top"], 2)
    source = frame(1, grey=9)
    queue.put(source)
    source.image[:] = 0
    got = queue.get()
    assert isinstance(got, Frame)
    assert (got.image == 9).all()
    assert not got.image.flags.writeable


def test_the_oldest_gives_way_in_its_place_and_neighbours_join() -> None:
    queue = FrameQueue(["top"], 2)
    for sequence in range(1, 6):
        queue.put(frame(sequence))
    missing, *frames = drain(queue)
    assert isinstance(missing, Missing)
    assert (missing.sequence, missing.count, missing.reason) == (1, 3, InvalidReason.OVERRUN)
    assert [item.sequence for item in frames] == [4, 5]


def test_the_newest_gives_way_where_that_is_asked_for() -> None:
    queue = FrameQueue(["top"], 2)
    for sequence in range(1, 6):
        queue.put(frame(sequence), "drop_newest")
    *frames, missing = drain(queue)
    assert [item.sequence for item in frames] == [1, 2]
    assert isinstance(missing, Missing)
    assert (missing.sequence, missing.count, missing.reason) == (3, 3, InvalidReason.OVERRUN)


def test_nothing_gives_way_where_the_camera_waits() -> None:
    queue, taken = FrameQueue(["top"], 2), []
    writer = threading.Thread(target=lambda: [queue.put(frame(sequence), "wait") for sequence in range(1, 20)])
    writer.start()
    while len(taken) < 19:
        item = queue.get(5)
        assert isinstance(item, Frame)
        taken.append(item.sequence)
        queue.give_back(item)
    writer.join(5)
    assert taken == list(range(1, 20))


def test_what_other_cameras_have_waiting_is_taken_beside() -> None:
    queue = FrameQueue(["a", "b", "c", "d"], 2)
    for camera, sequence in (("b", 3), ("a", 2), ("c", 5)):
        queue.put(frame(sequence, camera))
    queue.put(Missing("d", 1, InvalidReason.LOST, 0, 1))
    got, taken = queue.get_beside(["a"]), []
    while got is not None:
        taken.append(got.camera)
        got = queue.get_beside(["a", *taken])
    assert taken == ["b", "c"]
    assert [item.camera for item in drain(queue)] == ["d", "a"]


def test_the_rows_of_a_head_stand_on_top() -> None:
    queue = FrameQueue(["top"], 2)
    queue.put(frame(1, grey=9), head=np.full((2, 6), 5, np.uint8))
    got = queue.get()
    assert isinstance(got, Frame)
    assert got.image[:, 0].tolist() == [5, 5, 9, 9, 9, 9]
    assert got.overlap_rows == 2
    assert not got.image.flags.writeable


def test_one_camera_does_not_push_another_out() -> None:
    queue = FrameQueue(["fast", "slow"], 2)
    queue.put(frame(1, "slow"))
    for sequence in range(1, 50):
        queue.put(frame(sequence, "fast"))
    slow = [item for item in drain(queue) if item.camera == "slow"]
    assert [type(item) for item in slow] == [Frame]


@given(st.lists(st.sampled_from(["put", "lose", "get"]), max_size=80), st.integers(1, 4))
def test_nothing_is_lost_doubled_or_reordered(steps: list[str], room: int) -> None:
    queue, sequence, seen = FrameQueue(["top"], room), 0, []

    def take() -> None:
        item = queue.get()
        assert item is not None
        if isinstance(item, Frame):
            assert (item.image == item.sequence % 251).all()
            seen.append(item.sequence)
            queue.give_back(item)
        else:
            seen.extend(range(item.sequence, item.sequence + item.count))

    for step in steps:
        if step == "get":
            if len(seen) < sequence:
                take()
            continue
        sequence += 1
        if step == "put":
            queue.put(frame(sequence, grey=sequence % 251))
        else:
            queue.put(Missing("top", sequence, InvalidReason.LOST, 0, sequence))
    while len(seen) < sequence:
        take()
    assert seen == list(range(1, sequence + 1))


def test_buffers_are_used_again() -> None:
    queue = FrameQueue(["top"], 2)
    places = set()
    for sequence in range(1, 30):
        queue.put(frame(sequence))
        got = queue.get()
        assert isinstance(got, Frame)
        places.add(got.image.ctypes.data)
        queue.give_back(got)
    assert len(places) == 1


@pytest.mark.parametrize("drop", ["drop_oldest", "drop_newest"])
def test_runs_that_wait_are_bounded(drop: DropPolicy) -> None:
    queue = FrameQueue(["top"], 1)
    for sequence in range(1, 10_001):
        lost = Missing("top", sequence, InvalidReason.LOST, 0, sequence)
        queue.put(frame(sequence) if sequence % 2 else lost, drop)
    items = drain(queue)
    assert len(items) < 3000
    assert sum(item.count if isinstance(item, Missing) else 1 for item in items) == 10_000


def test_get_waits_and_close_ends_it() -> None:
    queue, got = FrameQueue(["top"], 1), []
    reader = threading.Thread(target=lambda: got.extend(iter(queue.get, None)))
    reader.start()
    queue.put(frame(1))
    queue.close()
    reader.join(5)
    assert [item.sequence for item in got] == [1]


@pytest.mark.parametrize("timeout_s", [0, 0.01])
def test_get_with_a_time_out_says_when_nothing_comes(timeout_s: float) -> None:
    queue = FrameQueue(["top"], 1)
    with pytest.raises(TimeoutError):
        queue.get(timeout_s)
    queue.put(frame(1))
    item = queue.get(timeout_s)
    assert item is not None
    assert item.sequence == 1
    with pytest.raises(TimeoutError):
        queue.get(timeout_s)


def test_a_closed_queue_is_empty_and_not_late() -> None:
    queue = FrameQueue(["top"], 1)
    queue.put(frame(1))
    queue.close()
    assert isinstance(queue.get(0), Frame)
    assert queue.get(0) is None


def test_a_frame_ends_the_wait_of_a_get_with_a_time_out() -> None:
    queue, got = FrameQueue(["top"], 1), []
    reader = threading.Thread(target=lambda: got.append(queue.get(60)))
    reader.start()
    queue.put(frame(1))
    reader.join(5)
    assert [item.sequence for item in got] == [1]


def test_frames_of_two_parts_that_give_way_are_two_runs() -> None:
    queue = FrameQueue(["top"], 1)
    for sequence in range(1, 7):
        queue.put(replace(frame(sequence), piece=Piece("A" if sequence < 4 else "B")))
    first, second, last = drain(queue)
    assert isinstance(first, Missing)
    assert isinstance(second, Missing)
    assert [(one.sequence, one.count, one.piece.part) for one in (first, second)] == [(1, 3, "A"), (4, 2, "B")]
    assert last.piece == Piece("B")
