"""What a training leaves for people: numbers with intervals, charts, sheets of crops, one page. Needs the extra."""

from training.report.examples import Saliency
from training.report.folder import write_report
from training.report.intervals import Interval
from training.report.metrics import ReportMetrics, SideMetrics, read_metrics
from training.report.predictions import Predictions, read_predictions

__all__ = [
    "Interval",
    "Predictions",
    "ReportMetrics",
    "Saliency",
    "SideMetrics",
    "read_metrics",
    "read_predictions",
    "write_report",
]
