"""How a chosen limit and the curve it was chosen from are shown. Pure but for the picture's file."""

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from calibration.limit import Choice, Counts
from shadowline.errors import CalibrationError

__all__ = ["curve_table", "draw_curve", "sum_up"]

_WIDTH_PX, _HEIGHT_PX, _BORDER_PX = 800, 500, 64
_BLACK, _GREY, _BLUE, _RED = (0, 0, 0), (210, 210, 210), (190, 100, 20), (40, 40, 210)
_SHOWN = 9
"""Limits that the table shows to either side of the chosen one."""


def curve_table(counts: Counts, choice: Choice, unit: str, recall: NDArray[np.float64] | None) -> Table:
    """Return the limits next to the chosen one with what was counted there, and the known defects found."""
    titles = ["noise_sigmas", "counted", f"false a {unit}", "95 %"] + (["known found"] if recall is not None else [])
    table = Table(*titles, box=None, pad_edge=False)
    middle = int(np.searchsorted(counts.sigmas, np.mean(choice.sigmas)))
    found = counts.found.sum((1, 2))
    for row in range(max(middle - _SHOWN, 0), min(middle + _SHOWN, len(found))):
        rate, low, high = counts.rates()[row]
        cells = [f"{counts.sigmas[row]:.2f}", str(found[row]), f"{rate:.3g}", f"{low:.3g} to {high:.3g}"]
        table.add_row(*cells, *([] if recall is None else [f"{recall[row]:.0%}"]))
    return table


def sum_up(choice: Choice, counts: Counts, unit: str) -> str:
    """Return the choice in two lines."""
    limits = ", ".join(f"{sigma:.2f}" for sigma in choice.sigmas)
    amount = "" if unit == "frame" else f", {counts.amount.sum():.4g} m"
    crowds = f"; they vary {choice.clustering:.1f} times as much as by chance" if choice.clustering > 1.5 else ""
    return (
        f"noise_sigmas {limits} for {choice.rate:g} false regions a {unit}\n"
        f"with 95 % confidence {choice.low:.3g} to {choice.high:.3g}, from {len(counts.amount)} frames{amount}{crowds}"
    )


def draw_curve(path: Path, counts: Counts, choice: Choice, unit: str) -> None:
    """Write the curve as a picture: rate on a log scale over the limit, with its interval and the choice."""
    rates = counts.rates()
    seen = rates[rates[:, 0] > 0, 0]
    bottom, top = math.floor(math.log10(seen.min())), math.ceil(math.log10(rates[:, 2].max()))
    first, last = float(counts.sigmas[0]), float(counts.sigmas[-1])
    picture = np.full((_HEIGHT_PX, _WIDTH_PX, 3), 255, np.uint8)

    def place(sigma: float, rate: float) -> tuple[int, int]:
        across = math.log(sigma / first) / math.log(last / first)
        up = (math.log10(max(rate, 10.0**bottom)) - bottom) / (top - bottom)
        return (
            round(_BORDER_PX + across * (_WIDTH_PX - 2 * _BORDER_PX)),
            round(_HEIGHT_PX - _BORDER_PX - min(up, 1.0) * (_HEIGHT_PX - 2 * _BORDER_PX)),
        )

    for power in range(bottom, top + 1):
        cv2.line(picture, place(first, 10.0**power), place(last, 10.0**power), _GREY, 1)
        _write(picture, f"{10.0**power:g}", (8, place(first, 10.0**power)[1] + 4))
    for mark in (mark for mark in (1, 2, 3, 4, 5, 7, 10, 14, 20) if first <= mark <= last):
        cv2.line(picture, place(mark, 10.0**bottom), place(mark, 10.0**top), _GREY, 1)
        _write(picture, f"{mark}", (place(mark, 1)[0] - 6, _HEIGHT_PX - _BORDER_PX + 20))
    for sigma, (rate, low, high) in zip(counts.sigmas.tolist(), rates.tolist(), strict=True):
        cv2.line(picture, place(sigma, low), place(sigma, high), _BLUE, 1, cv2.LINE_AA)
        if rate > 0:
            cv2.circle(picture, place(sigma, rate), 3, _BLUE, -1, cv2.LINE_AA)
    cv2.line(picture, place(first, choice.rate), place(last, choice.rate), _RED, 1, cv2.LINE_AA)
    for sigma in choice.sigmas:
        cv2.line(picture, place(sigma, 10.0**bottom), place(sigma, 10.0**top), _RED, 1, cv2.LINE_AA)
    _write(picture, f"false regions a {unit}, 95 % intervals", (8, 24))
    _write(picture, "noise_sigmas", (_WIDTH_PX // 2 - 50, _HEIGHT_PX - 12))
    try:
        path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    except OSError as error:
        raise CalibrationError(f"{path}: can't be written: {error.strerror}") from None


def _write(picture: NDArray[np.uint8], text: str, corner: tuple[int, int]) -> None:
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _BLACK, 1, cv2.LINE_AA)
