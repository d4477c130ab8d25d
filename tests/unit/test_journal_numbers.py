from contextlib import closing
from pathlib import Path

import pytest

from station.journal.numbers import LEASED, Numbers


def begin(folder: Path, last: int = 0) -> Numbers:
    numbers = Numbers(folder, folder)
    numbers.begin(numbers.journal or "j", max(last, numbers.last))
    return numbers


def die(numbers: Numbers, folder: Path) -> None:
    """Leave everything as SIGKILL would."""
    files = {path: path.read_bytes() for path in folder.iterdir()}
    numbers.close()
    for path, content in files.items():
        path.write_bytes(content)


def read(folder: Path) -> tuple[str | None, int, bool]:
    numbers = Numbers(folder, folder)
    found = numbers.journal, numbers.last, numbers.exact
    numbers.close()
    return found


def test_a_new_folder_knows_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == (None, 0, False)


def test_after_a_clean_end_the_number_is_exact_and_nothing_stays_in_memory(tmp_path: Path) -> None:
    with closing(begin(tmp_path)) as numbers:
        numbers.mark.write(41)
    assert read(tmp_path) == ("j", 41, True)
    assert not list(tmp_path.glob("shadowline-*"))


def test_after_a_kill_the_mark_tells_the_last_number(tmp_path: Path) -> None:
    for last in (5, 9, 1000):
        numbers = begin(tmp_path)
        numbers.mark.write(last)
        die(numbers, tmp_path)
    assert read(tmp_path) == ("j", 1000, True)


def test_after_a_power_cut_the_lease_tells_a_number_that_was_not_reached(tmp_path: Path) -> None:
    numbers = begin(tmp_path, 7)
    numbers.mark.write(5000)
    die(numbers, tmp_path)
    next(tmp_path.glob("shadowline-*")).unlink()
    assert read(tmp_path) == ("j", 7 + LEASED, False)


def test_a_mark_of_an_earlier_run_is_not_believed(tmp_path: Path) -> None:
    die(begin(tmp_path), tmp_path)
    mark = next(tmp_path.glob("shadowline-*"))
    old = mark.read_bytes()
    mark.unlink()
    die(begin(tmp_path), tmp_path)
    mark.write_bytes(old)
    assert read(tmp_path) == ("j", 2 * LEASED, False)


def test_the_lease_is_renewed_before_it_is_used_up(tmp_path: Path) -> None:
    with closing(begin(tmp_path)) as numbers:
        before = (tmp_path / "numbers").read_bytes()
        numbers.mark.write(LEASED // 2)
        numbers.renew()
        assert (tmp_path / "numbers").read_bytes() == before
        numbers.mark.write(LEASED // 2 + 1)
        numbers.renew()
        assert f'"number":{LEASED // 2 + 1 + LEASED}'.encode() in (tmp_path / "numbers").read_bytes()


@pytest.mark.parametrize("slot", [0, 1])
def test_a_torn_slot_leaves_the_other(tmp_path: Path, slot: int) -> None:
    for last in (10, 20):
        with closing(begin(tmp_path, last)) as numbers:
            numbers.mark.write(last)
    content = bytearray((tmp_path / "numbers").read_bytes())
    content[slot * 512 + 20] ^= 0xFF
    (tmp_path / "numbers").write_bytes(content)
    journal, last, _ = read(tmp_path)
    assert journal == "j"
    assert last >= 20


def test_a_file_that_is_garbage_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_bytes(b"\xff\x00{}" * 300)
    assert read(tmp_path) == (None, 0, False)
