"""What of a PLC's words is believed."""

from station.gateways.plc.key import Key
from station.gateways.plc.listening import Listening
from station.gateways.plc.registers import CONTROL


def words(heartbeat: int, **values: int | str) -> list[int]:
    return CONTROL.pack(values | {"plc_heartbeat": heartbeat})


def alive() -> Listening:
    listening = Listening(silent_s=3.0, low_word_first=False)
    for beat in range(3):
        listening.hear(words(beat), beat)
    assert listening.alive
    return listening


def test_a_plc_is_alive_when_its_heartbeat_has_moved_twice_and_no_longer_than_that() -> None:
    listening = Listening(silent_s=3.0, low_word_first=False)
    for time_s, beat, expected in [
        (0, 9, False),
        (1, 9, False),
        (2, 10, False),
        (3, 11, True),
        (5, 11, True),
        (6, 11, False),
    ]:
        listening.hear(words(beat), time_s)
        assert listening.alive == expected, time_s
    listening.hear(words(12), 7)
    assert listening.alive


def test_what_it_wants_counts_when_it_was_read_twice_alike() -> None:
    listening = alive()
    listening.hear(words(3, trigger=1, part_id="A"), 3)
    assert not listening.control["trigger"]
    listening.hear(words(4, trigger=1, part_id="AB"), 3)
    assert not listening.control["trigger"]
    listening.hear(words(5, trigger=1, part_id="AB", encoder=77), 3)
    assert (listening.control["trigger"], listening.control["part_id"]) == (1, "AB")


def test_a_dead_plcs_words_change_nothing() -> None:
    listening = Listening(silent_s=3.0, low_word_first=False)
    for time_s in range(5):
        listening.hear(words(0, execute=1, command=1), time_s)
    assert not listening.control["execute"]


def test_a_damaged_acknowledgement_is_none() -> None:
    listening = alive()
    key = Key(5, 6).values("ack")
    listening.hear(words(9, **key), 3)
    assert listening.ack == Key(5, 6)
    listening.hear(words(10, **(key | {"ack_inspection": 7})), 3)
    assert listening.ack is None
