"""The outlet and a PLC that runs the program of docs/plc.md, in one memory."""

from typing import Any

import pytest

from shadowline.errors import PeerLost
from station.client import Gap
from station.clock import ManualClock
from station.config import Config
from station.config.gateways import ModbusConfig
from station.control_protocol import Recipe
from station.event import Heartbeat
from station.gateways.base import Ask, Expired, Turn
from station.gateways.plc.outlet import PlcOutlet
from station.gateways.plc.registers import CONTROL, HEAD, OFFLINE_REASONS, OUTPUT, RESULT, TAIL, UNKNOWN_LABEL, VERSION
from tests.plc_double import PlcModel, SharedMemory, read_status
from tests.plc_views import LABELS, result_of, view_of

CONFIG = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
HEAD_AT, RESULT_AT = OUTPUT.words, OUTPUT.words + HEAD.words
TAIL_AT = RESULT_AT + RESULT.words


class Bench:
    """An outlet that is open, its PLC, and what the outlet said last."""

    def __init__(self, **changes: Any) -> None:
        self.clock, self.memory = ManualClock(), SharedMemory()
        self.plc = PlcModel(self.memory)
        table = {"type": "modbus", "role": "client", "host": "127.0.0.1", "max_age_s": 10.0, "silent_s": 1.0}
        self.settings = ModbusConfig.model_validate(table | changes)
        self.outlet = PlcOutlet("plc", self.settings, CONFIG, self.memory.opening, self.clock)
        self.outlet.open()
        self.said = Turn(0, 0)

    def turn(self, scans: int = 1, **view: Any) -> dict[str, Any]:
        """Turn after each of so many cycles of the PLC; return what the memory shows."""
        for _ in range(scans):
            self.plc.scan()
            self.said = self.outlet.turn(view_of(self.clock, **view))
        return read_status(self.memory.status)

    def put(self, *events: int) -> None:
        for event in events:
            self.outlet.put(result_of(event, self.clock.utc_ns()))

    @property
    def took(self) -> list[int]:
        return [result["head_inspection"] for result in self.plc.results]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.turn(3)
    return bench


def test_nothing_is_taken_before_the_plc_is_alive() -> None:
    bench = Bench()
    bench.turn(0)
    assert bench.outlet.turn(view_of(bench.clock)).room == 0
    bench.turn(3)
    assert bench.said.room > 0


def test_results_go_one_by_one_and_are_settled_when_they_are_acknowledged(bench: Bench) -> None:
    bench.put(1, 2, 3)
    shown = bench.turn()
    assert (shown["results_valid"], shown["head_inspection"], bench.said.done) == (1, 1, 0)
    toggled = shown["inspection_completed"]
    shown = bench.turn()
    assert (shown["head_inspection"], shown["inspection_completed"], bench.said.done) == (2, 1 - toggled, 1)
    shown = bench.turn(3)
    assert (shown["results_valid"], shown["head_inspection"], bench.said.done) == (0, 0, 3)
    assert bench.took == [1, 2, 3]
    assert bench.said.counts["taken"] == 3


def test_a_result_is_written_between_its_tail_and_its_head_and_the_output_before_all(bench: Bench) -> None:
    bench.memory.writes.clear()
    bench.put(1, 2)
    bench.turn(reject=True)
    assert bench.memory.writes == [(0, 1), (RESULT_AT, RESULT.words + TAIL.words), (HEAD_AT, HEAD.words)]
    assert bench.memory.coil is True
    bench.memory.writes.clear()
    bench.turn(reject=True)
    assert bench.memory.writes == [(TAIL_AT, TAIL.words), (RESULT_AT, RESULT.words), (HEAD_AT, HEAD.words)]


def test_other_messages_gaps_and_what_expired_settle_in_their_turn(bench: Bench) -> None:
    bench.put(1)
    bench.outlet.put(Gap(2, 5, "lost"))
    bench.outlet.put(Expired(6, 9, 4))
    bench.put(10)
    bench.turn()
    assert bench.said.done == 0
    bench.turn()
    assert bench.said.done == 9
    bench.turn()
    assert bench.said.done == 10


