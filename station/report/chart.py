"""Pictures of a report as SVG: where defects lie on the strip, and what of it was inspected. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from station.report.figures import CameraFigures, SpanFigures
from station.report.record import PlacedDefect

__all__ = ["MOST_DRAWN", "draw_camera", "series_of"]

MOST_DRAWN = 4000
"""Defects and stretches of one camera that a map shows, the largest first: a browser would choke on more."""

_WIDTH, _HEIGHT, _BAR = 1000.0, 180.0, 16.0
_LEFT, _TOP, _BETWEEN, _BELOW = 8.0, 6.0, 10.0, 22.0
_SERIES = 8
_TICKS = (1, 2, 5)
_LEAST_RADIUS, _MOST_RADIUS, _AREA_OF_RADIUS = 1.8, 7.0, 120.0
_LEAST_SPAN = 1.0  # wide, so that the shortest gap of a long coil is seen


def series_of(labels: Iterable[str]) -> dict[str, int]:
    """Return the number of the colour of each label; the rarest share the last one."""
    return {label: min(number, _SERIES - 1) for number, label in enumerate(labels)}


def draw_camera(
    figures: CameraFigures, defects: Sequence[PlacedDefect], length_mm: float, series: Mapping[str, int]
) -> str:
    """Return the map of one camera over its bar of coverage: along the coil from left to right, metres below."""
    below = _TOP + _HEIGHT + _BETWEEN
    total = below + _BAR + _BELOW
    gaps = sorted((span for span in figures.spans if span.reason), key=lambda span: span.start_mm - span.end_mm)
    gaps = gaps[:MOST_DRAWN]
    parts = [
        f'<svg viewBox="0 0 {_WIDTH + 2 * _LEFT:g} {total:g}" role="img">',
        f'<rect class="strip" x="{_LEFT:g}" y="{_TOP:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}"/>',
        *(_rect("missed", span, length_mm, _TOP, _HEIGHT) for span in gaps),
        *_marks(figures, defects, length_mm, series),
        _rect("inspected", SpanFigures(0.0, length_mm, ""), length_mm, below, _BAR),
        *(_rect("gap", span, length_mm, below, _BAR) for span in gaps),
        *_axis(length_mm, total),
        "</svg>",
    ]
    return "\n".join(parts)


def _x(mm: float, length_mm: float) -> float:
    return _LEFT + _WIDTH * mm / max(length_mm, 1e-9)


def _rect(name: str, span: SpanFigures, length_mm: float, top: float, height: float) -> str:
    start = _x(span.start_mm, length_mm)
    width = _x(span.end_mm, length_mm) - start
    title = f"{span.start_mm / 1e3:.3f} to {span.end_mm / 1e3:.3f} m: {escape(span.reason) or 'inspected'}"
    width = max(width, _LEAST_SPAN)
    return (
        f'<rect class="{name}" x="{start:.2f}" y="{top:g}" width="{width:.2f}" height="{height:g}">'
        f"<title>{title}</title></rect>"
    )


def _marks(
    figures: CameraFigures, defects: Sequence[PlacedDefect], length_mm: float, series: Mapping[str, int]
) -> Iterator[str]:
    """Yield a circle a defect, its area growing with the defect's, large ones below."""
    placed = [one.defect for one in defects if one.counts and one.defect.position_mm is not None]
    for defect in sorted(placed, key=lambda one: -one.area_px)[:MOST_DRAWN]:
        x, _, width, _ = defect.box_px
        along = sum(defect.position_mm or ()) / 2
        down = _TOP + _HEIGHT * min((x + width / 2) / max(figures.width_px, 1), 1.0)
        radius = min(max((defect.area_px / _AREA_OF_RADIUS) ** 0.5, _LEAST_RADIUS), _MOST_RADIUS)
        title = f"{escape(defect.label)} {defect.confidence:.2f}, {along / 1e3:.3f} m, {defect.area_px} px"
        yield (
            f'<circle class="s{series.get(defect.label, _SERIES - 1)}" cx="{_x(along, length_mm):.2f}" '
            f'cy="{down:.1f}" r="{radius:.1f}"><title>{title}</title></circle>'
        )


def _axis(length_mm: float, total: float) -> Iterator[str]:
    """Yield the metres below, at round numbers."""
    length_m = length_mm / 1e3
    steps = (factor * 10.0**power for power in range(-3, 6) for factor in _TICKS)
    step = next((step for step in steps if length_m / step <= 10), length_m)
    for number in range(int(length_m / step + 1e-9) + 1):
        x = _x(number * step * 1e3, length_mm)
        anchor = "start" if number == 0 else "end" if x > _LEFT + _WIDTH - 20 else "middle"
        yield f'<line class="tick" x1="{x:.1f}" y1="{total - _BELOW:g}" x2="{x:.1f}" y2="{total - _BELOW + 4:g}"/>'
        yield f'<text x="{x:.1f}" y="{total - 4:g}" text-anchor="{anchor}">{number * step:g} m</text>'
