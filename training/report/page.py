"""The page of a report: one HTML file with everything in it, which asks nothing of any other machine. Pure."""

import base64
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.report.metrics import ReportMetrics
from training.report.predictions import predictions_file
from training.report.words import percent, summary

__all__ = ["make_page"]


def make_page(metrics: ReportMetrics, light: Mapping[str, bytes], dark: Mapping[str, bytes]) -> str:
    """Return the page of a report with its pictures (PNG by name) for light and, of the charts, for dark screens.

    `confusion`, `worst`, `reliability` and `precision_recall` must be there, `gradcam` and `curves` may.
    """
    environment = Environment(
        loader=PackageLoader("training", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    side = metrics.sides[metrics.main_side]
    return environment.get_template("page.html").render(
        metrics=metrics,
        side=side,
        sentences=summary(metrics),
        classes=sorted(side.scores.per_class.items(), key=lambda item: item[1].f1),
        mistakes=side.accuracy.value < 1,
        light={name: _data_uri(png) for name, png in light.items()},
        dark={name: _data_uri(png) for name, png in dark.items()},
        percent=percent,
        predictions_file=predictions_file,
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
