"""The dashboard for the engineer: where time goes, and how each part is. Pure."""

from monitoring.grafana.panels import CAMERAS, OF, Panel, Row, bars, lines, per_minute, quantile, stat, table

__all__ = ["ENGINEERING"]

ROOM_LIMITS = ((None, "red"), (0.02, "orange"), (0.1, "green"))
STATES = {"0": ("no", "text"), "1": ("yes", "blue")}

ENGINEERING: list[Row] = [
    (
        8,
        [
            lines(
                "Steps, mean",
                (
                    (
                        f"sum by (stage) (rate(station_stage_seconds_sum{{{OF}}}[$__rate_interval]))"
                        f" / sum by (stage) (rate(station_stage_seconds_count{{{OF}}}[$__rate_interval]))",
                        "{{stage}}",
                    ),
                ),
                8,
                unit="s",
                stacked=True,
            ),
            lines(
                "Steps, 99 % within",
                ((quantile(0.99, "station_stage_seconds", "le, stage"), "{{stage}}"),),
                8,
                unit="s",
            ),
            Panel(
                "heatmap",
                "From capture to decision",
                ((f"sum by (le) (increase(station_end_to_end_seconds_bucket{{{OF}}}[$__rate_interval]))", "{{le}}"),),
                8,
                unit="s",
                options={"calculate": False, "yAxis": {"unit": "s"}, "color": {"scheme": "Blues"}},
                shape="heatmap",
            ),
        ],
    ),
    (
        8,
        [
            lines(
                "Frames that wait for inspection",
                (
                    (f"station_queue_frames{{{CAMERAS}}}", "{{camera}}"),
                    (f"max(station_queue_limit_frames{{{OF}}})", "room"),
                ),
                8,
            ),
            lines(
                "Frames a second",
                (
                    (
                        f"sum by (camera) (rate(station_frames_announced_total{{{CAMERAS}}}[$__rate_interval]))",
                        "{{camera}}",
                    ),
                ),
                8,
            ),
            lines(
                "Regions a frame",
                (
                    (
                        f"sum by (camera) (rate(station_regions_total{{{CAMERAS}}}[$__rate_interval]))"
                        f" / sum by (camera) (rate(station_frames_total{{{CAMERAS}}}[$__rate_interval]))",
                        "{{camera}}",
                    ),
                ),
                8,
            ),
        ],
    ),
    (
        7,
        [
            table("Engine", ((f"station_engine_info{{{OF}}}", ""),), 7),
            lines("Recipe in force", ((f"station_recipe_info{{{OF}}}", "{{recipe}}"),), 5),
            stat(
                "Stands in for another",
                f"max(station_engine_stand_in{{{OF}}})",
                3,
                names={"0": ("no", "green"), "1": ("yes", "red")},
            ),
            lines(
                "Models changed",
                ((f"sum by (action) (increase(station_model_changes_total{{{OF}}}[$__rate_interval]))", "{{action}}"),),
                4,
            ),
            lines(
                "Crops shadowed, and named otherwise",
                (
                    (f"sum(station_shadow_crops_total{{{OF}}}) or vector(0)", "shadowed"),
                    (f"sum(station_shadow_disagreements_total{{{OF}}}) or vector(0)", "named otherwise"),
                ),
                5,
                words="0 before the first swap.",
            ),
        ],
    ),
    (
        7,
        [
            lines(
                "Optics",
                ((f"station_optics{{{CAMERAS}}}", "{{camera}} {{figure}}"),),
                12,
                words="Lamp, focus, dirt, tilt and noise against the baseline; docs/calibration.md has the figures.",
            ),
            bars(
                "Optics as calibrated",
                ((f"station_optics_ok{{{CAMERAS}}}", "{{camera}}"),),
                4,
                limits=((None, "red"), (1, "green")),
                names={"0": ("no", "red"), "1": ("yes", "green")},
            ),
            lines(
                "The line's counter",
                (
                    (f"max(station_encoder_online{{{OF}}})", "heard"),
                    (f"sum(increase(station_encoder_jumps_total{{{OF}}}[$__rate_interval]))", "leaps"),
                    (f"sum(increase(station_encoder_faults_total{{{OF}}}[$__rate_interval]))", "faults"),
                ),
                8,
            ),
        ],
    ),
    (
        7,
        [
            lines(
                "Outages",
                (
                    (f"sum by (camera) (increase(station_camera_outages_total{{{CAMERAS}}}[1h]))", "{{camera}} times"),
                    (
                        f"sum by (camera) (increase(station_camera_outage_seconds_total{{{CAMERAS}}}[1h]))",
                        "{{camera}} seconds",
                    ),
                ),
                12,
                words="Of the last hour.",
            ),
            lines(
                "The drivers' own counts",
                ((f"station_camera_stream_total{{{CAMERAS}}} or on () vector(0)", "{{camera}} {{count}}"),),
                12,
                words="0 where no driver counts.",
            ),
        ],
    ),
    (
        7,
        [
            bars(
                "The journal is",
                ((f"station_journal_state{{{OF}}}", "{{state}}"),),
                4,
                limits=((None, "blue"),),
                names=STATES,
            ),
            lines(
                "Messages that wait for the journal",
                ((f"station_journal_waiting_messages{{{OF}}}", "waiting"),),
                5,
            ),
            lines(
                "Journal, by number",
                (
                    (f"station_last_event{{{OF}}}", "newest"),
                    (f"station_journal_last_event{{{OF}}}", "newest on disk"),
                    (f"station_journal_first_event{{{OF}}}", "oldest that is kept"),
                ),
                5,
            ),
            lines(
                "Replay, answers a minute",
                ((per_minute("station_replay_replies_total", "reply"), "{{reply}}"),),
                5,
            ),
            lines(
                "Journal and archive on disk",
                (
                    (f"station_journal_bytes{{{OF}}}", "journal"),
                    (f"station_archive_bytes{{{OF}}}", "archive"),
                ),
                5,
                unit="bytes",
            ),
        ],
    ),
    (
        7,
        [
            bars(
                "The archive is",
                ((f"station_archive_state{{{OF}}}", "{{state}}"),),
                4,
                limits=((None, "blue"),),
                names=STATES,
            ),
            lines(
                "Frames for the archive, a minute",
                (
                    (f"60 * sum(rate(station_archive_kept_frames_total{{{OF}}}[$__rate_interval]))", "kept"),
                    (per_minute("station_archive_dropped_frames_total", "reason"), "not kept: {{reason}}"),
                ),
                5,
            ),
            bars(
                "Room on the disk",
                ((f"folder:station_disk_free:ratio{{{OF}}}", "{{folder}}"),),
                5,
                unit="percentunit",
                limits=ROOM_LIMITS,
            ),
            lines(
                "Connections to the sockets",
                ((f"sum by (socket) (station_gate_connections{{{OF}}}) or on () vector(0)", "{{socket}}"),),
                5,
                words="By TCP; 0 while all sockets are files.",
            ),
            lines(
                "Connections and requests not let through",
                (
                    (
                        f"sum by (socket, reason) (increase(station_gate_refused_total{{{OF}}}[$__rate_interval]))"
                        " or on () vector(0)",
                        "{{socket}}: {{reason}}",
                    ),
                ),
                5,
            ),
        ],
    ),
    (
        7,
        [
            lines(
                "Processor",
                ((f"rate(process_cpu_seconds_total{{{OF}}}[$__rate_interval])", "cores"),),
                4,
            ),
            lines(
                "Memory",
                ((f"process_resident_memory_bytes{{{OF}}}", "resident"),),
                4,
                unit="bytes",
            ),
            lines("Open files", ((f"process_open_fds{{{OF}}}", "open"),), 4),
            lines(
                "Running for",
                ((f"time() - process_start_time_seconds{{{OF}}}", "{{instance}}"),),
                4,
                unit="s",
            ),
            lines(
                "GPU",
                (
                    (f"station_gpu_temperature_celsius{{{OF}}} or on () vector(0)", "°C of {{gpu}}"),
                    (f"station_gpu_throttled{{{OF}}} or on () vector(0)", "held back: {{gpu}}"),
                ),
                4,
                words="0 where there is none.",
            ),
            lines(
                "GPU memory free",
                ((f"station_gpu_memory_free_bytes{{{OF}}} or on () vector(0)", "{{gpu}}"),),
                4,
                unit="bytes",
                words="0 where there is no GPU.",
            ),
        ],
    ),
    (
        7,
        [
            lines(
                "Messages that could not be handed on",
                (
                    (
                        f"sum by (sink, reason) (increase(station_messages_dropped_total{{{OF}}}[$__rate_interval]))",
                        "{{sink}}: {{reason}}",
                    ),
                ),
                6,
            ),
            lines(
                "Configurations read again",
                (
                    (
                        f"sum by (outcome) (increase(station_config_reloads_total{{{OF}}}[$__rate_interval]))",
                        "{{outcome}}",
                    ),
                ),
                6,
            ),
            lines(
                "Scrapes",
                ((f"scrape_duration_seconds{{{OF}}}", "{{instance}}"),),
                6,
                unit="s",
            ),
            lines(
                "Requests for metrics that got none",
                (
                    (
                        f"sum by (reason) (increase(station_metrics_refused_total{{{OF}}}[$__rate_interval]))",
                        "{{reason}}",
                    ),
                ),
                6,
            ),
        ],
    ),
]
