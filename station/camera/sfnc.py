"""Set a GenICam camera as configured, by the names of the standard (SFNC), whatever library reaches it. Pure.

Every feature is optional: one that is configured and missing is refused by its name, as is a value out of range.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeAlias

from shadowline.errors import CameraError, CameraLost
from station.config import SfncConfig

__all__ = ["Nodes", "Value", "allowed_names", "allowed_range", "apply", "compare", "features", "fire"]

Value: TypeAlias = bool | int | float | str

_NEAR = 0.01  # cameras round times and gains to their own steps

_OLDER = {
    "ExposureTime": ("ExposureTime", "ExposureTimeAbs", "ExposureTimeRaw"),
    "Gain": ("Gain", "GainAbs", "GainRaw"),
    "BlackLevel": ("BlackLevel", "BlackLevelAbs", "BlackLevelRaw"),
    "AcquisitionFrameRate": ("AcquisitionFrameRate", "AcquisitionFrameRateAbs"),
    "TriggerDelay": ("TriggerDelay", "TriggerDelayAbs"),
}
"""Names of the standard, each with those that it had before, newest first."""

_USUAL = (
    *("Width", "Height", "OffsetX", "OffsetY", "BinningHorizontal", "BinningVertical", "PixelFormat"),
    *("ExposureTime", "Gain", "BlackLevel", "AcquisitionFrameRate", "TriggerMode", "TriggerSoftware", "TriggerDelay"),
)

_TRIGGERS = ("AcquisitionStart", "FrameBurstStart", "FrameStart", "LineStart")
"""What a trigger may start; one that was left on would hold all pictures back."""


class Nodes(Protocol):
    """A camera's features by name. Each member may raise `CameraLost`."""

    def has(self, name: str) -> bool:
        """Whether the camera has this feature, usable as it is set now."""

    def get(self, name: str) -> Value:
        """Return the value of a feature that it has; raises `CameraError` with the reason alone when it has none."""

    def set(self, name: str, value: Value) -> None:
        """Set a feature, or execute a command; raises `CameraError` with the reason alone when it is refused."""


class _Step(NamedTuple):
    """A feature and its value; `needed` says that it was asked for and not merely is good to set where there is one."""

    name: str
    value: Value
    needed: bool = True


def apply(config: SfncConfig, nodes: Nodes, who: str) -> None:
    """Set every configured feature, in an order that cameras take. `who` begins each error, as `camera top`.

    Raises `CameraError` naming the first feature that is missing, refused or set to something else by the camera.
    """
    for step in _steps(config):
        try:
            _take(step, nodes)
        except CameraLost:
            raise
        except CameraError as refusal:
            if step.needed:
                name = _known_name(step.name, nodes) or step.name
                raise CameraError(f"{who}: {name} = {step.value}: {refusal}") from refusal


def compare(config: SfncConfig, nodes: Nodes, who: str) -> None:
    """Check that the camera is set as configured; raises `CameraError` with all that differs.

    Sets nothing but selectors, which say what the next feature is about. `true` is taken for done.
    """
    odd = []
    for step in _steps(config):
        if not step.needed or step.value is True:
            continue
        try:
            odd += _differs(step, nodes)
        except CameraLost:
            raise
        except CameraError as refusal:
            odd.append(f"{step.name} = {step.value}: {refusal}")
    if odd:
        raise CameraError(f'{who}: is set otherwise than configured (settings = "keep"): {"; ".join(odd)}')


def features(nodes: Nodes) -> frozenset[str]:
    """Return what the camera has of the features that stations use, by their names of today."""
    return frozenset(name for name in _USUAL if _known_name(name, nodes))


def fire(nodes: Nodes, who: str) -> None:
    """Fire the software trigger; raises `CameraLost` when the camera does not take it."""
    try:
        nodes.set("TriggerSoftware", True)
    except CameraLost:
        raise
    except CameraError as refusal:
        raise CameraLost(f"{who}: TriggerSoftware: {refusal}") from refusal


