"""The look of the pictures: one theme for light pages, one for dark, and figures drawn without a screen. Pure."""

import io
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

__all__ = ["DARK", "LIGHT", "Theme", "add_legend", "new_axes", "new_figure", "to_png"]

_DPI = 160


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a picture; `series` tell lines apart, in this order, also for the colour-blind."""

    paper: str
    ink: str
    quiet: str
    grid: str
    accent: str
    alarm: str
    series: tuple[str, ...]

    def shades(self, colour: str) -> Colormap:
        """Return the scale from paper to a colour."""
        return LinearSegmentedColormap.from_list("shades", [self.paper, colour])


LIGHT = Theme(
    paper="#ffffff",
    ink="#1c2126",
    quiet="#66707a",
    grid="#e3e7ea",
    accent="#1f6fb2",
    alarm="#d1622b",
    series=("#1f6fb2", "#d1622b", "#2c8c6b", "#a8508f", "#8a6d1d", "#5a5fb8"),
)
DARK = Theme(
    paper="#191e23",
    ink="#e4e8eb",
    quiet="#98a2ab",
    grid="#2d343a",
    accent="#4c9fe0",
    alarm="#f08a55",
    series=("#5aa9e6", "#f08a55", "#55bd98", "#d68ac1", "#cfae52", "#9a9ef0"),
)


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """Return an empty figure of a size in inches."""
    figure = Figure((width, height), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(figure: Figure, theme: Theme, place: SubplotSpec | None = None, title: str = "") -> Axes:
    """Return plain axes, of the whole figure or at a place of its grid: thin lines at left and bottom, a faint grid."""
    axes = figure.add_subplot(place or figure.add_gridspec(1, 1)[0], facecolor=theme.paper)
    axes.set_title(title, color=theme.ink, fontsize=10, loc="left", pad=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.grid)
    axes.tick_params(which="both", colors=theme.quiet, labelcolor=theme.quiet, labelsize=8, length=3)
    axes.grid(color=theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(theme.quiet)
        axis.label.set_fontsize(9)
    return axes


def add_legend(axes: Axes, theme: Theme, title: str = "", backwards: bool = False) -> None:
    """Name the labelled lines of `axes`, where they leave room; `backwards` the last drawn first."""
    lines, names = axes.get_legend_handles_labels()
    step = -1 if backwards else 1
    legend = axes.legend(lines[::step], names[::step], title=title, fontsize=8, title_fontsize=8, loc="best")
    legend.get_frame().set(facecolor=theme.paper, edgecolor=theme.grid, alpha=0.9)
    legend.get_title().set_color(theme.quiet)
    for text in legend.get_texts():
        text.set_color(theme.ink)


def to_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
