"""The page of a coil's report: one HTML file with everything in it, which asks nothing of any other machine. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from station.report.chart import MOST_DRAWN, draw_camera, series_of
from station.report.figures import CameraFigures, CoilReport, RepeatFigures
from station.report.record import PlacedDefect

__all__ = ["make_page"]

_MOST_GAPS = 50
_MOST_PARTS = 500
_VERDICTS = ("accept", "reject", "invalid")
_ALARM = ' class="alarm"'


def make_page(report: CoilReport, defects: Mapping[str, Sequence[PlacedDefect]]) -> str:
    """Return the page of `report`; `defects` are those of each camera."""
    series = series_of(report.defects)
    return Template(files("station.report").joinpath("page.html").read_text(encoding="utf-8")).substitute(
        coil=escape(report.coil),
        when=escape(f"{report.first} to {report.last}, {', '.join(report.stations)}"),
        summary=_summary(report),
        notes="".join(f'<p class="alarm">{escape(note)}</p>' for note in report.notes),
        repeats=_repeats(report.repeats),
        defects=_defects(report, series) + _parts(report.parts),
        cameras="\n".join(
            _camera(name, camera, defects.get(name, ()), report.length_mm, series)
            for name, camera in report.cameras.items()
        ),
        origin=_origin(report),
    )


def _summary(report: CoilReport) -> str:
    missed_mm = report.length_mm - report.inspected_mm
    part = 100 * report.inspected_mm / report.length_mm if report.length_mm else 0.0
    whole = missed_mm < 0.5
    left = "all of it was inspected by every camera" if whole else f"{_metres(missed_mm)} were not inspected"
    late = sum(camera.late for camera in report.cameras.values())
    frames = sum(camera.frames for camera in report.cameras.values())
    return (
        f"<p>{_metres(report.length_mm)} long; {part:.3f} % of it inspected by every camera: "
        f"<span{'' if whole else _ALARM}>{left}</span>. {sum(report.defects.values())} defects in {frames} frames, "
        f"<span{_ALARM if late else ''}>{late} decisions late</span>.</p>"
    )


def _repeats(repeats: Sequence[RepeatFigures]) -> str:
    if not repeats:
        return "<p>No distance at which defects come again more often than by chance.</p>"
    rows = [
        (
            f"{repeat.distance_mm:.2f} mm ± {repeat.spread_mm:.2f}",
            " or ".join(repeat.rolls) or "no roll of the configuration",
            f"{repeat.marks}, {repeat.missing} missing",
            f"{_metres(repeat.start_mm)} to {_metres(repeat.end_mm)}",
            f"{repeat.camera}, {repeat.across_px:.0f} px across",
            ", ".join(f"{label} {count}" for label, count in repeat.labels.items()),
            f"{repeat.false_alarm:.1g}",
        )
        for repeat in repeats
    ]
    heads = ("distance", "roll", "marks", "from, to", "camera", "named", "false alarm")
    return (
        _table(heads, rows) + '<p class="quiet">False alarm: at most so many coils of random defects show a repeat as'
        " good.</p>"
    )


def _defects(report: CoilReport, series: Mapping[str, int]) -> str:
    if not report.defects:
        return "<p>None.</p>"
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 10 10"><circle class="s{number}" cx="5" cy="5" r="5"/></svg> '
        f"{escape(label)} {report.defects[label]}</span>"
        for label, number in series.items()
    )
    return f"<p>{keys}</p>"


def _camera(
    name: str,
    camera: CameraFigures,
    defects: Sequence[PlacedDefect],
    length_mm: float,
    series: Mapping[str, int],
) -> str:
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in camera.verdicts.items())
    invalid = ", ".join(f"{reason} {count}" for reason, count in camera.invalid.items())
    drawn = sum(one.counts and one.defect.position_mm is not None for one in defects)
    rows = [
        ("frames", f"{camera.frames}: {verdicts}" + (f" ({invalid})" if invalid else "")),
        ("late decisions", f"{camera.late}; the slowest took {camera.worst_latency_ms:.1f} ms"),
        ("inspected", _metres(camera.inspected_mm)),
        *((f"not inspected: {reason}", _metres(mm)) for reason, mm in camera.not_inspected_mm.items()),
        *(("outage", f"{outage.seconds:.1f} s up to {outage.back}") for outage in camera.outages),
    ]
    if camera.seen_before:
        rows.append(("strip that had gone back", f"{camera.seen_before} frames"))
    if drawn > MOST_DRAWN:
        rows.append(("on the map", f"the {MOST_DRAWN} largest of {drawn} defects"))
    return (
        f"<h2>Camera {escape(name)}</h2>{draw_camera(camera, defects, length_mm, series)}"
        + _table((), rows)
        + _gaps(camera)
    )


def _gaps(camera: CameraFigures) -> str:
    """Return the list of what was not inspected, the longest first where it is long."""
    gaps = [span for span in camera.spans if span.reason]
    if not gaps:
        return ""
    shown = sorted(gaps, key=lambda span: span.start_mm - span.end_mm)[:_MOST_GAPS]
    rows = [
        (
            f"{span.start_mm / 1e3:.3f} m",
            f"{span.end_mm / 1e3:.3f} m",
            f"{span.end_mm - span.start_mm:.1f} mm",
            span.reason,
        )
        for span in sorted(shown, key=lambda span: span.start_mm)
    ]
    more = f", the longest {_MOST_GAPS}" if len(gaps) > len(shown) else ""
    heads = ("from", "to", "length", "reason")
    return f"<details><summary>{len(gaps)} stretches not inspected{more}</summary>{_table(heads, rows)}</details>"


def _origin(report: CoilReport) -> str:
    rows = [
        (name, ", ".join(values) or "none")
        for name, values in (
            ("model", report.models),
            ("configuration", report.configs),
            ("calibration", report.calibrations),
            ("run", report.runs),
            ("recipe", report.recipes),
            ("job", report.jobs),
        )
    ]
    return _table((), rows)


def _parts(parts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the list of parts that were not passed, where frames name parts."""
    if not parts:
        return ""
    failed = {name: verdicts for name, verdicts in parts.items() if set(verdicts) != {"accept"}}
    rows = [(name, *(str(verdicts.get(one, 0)) for one in _VERDICTS)) for name, verdicts in failed.items()]
    more = f", the first {_MOST_PARTS}" if len(rows) > _MOST_PARTS else ""
    heads = ("part", *_VERDICTS)
    return (
        f"<details><summary>{len(failed)} of {len(parts)} parts have a frame that was not accepted{more}</summary>"
        f"{_table(heads, rows[:_MOST_PARTS])}</details>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "<tr>" + "".join(f"<th>{escape(one)}</th>" for one in heads) + "</tr>" if heads else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{head}{body}</table></div>'


def _metres(mm: float) -> str:
    return f"{mm / 1e3:.3f} m"