def test_a_plc_that_never_acknowledges_gets_the_next_when_the_first_is_too_old(bench: Bench) -> None:
    bench.plc = PlcModel(bench.memory, acknowledges=False)
    bench.put(1)
    assert bench.turn(4)["head_inspection"] == 1
    assert bench.said.done == 0
    bench.clock.sleep(9)
    bench.put(2)
    bench.clock.sleep(2)
    shown = bench.turn(2, expired=5)
    assert (shown["head_inspection"], shown["expired"], bench.said.done) == (2, 6, 1)
    assert bench.said.counts["not_acknowledged"] == 1


def test_acknowledging_twice_settles_one(bench: Bench) -> None:
    bench.put(1, 2)
    bench.turn(2)
    before = list(bench.memory.control)
    bench.plc.step(1)  # it is reading; its old acknowledgement stands there for ten turns
    for _ in range(10):
        bench.memory.control[:] = before
        bench.said = bench.outlet.turn(view_of(bench.clock))
    assert bench.said.done == 1


@pytest.mark.parametrize(("in_time", "counts"), [(True, (1, 0)), (False, (0, 1))])
def test_what_was_taken_at_the_edge_of_its_age_counts_as_taken(
    bench: Bench, in_time: bool, counts: tuple[int, int]
) -> None:
    bench.turn(3)
    bench.put(1)
    bench.outlet.turn(view_of(bench.clock))  # shown
    if in_time:
        bench.plc.scan()
    bench.clock.sleep(bench.settings.max_age_s + 1)
    bench.put(2)  # what is new makes the outlet look at ages before it reads
    for _ in range(3):
        bench.memory.control[CONTROL.places["plc_heartbeat"]] += 1
        said = bench.outlet.turn(view_of(bench.clock))
    assert (said.counts["taken"], said.counts["not_acknowledged"], said.done) == (*counts, 1)
    bench.turn(2)
    assert bench.took == ([1, 2] if in_time else [2])


def test_without_a_buffer_the_newest_replaces_those_that_wait_and_that_is_counted(bench: Bench) -> None:
    bench.plc.wants["newest_only"] = 1
    bench.turn(3)
    bench.put(1)
    bench.turn()
    bench.put(2, 3, 4, 5)
    bench.turn()
    assert (bench.said.done, bench.said.counts["overruns"]) == (4, 3)
    shown = bench.turn()
    assert (shown["overruns"], shown["overrun"]) == (3, 1)
    bench.plc.wants["clear_error"] = 1
    shown = bench.turn(4)
    assert bench.took == [1, 5]
    assert (shown["overruns"], shown["overrun"], bench.said.counts["overruns"]) == (3, 0, 3)


def test_a_plc_that_acknowledges_nothing_by_agreement_sees_the_newest() -> None:
    bench = Bench(acknowledge=False)
    bench.outlet.turn(view_of(bench.clock))
    bench.put(1, 2, 3)
    shown = bench.turn()
    assert (shown["head_inspection"], bench.said.done, bench.said.counts["overruns"]) == (3, 3, 2)
    assert bench.turn()["head_inspection"] == 3
    bench.put(4)
    bench.turn(2)
    assert bench.took == [3, 4]


def test_a_silent_station_means_reject_and_its_results_come_when_it_is_heard(bench: Bench) -> None:
    bench.put(1)
    shown = bench.turn(online=False)
    assert (shown["online"], shown["outputs_reject"], shown["results_valid"]) == (0, 1, 0)
    assert shown["offline_reason"] == OFFLINE_REASONS["station_silent"]
    shown = bench.turn()
    assert (shown["online"], shown["outputs_reject"], shown["head_inspection"]) == (1, 0, 1)


def test_a_plc_may_set_the_station_offline(bench: Bench) -> None:
    bench.plc.wants["set_offline"] = 1
    shown = bench.turn(4)
    assert (shown["online"], shown["outputs_reject"]) == (0, 1)
    assert shown["offline_reason"] == OFFLINE_REASONS["set_offline"]