def allowed_range(low: float, high: float, step: float = 1) -> str:
    """Return the reason why a number is refused."""
    return f"allowed are {low:.10g} to {high:.10g}" + (f" in steps of {step:.10g}" if step != 1 else "")


def allowed_names(names: Iterable[str]) -> str:
    """Return the reason why a choice is refused."""
    return f"allowed are {', '.join(names)}"


def _take(step: _Step, nodes: Nodes) -> None:
    name = _known_name(step.name, nodes)
    if name is None:
        raise CameraError("this camera has no such feature")
    nodes.set(name, step.value)
    if not isinstance(step.value, bool) and not _same(step.value, became := nodes.get(name)):
        raise CameraError(f"the camera made it {became}")


def _differs(step: _Step, nodes: Nodes) -> list[str]:
    name = _known_name(step.name, nodes)
    if name is None:
        return [f"{step.name} is missing"]
    if name.endswith("Selector"):
        nodes.set(name, step.value)
        return []
    became = nodes.get(name)
    return [] if _same(step.value, became) else [f"{name} is {became}, not {step.value}"]


def _known_name(name: str, nodes: Nodes) -> str | None:
    return next((known for known in _OLDER.get(name, (name,)) if nodes.has(known)), None)


def _same(wanted: Value, became: Value) -> bool:
    if isinstance(wanted, float) and isinstance(became, int | float):
        return abs(became - wanted) <= max(_NEAR * abs(wanted), 1)
    return wanted == became


def _steps(config: SfncConfig) -> Iterator[_Step]:
    """Yield what to set: binning, then a window that always fits, then light, rate, trigger, chunks and the rest."""
    yield _Step("AcquisitionMode", "Continuous", needed=False)
    for name, value in (("BinningHorizontal", config.binning_x), ("BinningVertical", config.binning_y)):
        if value is not None:
            yield _Step(name, value)
    yield _Step("PixelFormat", config.pixel_format)
    yield from _window(config)
    yield from _light(config)
    yield from _trigger(config)
    if config.chunks:
        yield _Step("ChunkModeActive", True)
    for chunk in config.chunks:
        yield _Step("ChunkSelector", chunk)
        yield _Step("ChunkEnable", True)
    for name, extra in config.extra.items():
        yield _Step(name, extra)


def _window(config: SfncConfig) -> Iterator[_Step]:
    sides = (
        ("OffsetX", config.offset_x_px, "Width", config.width_px),
        ("OffsetY", config.offset_y_px, "Height", config.height_px),
    )
    for offset, start, size, length in sides:
        if length is not None:
            yield _Step(offset, 0, needed=False)  # the old offset may leave no room
            yield _Step(size, length)
        if start is not None:
            yield _Step(offset, start)


def _light(config: SfncConfig) -> Iterator[_Step]:
    if config.exposure_us is not None:
        yield _Step("ExposureAuto", "Off", needed=False)
        yield _Step("ExposureTime", config.exposure_us)
    if config.gain is not None:
        yield _Step("GainAuto", "Off", needed=False)
        yield _Step("Gain", config.gain)
    if config.black_level is not None:
        yield _Step("BlackLevel", config.black_level)
    if config.rate_hz is not None:
        yield _Step("AcquisitionFrameRateEnable", True, needed=False)
        yield _Step("AcquisitionFrameRate", config.rate_hz)


def _trigger(config: SfncConfig) -> Iterator[_Step]:
    trigger = config.trigger
    for selector in _TRIGGERS:
        yield _Step("TriggerSelector", selector, needed=False)
        yield _Step("TriggerMode", "Off", needed=False)
    if trigger is None:
        return
    yield _Step("TriggerSelector", trigger.selector)
    yield _Step("TriggerSource", trigger.source)
    for name, value in (
        ("TriggerActivation", trigger.activation),
        ("TriggerDelay", trigger.delay_us),
        ("TriggerOverlap", trigger.overlap),
    ):
        if value is not None:
            yield _Step(name, value)
    yield _Step("TriggerMode", "On")
