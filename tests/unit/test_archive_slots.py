import os

import numpy as np
import pytest

from station.archive.slots import Slots, read_slot


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_another_process_reads_what_was_copied_and_what_was_put_behind_it(dtype: type) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (300, 200), dtype)
    with Slots(2) as slots:
        slot = slots.put(image)
        assert slot is not None
        slots.add(slot, image.nbytes, b"event")
        assert read_slot(slots.memory, slot, 0, image.nbytes) == image.tobytes()
        assert read_slot(slots.memory, slot, image.nbytes, 5) == b"event"


def test_a_part_of_a_larger_picture_is_copied_row_by_row() -> None:
    image = np.arange(10_000, dtype=np.uint8).reshape(100, 100)[10:20, 30:50]
    with Slots(1) as slots:
        assert slots.put(image) == 0
        assert read_slot(slots.memory, 0, 0, image.nbytes) == image.tobytes()


def test_each_slot_holds_one_frame_of_any_size_until_it_is_free() -> None:
    small, large = np.full((10, 10), 1, np.uint8), np.full((3000, 4096), 2, np.uint8)
    with Slots(2) as slots:
        taken = [slots.put(small), slots.put(large), slots.put(small)]
        assert sorted(map(str, taken)) == ["0", "1", "None"]
        assert taken[0] is not None
        slots.free(taken[0])
        assert slots.put(large) == taken[0]
        assert {read_slot(slots.memory, slot, 0, large.nbytes) for slot in (0, 1)} == {large.tobytes()}


def test_only_what_was_used_takes_memory() -> None:
    image = np.ones((1000, 2048), np.uint8)
    with Slots(256) as slots:
        for _ in range(20):
            slot = slots.put(image)
            assert slot is not None
            slots.free(slot)
        assert os.fstat(slots.memory).st_blocks * 512 <= image.nbytes + 4096