def test_closing_leaves_what_means_reject(bench: Bench) -> None:
    bench.put(1)
    bench.turn()
    bench.outlet.close()
    shown = read_status(bench.memory.status)
    assert (shown["online"], shown["outputs_reject"], shown["results_valid"], shown["head_inspection"]) == (0, 1, 0, 0)
    assert (shown["offline_reason"], shown["version"]) == (OFFLINE_REASONS["gateway_ended"], VERSION)
    assert bench.memory.coil is True


def test_a_plc_that_is_away_is_lost_once_and_closing_does_not_try_it_again(bench: Bench) -> None:
    bench.memory.away = True
    with pytest.raises(PeerLost):
        bench.turn()
    bench.memory.away = False
    bench.memory.writes.clear()
    bench.outlet.close()
    bench.outlet.close()
    assert not bench.memory.writes


def test_a_plc_that_forgot_its_words_has_them_again_after_a_heartbeat(bench: Bench) -> None:
    bench.put(1)
    bench.turn(0)
    bench.outlet.turn(view_of(bench.clock))
    bench.memory.status[:] = [0] * len(bench.memory.status)
    bench.clock.sleep(0.6)
    bench.turn(2)
    assert bench.took == [1]


def test_a_heartbeat_that_stands_is_counted_and_stops_new_results(bench: Bench) -> None:
    bench.clock.sleep(5)
    bench.outlet.turn(view_of(bench.clock))
    bench.said = bench.outlet.turn(view_of(bench.clock))
    assert bench.said.counts["plc_silences"] == 1
    assert bench.said.room == 0
    bench.turn(2)
    assert bench.said.room > 0


def test_commands_are_asked_and_answered(bench: Bench) -> None:
    bench.plc.wants |= {"execute": 1, "command": 1, "job": 7}
    asked: list[Ask] = []
    for _ in range(4):
        bench.turn()
        asked += bench.said.asks
    assert asked == [Ask(1, Recipe(7))]
    assert bench.turn(answers={1: ""})["command_done"]


def test_counters_begin_anew_where_the_plc_asks(bench: Bench) -> None:
    assert bench.turn(lost=5)["lost"] == 5
    bench.plc.wants["reset_counters"] = 1
    assert bench.turn(4, lost=5)["lost"] == 0
    bench.plc.wants["reset_counters"] = 0
    bench.turn(4, lost=5)
    assert bench.turn(lost=7)["lost"] == 2


def test_names_of_labels_can_be_read(bench: Bench) -> None:
    for code, name in [*enumerate(LABELS, 1), (UNKNOWN_LABEL, "unknown"), (77, "")]:
        bench.plc.wants["label"] = code
        assert bench.turn(4)["label_name"] == name


def test_a_stations_clock_an_hour_off_changes_no_age(bench: Bench) -> None:
    there_ns = bench.clock.utc_ns() - 3_600_000_000_000
    told = view_of(bench.clock).beat
    assert told is not None
    beat = Heartbeat(told.origin, there_ns, 1.0, 0, {}, told.engine, {})
    bench.turn(beat=beat)
    bench.outlet.put(result_of(1, there_ns))
    bench.clock.sleep(0.5)
    shown = bench.turn(beat=beat)
    assert (shown["head_inspection"], shown["age_ms"]) == (1, 500)


def test_what_an_earlier_gateway_was_told_is_not_even_shown(bench: Bench) -> None:
    bench.put(1, 2, 3)
    bench.turn(4)
    assert bench.took == [1, 2, 3]
    again = PlcOutlet("plc", bench.settings, CONFIG, bench.memory.opening, bench.clock)
    again.open()
    for _ in range(4):
        bench.plc.scan()
        again.turn(view_of(bench.clock))
    again.put(result_of(2, bench.clock.utc_ns()))  # the cursor in the journal was behind
    again.put(result_of(3, bench.clock.utc_ns()))
    bench.memory.between = bench.plc.step
    said = again.turn(view_of(bench.clock))
    bench.plc.scan()
    assert said.done == 3
    assert said.counts["already_taken"] == 2
    assert bench.took == [1, 2, 3]
