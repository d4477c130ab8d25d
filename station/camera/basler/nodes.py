"""The features of a device as pylon has them. Lives in the capture thread."""

from typing import Any

from shadowline.errors import CameraError, CameraLost
from station.camera.sfnc import Value, allowed_names, allowed_range

__all__ = ["PylonNodes", "first_line"]


class PylonNodes:
    """The `Nodes` of pylon's node map. `who` begins each error of a device that is gone."""

    def __init__(self, node_map: Any, who: str) -> None:
        from pypylon import genicam

        self._map = node_map
        self._who = who
        self._genicam = genicam
        self._gone = (genicam.RuntimeException, genicam.TimeoutException)

    def has(self, name: str) -> bool:
        try:
            return bool(self._genicam.IsAvailable(self._map.GetNode(name)))
        except self._gone as error:
            raise CameraLost(f"{self._who}: {name} can't be read: {first_line(error)}") from error

    def get(self, name: str) -> Value:
        try:
            value: Value = self._map.GetNode(name).Value
        except self._gone as error:
            raise CameraLost(f"{self._who}: {name} can't be read: {first_line(error)}") from error
        except (self._genicam.GenericException, AttributeError) as error:
            raise CameraError("can't be read") from error
        return value

    def set(self, name: str, value: Value) -> None:
        node = self._map.GetNode(name)
        try:
            if isinstance(node, self._genicam.ICommand):
                node.Execute()
            elif isinstance(node, self._genicam.IInteger) and isinstance(value, float):
                node.Value = round(value)
            else:
                node.Value = value
        except self._gone as error:
            raise CameraLost(f"{self._who}: {name} can't be set: {first_line(error)}") from error
        except TypeError as error:
            raise CameraError(f"does not take {value!r}") from error
        except self._genicam.GenericException as error:
            raise CameraError(self._reason(node, error)) from error

    def _reason(self, node: Any, error: Exception) -> str:
        """Say what the feature takes, or else what pylon says."""
        genicam = self._genicam
        if isinstance(error, genicam.AccessException):
            return "can't be set as the camera is set now"
        if isinstance(node, genicam.IEnumeration):
            return allowed_names(node.GetSettableValues())
        if isinstance(node, genicam.IInteger):
            return allowed_range(node.Min, node.Max, node.Inc)
        if isinstance(node, genicam.IFloat):
            return allowed_range(node.Min, node.Max)
        return first_line(error)


def first_line(error: Exception) -> str:
    """Return what GenICam says without where in its own code it says it."""
    return str(error).partition(" : ")[0].partition("\n")[0]
