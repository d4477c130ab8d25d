"""Coverage: spans that add up to the coil, whatever happens to frames, camera, encoder and coils."""

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.coverage import GAP, NO_POSITION, OFFLINE, UNHEARD, Coverage, Span
from station.event import InspectionEvent, Origin, Outage, PositionRecord, StageTimes, StateEvent

ROWS, PITCH_MM, FRAME_MM = 64, 0.5, 32.0
ORIGIN = Origin("line", "run", "model", "config")
SECOND = 1_000_000_000


def frame(
    sequence: int, mm: float | None, reason: str = "", coil: str = "A", rows: int = ROWS, pitch: float = PITCH_MM
):
    """Return the event of a frame at a millimetre, invalid with a reason, or without a position."""
    return InspectionEvent(
        event=sequence,
        origin=ORIGIN,
        camera="top",
        sequence=sequence,
        captured_ns=sequence * SECOND,
        clock="host",
        published_ns=0,
        verdict="invalid" if reason else "accept",
        reason=reason,
        late=False,
        budget_ms=20.0,
        latency_ms=1.0,
        size_px=(100, rows),
        defects=(),
        stages_us=StageTimes(0, 0, 0, 0, 0),
        position=None if mm is None else PositionRecord(mm, pitch, None, coil, False),
    )


def missing(sequence: int, reason: str = "lost") -> InspectionEvent:
    return msgspec.structs.replace(frame(sequence, None, reason), size_px=None)


def cover(events: list[InspectionEvent], length_mm: float | None = None, **settings) -> list[Span]:
    coverage = Coverage(**settings)
    return [span for event in events for span in coverage.take(event)] + list(coverage.close(length_mm))


def told(spans: list[Span]) -> list[tuple[float, float, str]]:
    return [(span.start_mm, span.end_mm, span.reason) for span in spans]


CASES = {
    "all inspected": ([frame(n, (n - 1) * 32) for n in (1, 2, 3)], [(0, 96, "")]),
    "one is lost": ([frame(1, 0), missing(2), frame(3, 64)], [(0, 32, ""), (32, 64, "lost"), (64, 96, "")]),
    "lost and cut": (
        [frame(1, 0), missing(2), missing(3, "incomplete"), frame(4, 96)],
        [(0, 32, ""), (32, 96, "incomplete, lost"), (96, 128, "")],
    ),
    "too fast": ([frame(1, 0), frame(2, 40)], [(0, 32, ""), (32, 40, GAP), (40, 72, "")]),
    "less than a row between": ([frame(1, 0), frame(2, 32.4)], [(0, 64.4, "")]),
    "dark": ([frame(1, 0), frame(2, 32, "dark"), frame(3, 64)], [(0, 32, ""), (32, 64, "dark"), (64, 96, "")]),
    "two are dark": ([frame(1, 0, "dark"), frame(2, 32, "dark")], [(0, 64, "dark")]),
    "the next shows the last rows again": (
        [frame(1, 0), frame(2, 32, "dark"), frame(3, 56, rows=80)],
        [(0, 32, ""), (32, 56, "dark"), (56, 96, "")],
    ),
    "dark over rows that were seen": ([frame(1, 0), frame(2, 24, "dark", rows=80)], [(0, 32, ""), (32, 64, "dark")]),
    "repeated while the strip stands": ([frame(1, 0), missing(2, "repeated"), frame(3, 32)], [(0, 64, "")]),
    "no position": ([frame(1, 0), frame(2, None), frame(3, 64)], [(0, 32, ""), (32, 64, NO_POSITION), (64, 96, "")]),
    "messages were not heard": ([frame(1, 0), frame(9, 64)], [(0, 32, ""), (32, 64, UNHEARD), (64, 96, "")]),
    "begins late": ([frame(1, 50)], [(0, 50, GAP), (50, 82, "")]),
    "begins before 0": ([frame(1, -20), frame(2, 12)], [(0, 44, "")]),
    "lower rows passed earlier": ([frame(n, n * 32, pitch=-0.5) for n in (1, 2, 3)], [(0, 96, "")]),
    "goes back and forth": (
        [frame(1, 0), frame(2, 32), frame(3, 10), frame(4, -40), frame(5, 30), frame(6, 62)],
        [(0, 94, "")],
    ),
    "goes back over what was lost": (
        [frame(1, 0), missing(2), frame(3, 64), frame(4, 20), frame(5, 96)],
        [(0, 32, ""), (32, 64, "lost"), (64, 128, "")],
    ),
    "only goes back": ([frame(n, -n * 32) for n in (1, 2, 3)], []),
}


@pytest.mark.parametrize(("events", "spans"), CASES.values(), ids=CASES)
def test_tells_what_was_inspected(events: list[InspectionEvent], spans: list[tuple[float, float, str]]) -> None:
    assert told(cover(events)) == spans


