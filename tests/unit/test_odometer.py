import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from station.clock import ManualClock
from station.config import ChunkEncoder, EncoderConfig, LineConfig, LineSpeed, ModbusEncoder, ZeroMqEncoder
from station.frame import Position
from station.odometer import Odometer

MM = 0.5
MS = 1_000_000


def chunk(**changes: object) -> ChunkEncoder:
    return ChunkEncoder.model_validate({"type": "chunk", "mm_per_count": MM} | changes)


def odometer(encoder: EncoderConfig | None = None, clock: ManualClock | None = None) -> Odometer:
    return Odometer(LineConfig(encoder=encoder or chunk()), clock or ManualClock())


def fed(*readings: tuple[float, int], **changes: object) -> Odometer:
    """Make an odometer that has heard (milliseconds, count) of a counter of 0.5 mm a count."""
    made = odometer(chunk(**changes))
    for ms, count in readings:
        made.read(count, round(ms * MS))
    return made


def mm_at(made: Odometer, ms: float) -> float | None:
    position = made.at(round(ms * MS))
    return position.mm if position is not None else None


@dataclass(frozen=True)
class Journey:
    """A strip's true way in counts at the ticks when its counter was read, and what the counter showed there."""

    bits: int
    reversed: bool
    start: int
    steps: tuple[tuple[int, float], ...]

    @property
    def ticks_ns(self) -> list[int]:
        return list(accumulate((ms * MS for ms, _ in self.steps), initial=0))

    @property
    def ways(self) -> list[float]:
        return list(accumulate((moved for _, moved in self.steps), initial=0.0))

    def shown(self, way: float) -> int:
        whole = int(way // 1)
        return (self.start + (-whole if self.reversed else whole)) % 2**self.bits

    def odometer(self, clock: ManualClock | None = None) -> Odometer:
        return odometer(chunk(bits=self.bits, reversed=self.reversed), clock)


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    """Draw a way forward and back at up to 25 m/s, from a start that is often near the wrap."""
    bits = draw(st.sampled_from([16, 32, 64]))
    start = draw(st.one_of(st.integers(0, 2**bits - 1), st.integers(-2000, 2000).map(lambda n: n % 2**bits)))
    step = st.integers(1, 200).flatmap(
        lambda ms: st.tuples(st.just(ms), st.floats(-50.0 * ms, 50.0 * ms, allow_nan=False))
    )
    return Journey(bits, draw(st.booleans()), start, tuple(draw(st.lists(step, min_size=1, max_size=60))))


@given(journeys())
def test_any_way_is_followed_through_wraps_and_reversals(journey: Journey) -> None:
    made, furthest = journey.odometer(), 0
    for tick_ns, way in zip(journey.ticks_ns, journey.ways, strict=True):
        made.read(journey.shown(way), tick_ns)
        furthest = max(furthest, int(way // 1))
        expected = Position(int(way // 1) * MM, journey.shown(way), "", way // 1 < furthest)
        assert made.at(tick_ns) == expected
    assert made.jumps == 0


@given(journeys(), st.floats(0, 1))
def test_between_readings_the_position_is_the_true_way_within_one_count(journey: Journey, part: float) -> None:
    made, ticks_ns, ways = journey.odometer(), journey.ticks_ns, journey.ways
    for tick_ns, way in zip(ticks_ns, ways, strict=True):
        made.read(journey.shown(way), tick_ns)
    for before, (tick_ns, way) in enumerate(zip(ticks_ns[1:], ways[1:], strict=True)):
        asked_ns = round(ticks_ns[before] + part * (tick_ns - ticks_ns[before]))
        done = (asked_ns - ticks_ns[before]) / (tick_ns - ticks_ns[before])
        true = ways[before] + done * (way - ways[before])
        position = made.at(asked_ns)
        assert position is not None
        assert abs(position.mm / MM - true) <= 1 + 1e-6


@given(journeys())
def test_counts_with_pictures_and_readings_agree(journey: Journey) -> None:
    clock = ManualClock()
    read, counted = journey.odometer(), journey.odometer(clock)
    for tick_ns, way in zip(journey.ticks_ns, journey.ways, strict=True):
        clock.sleep((tick_ns - clock.tick_ns()) / 1e9)
        read.read(journey.shown(way), tick_ns)
        assert counted.of_count(journey.shown(way)) == read.at(tick_ns)
    assert counted.jumps == 0


def test_a_long_way_stays_exact() -> None:
    made = fed((0, 0), bits=16)
    for number in range(1, 100_001):
        made.read(number * 10_000 % 2**16, number * 200 * MS)
    assert mm_at(made, 100_000 * 200) == 100_000 * 10_000 * MM


SILENCES = {
    "never heard": ([], 5, None),
    "before the first reading": ([(10, 0)], 9, None),
    "at the first reading": ([(10, 0)], 10, 0.0),
    "between two readings": ([(0, 0), (100, 200)], 25, 25.0),
    "on at the last speed": ([(0, 0), (100, 200)], 150, 150.0),
    "no longer on": ([(0, 0), (100, 200)], 601, None),
    "at the limit": ([(0, 0), (100, 200)], 600, 600.0),
    "in a silence that is over": ([(0, 0), (100, 200), (2000, 200)], 601, None),
    "one reading makes no speed": ([(0, 0)], 400, 0.0),
    "a burst makes no speed": ([(0, 0), (0.01, 60)], 400, 30.0),
    "a burst is no part of the speed": ([(0, 0), (99.99, 198), (100, 200)], 200, 200.0),
    "a tick that is late": ([(0, 0), (100, 200), (90, 210)], 100, 105.0),
}


@pytest.mark.parametrize(("readings", "ms", "mm"), SILENCES.values(), ids=SILENCES)
def test_where_nothing_was_heard(readings: list[tuple[float, int]], ms: float, mm: float | None) -> None:
    assert mm_at(fed(*readings), ms) == (pytest.approx(mm) if mm is not None else None)


def test_only_the_last_readings_are_kept() -> None:
    made = fed(*((ms, ms) for ms in range(3000)))
    assert mm_at(made, 100) is None
    assert mm_at(made, 1000.5) == pytest.approx(500.25)


def test_going_back_is_told_until_the_furthest_is_passed_again() -> None:
    made = fed((0, 0), (100, 200), (200, 100), (300, 200), (400, 300))
    told = [made.at(ms * MS) for ms in (50, 100, 150, 250, 300, 350)]
    assert [position.reversed for position in told if position is not None] == [False, False, True, True, False, False]
    assert [position.mm for position in told if position is not None] == [50, 100, 75, 75, 100, 125]


LEAPS = {
    "set to 0": (1_000_000, 1000, 0),
    "too far forward": (0, 10, 10_000),
    "too far back": (1_000_000, 10, 990_000),
    "half a round": (0, 1000, 2**31),
    "silent for longer than a round may take": (0, 40_000_000, 60),
}


@pytest.mark.parametrize(("first", "ms", "second"), LEAPS.values(), ids=LEAPS)
def test_a_counter_that_leaps_is_not_believed_and_the_way_goes_on(first: int, ms: int, second: int) -> None:
    made = fed((0, first), (100, first + 200), (100 + ms, second), (200 + ms, second + 200))
    assert made.jumps == 1
    on_mm = min(ms, 500)  # the last speed is 1 m/s, and is believed for half a second
    assert made.at((100 + ms) * MS) == Position(100.0 + on_mm, second, "", False)
    assert made.at((200 + ms) * MS) == Position(200.0 + on_mm, second + 200, "", False)


NO_LEAPS = {
    "as far as the strip can go": (1000, 60_000),
    "back as far as it can": (1000, -60_000),
    "readings that come together": (0, 6000),
    "an hour away": (3_600_000, 200_000_000),
}


@pytest.mark.parametrize(("ms", "moved"), NO_LEAPS.values(), ids=NO_LEAPS)
def test_what_the_strip_can_do_is_believed(ms: int, moved: int) -> None:
    made = fed((0, 1_000_000), (ms, 1_000_000 + moved))
    assert (mm_at(made, ms), made.jumps) == (moved * MM, 0)


def test_a_coil_begins_at_0_and_pictures_before_it_stay_with_the_one_before() -> None:
    made = fed((0, 0), (100, 200))
    made.begin_coil("A", 50 * MS)
    made.read(300, 150 * MS)
    made.begin_coil("B", 150 * MS)
    made.read(400, 200 * MS)
    positions = {ms: made.at(ms * MS) for ms in (25, 50, 75, 149, 150, 200)}
    assert [(p.mm, p.coil) for p in positions.values() if p is not None] == [
        (25.0, ""),
        (0.0, "A"),
        (25.0, "A"),
        (pytest.approx(99.0), "A"),
        (0.0, "B"),
        (50.0, "B"),
    ]
    assert not any(p.reversed for p in positions.values() if p is not None)


def test_a_coil_that_begins_where_the_strip_stands_back_was_not_seen_yet() -> None:
    made = fed((0, 0), (100, 200), (200, 100))
    made.begin_coil("B", 200 * MS)
    made.read(150, 300 * MS)
    assert made.at(300 * MS) == Position(25.0, 150, "B", False)
    made.read(90, 400 * MS)
    assert made.at(400 * MS) == Position(-5.0, 90, "B", True)


def test_a_coil_of_a_silent_counter_begins_where_the_strip_must_be() -> None:
    made = fed((0, 0), (100, 200))
    made.begin_coil("A", 200 * MS)
    made.read(390, 200 * MS + 1)
    position = made.at(200 * MS + 1)
    assert position is not None
    assert (position.mm, position.reversed) == (pytest.approx(-5.0), False)


def test_a_coil_that_begins_before_its_counter_is_heard_begins_with_it() -> None:
    made = odometer()
    made.begin_coil("A", 0)
    assert made.at(0) is None
    made.read(77, 5 * MS)
    assert made.at(5 * MS) == Position(0.0, 77, "A", False)


def test_time_alone_makes_positions_from_the_start_and_from_each_coil() -> None:
    clock = ManualClock()
    clock.sleep(100)
    made = odometer(LineSpeed(type="speed", mm_per_s=2000), clock)
    assert made.at(100_250 * MS) == Position(500.0, None, "", False)
    made.begin_coil("A", 101_000 * MS)
    assert made.at(100_999 * MS) == Position(pytest.approx(1998.0), None, "", False)
    assert made.at(101_000 * MS) == Position(0.0, None, "A", False)
    assert made.at(4_000_000 * MS) == Position(pytest.approx(3_899_000 * 2.0), None, "A", False)
    assert made.jumps == 0


def test_without_an_encoder_there_are_no_positions() -> None:
    made = Odometer(LineConfig(), ManualClock())
    made.begin_coil("A", 0)
    assert made.at(0) is None
    with pytest.raises(TypeError, match="no counter"):
        made.read(1, 0)


def test_one_thread_reads_while_others_ask() -> None:
    made, stop, wrong = fed((0, 0)), threading.Event(), list[Position]()

    def ask() -> None:
        while not stop.is_set():
            for ms in (100, 1000, 1900):
                position = made.at(ms * MS)
                if position is not None and abs(position.mm - ms) > 1e-6:
                    wrong.append(position)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    made.read(200, 100 * MS)
    for thread in asking:
        thread.start()
    for ms in range(101, 2000):
        made.read(2 * ms, ms * MS)
    stop.set()
    for thread in asking:
        thread.join()
    assert not wrong


def modbus(**changes: object) -> EncoderConfig:
    table = {"type": "modbus", "host": "plc", "first_register": 0, "mm_per_count": 0.1} | changes
    return ModbusEncoder.model_validate(table)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a lap that is over too soon": (lambda: modbus(bits=16, poll_hz=10), r"wraps unseen; raise poll_hz to 19, or bits"),
    "registers beyond the last": (lambda: modbus(first_register=65_535), "32 bits reach beyond register 65535"),
    "stale before it is read": (lambda: LineConfig(encoder=modbus(poll_hz=3)), "two readings must fit in"),
    "no length": (lambda: chunk(mm_per_count=0), "greater than 0"),
    "an odd width": (lambda: chunk(bits=24), "16, 32 or 64"),
    "no endpoint": (lambda: ZeroMqEncoder(type="zeromq", endpoint="udp://a", mm_per_count=1), "pattern"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_can_not_be_followed(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make()


def test_the_limits_are_allowed() -> None:
    assert modbus(bits=16, poll_hz=19)
    assert modbus(first_register=65_534)
    assert LineConfig(encoder=modbus(poll_hz=4))
