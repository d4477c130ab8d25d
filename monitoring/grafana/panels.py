"""What a dashboard is made of: panels with their queries, in rows, and how Grafana stores them. Pure."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "BUDGET",
    "CAMERAS",
    "OF",
    "Panel",
    "Row",
    "bars",
    "dashboard",
    "lines",
    "per_minute",
    "quantile",
    "stat",
    "table",
]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF = 'job="shadowline", instance=~"$instance"'
CAMERAS = f'{OF}, camera=~"$camera"'
BUDGET = f"max(station_budget_seconds{{{OF}}})"
COLUMNS = 24

Query: TypeAlias = tuple[str, str]
"""An expression, and how its series are called."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows; a row of panels shares `COLUMNS` columns."""

    kind: str
    title: str
    queries: tuple[Query, ...]
    width: int
    unit: str = "short"
    words: str = ""
    limits: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    """From which value on which colour."""
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Value → text and colour."""
    style: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    instant: bool = False
    shape: str = "time_series"


Row: TypeAlias = tuple[int, list[Panel]]
"""The height of a row, and what stands in it side by side."""


def stat(title: str, expr: str, width: int, **more: Any) -> Panel:
    """Return one large figure."""
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"]},
    }
    return Panel("stat", title, ((expr, ""),), width, options=options, **more)


def lines(title: str, queries: tuple[Query, ...], width: int, stacked: bool = False, **more: Any) -> Panel:
    """Return curves over time."""
    style = {"fillOpacity": 30 if stacked else 0, "stacking": {"mode": "normal" if stacked else "none"}}
    return Panel("timeseries", title, queries, width, style=style, options={"legend": {"placement": "bottom"}}, **more)


def bars(title: str, queries: tuple[Query, ...], width: int, **more: Any) -> Panel:
    """Return one bar a series, of the moment."""
    options = {"orientation": "horizontal", "displayMode": "basic", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return Panel("bargauge", title, queries, width, options=options, instant=True, **more)


def table(title: str, queries: tuple[Query, ...], width: int, **more: Any) -> Panel:
    """Return the labels of what there is at the moment."""
    return Panel("table", title, queries, width, instant=True, shape="table", **more)


def per_minute(metric: str, by: str, labels: str = OF) -> str:
    """Return how often a counter counts in a minute."""
    return f"60 * sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(part: float, histogram: str, by: str = "le") -> str:
    """Return the value below which `part` of what a histogram saw lies."""
    return f"histogram_quantile({part}, sum by ({by}) (rate({histogram}_bucket{{{OF}}}[$__rate_interval])))"


def dashboard(uid: str, title: str, rows: list[Row]) -> dict[str, Any]:
    """Return a dashboard as Grafana stores it; `rows` are their height and panels."""
    panels: list[dict[str, Any]] = []
    top = 0
    for height, row in rows:
        assert sum(panel.width for panel in row) == COLUMNS, row[0].title
        left = 0
        for panel in row:
            place = {"x": left, "y": top, "w": panel.width, "h": height}
            panels.append(_panel(panel, len(panels) + 1, place))
            left += panel.width
        top += height
    return {
        "uid": uid,
        "title": title,
        "tags": ["shadowline"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "links": [{"type": "dashboards", "tags": ["shadowline"], "title": "Shadowline", "asDropdown": False}],
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    colours = [{"value": value, "color": colour} for value, colour in panel.limits]
    texts = {value: {"text": text, "color": colour} for value, (text, colour) in panel.names.items()}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.words,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, index) for index, query in enumerate(panel.queries)],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "custom": panel.style,
                "mappings": [{"type": "value", "options": texts}] if texts else [],
                "thresholds": {"mode": "absolute", "steps": colours},
            },
            "overrides": [],
        },
        "options": panel.options,
    }


def _target(panel: Panel, query: Query, index: int) -> dict[str, Any]:
    expr, legend = query
    return {
        "refId": "ABCDEFGH"[index],
        "datasource": SOURCE,
        "expr": expr,
        "legendFormat": legend,
        "format": panel.shape,
        "instant": panel.instant,
        "range": not panel.instant,
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return [
        source,
        _choice("instance", "Station", 'label_values(up{job="shadowline"}, instance)'),
        _choice("camera", "Camera", f"label_values(station_frames_announced_total{{{OF}}}, camera)"),
    ]


def _choice(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }
