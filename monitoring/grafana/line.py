"""The dashboard for the operator: does the line inspect, what does it find, in time? Pure."""

from monitoring.grafana.panels import BUDGET, CAMERAS, OF, Panel, Row, bars, lines, per_minute, quantile, stat

__all__ = ["LINE"]

STATE = f"""clamp_min(
  min(up{{{OF}}})
  * (2 - max(station_camera_state{{{OF}, state="degraded"}})
       - 2 * max(station_camera_state{{{OF}, state=~"starting|offline|ended"}}))
  or vector(0), 0)"""
CAMERA_STATE = f"""sum by (camera) (
  station_camera_state{{{CAMERAS}, state="online"}} * 3
  or station_camera_state{{{CAMERAS}, state="degraded"}} * 2
  or station_camera_state{{{CAMERAS}, state="starting"}} * 1)"""
SHARE_LIMITS = ((None, "green"), (0.005, "orange"), (0.01, "red"))
CAMERA_NAMES = {
    "0": ("away", "red"),
    "1": ("starting", "blue"),
    "2": ("degraded", "orange"),
    "3": ("online", "green"),
}

LINE: list[Row] = [
    (
        5,
        [
            stat(
                "The line",
                STATE,
                8,
                words="INSPECTING while the station answers and every camera delivers.",
                names={
                    "0": ("NOT INSPECTING", "red"),
                    "1": ("DEGRADED", "orange"),
                    "2": ("INSPECTING", "green"),
                },
            ),
            stat("Frames a minute", f"60 * sum(rate(station_frames_total{{{CAMERAS}}}[1m]))", 4),
            stat(
                "Rejected",
                f'sum(rate(station_frames_total{{{CAMERAS}, outcome="reject"}}[5m]))'
                f" / sum(rate(station_frames_total{{{CAMERAS}}}[5m]))",
                4,
                unit="percentunit",
                limits=((None, "blue"),),
            ),
            stat(
                "Invalid",
                f'sum(rate(station_frames_total{{{CAMERAS}, outcome="invalid"}}[5m]))'
                f" / sum(rate(station_frames_total{{{CAMERAS}}}[5m]))",
                4,
                unit="percentunit",
                words="Could not be judged, and counts as reject.",
                limits=SHARE_LIMITS,
            ),
            stat(
                "Alerts",
                'count(ALERTS{job="shadowline", alertstate="firing", severity!="info"}) or vector(0)',
                4,
                limits=((None, "green"), (1, "red")),
            ),
        ],
    ),
    (
        8,
        [
            lines(
                "Verdicts a minute",
                ((per_minute("station_frames_total", "outcome", CAMERAS), "{{outcome}}"),),
                12,
                stacked=True,
            ),
            lines(
                "Share rejected",
                ((f"camera:station_rejected_frames:ratio_rate5m{{{CAMERAS}}}", "{{camera}}"),),
                12,
                unit="percentunit",
            ),
        ],
    ),
    (
        8,
        [
            lines(
                "Defects a minute",
                ((per_minute("station_defects_total", "label"), "{{label}}"),),
                16,
            ),
            bars(
                "Defects of the last hour",
                ((f"sum by (label) (increase(station_defects_total{{{OF}}}[1h]))", "{{label}}"),),
                8,
                limits=((None, "blue"),),
            ),
        ],
    ),
    (
        8,
        [
            lines(
                "From capture to decision",
                (
                    (quantile(0.5, "station_end_to_end_seconds"), "half of the frames within"),
                    (quantile(0.99, "station_end_to_end_seconds"), "99 % within"),
                    (BUDGET, "budget"),
                ),
                12,
                unit="s",
                words="The verdict must come within the budget, or the gate does not hear it in time.",
            ),
            Panel(
                "gauge",
                "99 % of the verdicts, of the budget",
                ((f"{quantile(0.99, 'station_end_to_end_seconds')} / {BUDGET}", ""),),
                4,
                unit="percentunit",
                limits=((None, "green"), (0.7, "orange"), (1.0, "red")),
                options={"reduceOptions": {"calcs": ["lastNotNull"]}},
            ),
            lines(
                "Late verdicts a minute",
                ((per_minute("station_deadline_misses_total", "camera", CAMERAS), "{{camera}}"),),
                8,
            ),
        ],
    ),
    (
        7,
        [
            Panel(
                "state-timeline",
                "Cameras",
                ((CAMERA_STATE, "{{camera}}"),),
                12,
                names=CAMERA_NAMES,
                options={"showValue": "never", "mergeValues": True},
            ),
            lines(
                "Time since the last picture",
                ((f"station_camera_frame_age_seconds{{{CAMERAS}}}", "{{camera}}"),),
                12,
                unit="s",
            ),
        ],
    ),
    (
        7,
        [
            bars(
                "Ledger: announced = inspected + invalid + on its way",
                (
                    (f"sum(station_frames_announced_total{{{CAMERAS}}})", "announced"),
                    (f'sum(station_frames_total{{{CAMERAS}, outcome=~"accept|reject"}})', "inspected"),
                    (f'sum(station_frames_total{{{CAMERAS}, outcome="invalid"}})', "invalid"),
                    (
                        f"sum(station_frames_announced_total{{{CAMERAS}}}) - sum(station_frames_total{{{CAMERAS}}})",
                        "on its way",
                    ),
                ),
                12,
                words="Since the station was started. Every frame that a camera announced is in one of them.",
                limits=((None, "blue"),),
            ),
            lines(
                "Invalid frames a minute, by reason",
                (
                    (
                        per_minute("station_frames_total", "reason", f'{CAMERAS}, outcome="invalid"'),
                        "{{reason}}",
                    ),
                ),
                12,
                stacked=True,
            ),
        ],
    ),
]