def test_an_outage_is_told_from_a_gap() -> None:
    coverage = Coverage()
    spans = [*coverage.take(frame(1, 0)), *coverage.take(frame(2, 40))]
    coverage.note_state(StateEvent(0, ORIGIN, "top", "offline", "unplugged", 3 * SECOND, 0))
    coverage.note_state(StateEvent(0, ORIGIN, "top", "online", "", 9 * SECOND + 5, 0, Outage(7.0, None)))
    back = msgspec.structs.replace(frame(3, 500), captured_ns=9 * SECOND)
    spans += [*coverage.take(back), *coverage.take(msgspec.structs.replace(frame(4, 540), captured_ns=10 * SECOND))]
    spans += coverage.close()
    assert [(start, reason) for start, _, reason in told(spans) if reason] == [(32, GAP), (72, OFFLINE), (532, GAP)]


def test_a_camera_that_does_not_come_back_leaves_the_rest_of_the_coil() -> None:
    coverage = Coverage()
    spans = list(coverage.take(frame(1, 0)))
    coverage.note_state(StateEvent(0, ORIGIN, "top", "offline", "unplugged", 3 * SECOND, 0))
    assert told(spans + list(coverage.close(1000.0))) == [(0, 32, ""), (32, 1000, OFFLINE)]


def test_each_coil_gets_what_was_seen_of_it_under_the_other_ones_name() -> None:
    """Of A, 100 mm long, the camera still sees the tail after B has begun; the last picture shows a part of both."""
    events = [frame(n, n * 32 - 32) for n in (1, 2)] + [frame(3, -36, coil="B"), frame(4, -4, coil="B"), missing(5)]
    spans = cover([*events, frame(6, 60, coil="B")], length_of={"A": 100.0}.get)
    assert [(span.coil, *one) for span, one in zip(spans, told(spans), strict=True)] == [
        ("A", 0, 100, ""),
        ("B", 0, 28, ""),
        ("B", 28, 60, "lost"),
        ("B", 60, 92, ""),
    ]
    assert [span.ends_coil for span in spans] == [True, False, False, True]


def test_a_coil_whose_length_nobody_knows_ends_where_it_was_last_seen() -> None:
    spans = cover([frame(1, 0), frame(2, 32), missing(3), frame(4, 10, coil="B")])
    assert [(span.coil, *one) for span, one in zip(spans, told(spans), strict=True)] == [
        ("A", 0, 64, ""),
        ("B", 0, 10, "lost"),
        ("B", 10, 42, ""),
    ]


@given(st.integers(0, 1 << 30), st.sampled_from([-30.0, 0.0, 25.0, 400.0]), st.integers(0, 20))
def test_whatever_happens_the_spans_are_the_coil(seed: int, reach_mm: float, overlap_rows: int) -> None:
    """Strip that mostly goes forward, frames of all fates, and coils that begin; the truth is kept row by row."""
    rng = random.Random(seed)
    way, high, zeros, events, shown, furthest = 0.0, 0.0, [0.0], [], set(), 0.0
    for sequence in range(1, 200):
        way += rng.choice([32.0] * 20 + [0.0, -50.0, 48.0])
        high = max(high, way)
        if rng.random() < 0.02 and way == high > zeros[-1] + 500:
            zeros.append(way)
        fate, start = rng.random(), way - reach_mm - overlap_rows * PITCH_MM
        if fate < 0.1:
            events.append(missing(sequence))
        else:
            rows = ROWS + overlap_rows
            events.append(frame(sequence, start - zeros[-1], "dark" if fate < 0.2 else "", f"{len(zeros)}", rows))
            furthest = max(furthest, start + rows * PITCH_MM, zeros[-1])
            if fate >= 0.2:
                shown |= set(range(round(start / PITCH_MM), round(start / PITCH_MM) + rows))
    lengths = {str(n): end - start for n, (start, end) in enumerate(pairwise(zeros), start=1)}
    spans = cover(events, length_of=lengths.get, reach_mm=reach_mm)
    for before, after in pairwise(spans):
        assert after.start_mm == pytest.approx(0 if before.ends_coil else before.end_mm)
        assert before.ends_coil == (before.coil != after.coil)
        assert not before.ends_coil or before.end_mm == pytest.approx(lengths[before.coil])
    assert sum(span.length_mm for span in spans) == pytest.approx(furthest)
    for span in spans:
        zero = zeros[int(span.coil) - 1]
        rows_of_span = range(round((zero + span.start_mm) / PITCH_MM), round((zero + span.end_mm) / PITCH_MM))
        assert span.reason or shown.issuperset(rows_of_span)
