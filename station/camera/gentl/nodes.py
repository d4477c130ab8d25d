"""The features of a GenTL device, as its own XML describes them. Lives in the capture thread."""

import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from shadowline.errors import CameraError, CameraLost
from station.camera.sfnc import Value, allowed_names, allowed_range

__all__ = ["GenApiNodes", "load_nodes"]


class GenApiNodes:
    """The `Nodes` of genicam's node map. `who` begins each error of a device that is gone."""

    def __init__(self, node_map: Any, who: str) -> None:
        from genicam import genapi, gentl

        self.map = node_map
        self._who = who
        self._genapi = genapi
        self._gone = (gentl.GenericException, genapi.RuntimeException, genapi.TimeoutException)
        self._absent = (genapi.EAccessMode.NI, genapi.EAccessMode.NA)

    def has(self, name: str) -> bool:
        try:
            return self.map.has_node(name) and self.map.get_node(name).get_access_mode() not in self._absent
        except self._gone as error:
            raise CameraLost(f"{self._who}: {name} can't be read: {error}") from error

    def get(self, name: str) -> Value:
        try:
            value: Value = self.map.get_node(name).value
        except self._gone as error:
            raise CameraLost(f"{self._who}: {name} can't be read: {error}") from error
        except (self._genapi.GenericException, AttributeError) as error:
            raise CameraError("can't be read") from error
        return value

    def set(self, name: str, value: Value) -> None:
        node = self.map.get_node(name)
        try:
            if isinstance(node, self._genapi.ICommand):
                node.execute()
            elif isinstance(node, self._genapi.IInteger) and isinstance(value, float):
                node.value = round(value)
            else:
                node.value = value
        except self._gone as error:
            raise CameraLost(f"{self._who}: {name} can't be set: {error}") from error
        except TypeError as error:
            raise CameraError(f"does not take {value!r}") from error
        except self._genapi.GenericException as error:
            raise CameraError(self._reason(node, error)) from error

    def _reason(self, node: Any, error: Exception) -> str:
        """Say what the feature takes, or else what genicam says."""
        genapi = self._genapi
        if isinstance(error, genapi.AccessException):
            return "can't be set as the camera is set now"
        if isinstance(node, genapi.IEnumeration):
            return allowed_names(entry.symbolic for entry in node.entries if self._is_there(entry))
        if isinstance(node, genapi.IInteger):
            return allowed_range(node.min, node.max, node.inc)
        if isinstance(node, genapi.IFloat):
            return allowed_range(node.min, node.max)
        return str(error).partition(" : ")[0]

    def _is_there(self, entry: Any) -> bool:
        return entry.get_access_mode() not in self._absent


def load_nodes(port: Any, who: str) -> GenApiNodes:
    """Return the features of the device behind a port of genicam; `map.disconnect` ends it.

    Raises `CameraError` when it does not describe itself as the standard says.
    """
    from genicam import genapi

    class Port(genapi.AbstractPort):  # type: ignore[misc]
        """How the node map reaches the device."""

        def read(self, address: int, length: int) -> Any:
            return port.read(address, length)[1]

        def write(self, address: int, value: bytes) -> None:
            port.write(address, value)

        def is_open(self) -> bool:
            return True

        def get_access_mode(self) -> Any:
            return genapi.EAccessMode.RW

    node_map = genapi.NodeMap()
    try:
        node_map.load_xml_from_string(_description(port))
    except (genapi.GenericException, OSError, ValueError, zipfile.BadZipFile) as error:
        raise CameraError(f"{who}: the camera's description can't be read: {error}") from error
    node_map.connect(Port(), port.name)
    return GenApiNodes(node_map, who)


def _description(port: Any) -> str:
    """Return the XML that the device keeps in its registers or its producer in a file; it may be zipped."""
    url = str(port.url_info_list[0].url)
    scheme, _, rest = url.partition(":")
    if scheme.lower() == "local":
        _, address, length = rest.split(";")
        data = bytes(port.read(int(address, 16), int(length.partition("?")[0], 16))[1])
    elif scheme.lower() == "file":
        data = Path(unquote(urlsplit(url).path)).read_bytes()
    else:
        raise ValueError(f"it is at {url}, and only local: and file: are known")
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(archive.namelist()[0])
    return data.rstrip(b"\0").decode()
