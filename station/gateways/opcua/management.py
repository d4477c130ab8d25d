"""Result management, and configuration management as far as there is one configuration. Server's thread."""

from typing import Any

from asyncua import ua

from station.gateways.opcua import structures
from station.gateways.opcua.address_space import Space
from station.gateways.opcua.arguments import Error, checked, id_of, outcome
from station.gateways.opcua.events import structure
from station.gateways.opcua.results import Result, Results

__all__ = ["Management"]

_RESULTS, _CONFIGURATIONS = "ResultManagement", "ConfigurationManagement"
_MOST_RESULTS = 100
_NO_HANDLE = 0
"""Nothing is held for a client: what it gets is a copy."""
_NOT_OFFERED = {
    "ConfigurationManagement.AddConfiguration": 1,
    "ConfigurationManagement.RemoveConfiguration": 1,
    "RecipeManagement.AddRecipe": 2,
    "RecipeManagement.RemoveRecipe": 1,
    "RecipeManagement.UnlinkProduct": 2,
    "SafetyStateManagement.ReportSafetyState": 2,
}


class Management:
    """Answers what clients ask of results and configurations."""

    def __init__(self, results: Results, configuration: str) -> None:
        """`configuration` is the id of the one that is in force."""
        self._results, self._configuration = results, configuration

    def link(self, space: Space) -> None:
        """Put the methods behind their nodes; what is not offered says so."""
        methods = {
            f"{_RESULTS}.GetResultById": checked(self._by_id, None, int),
            f"{_RESULTS}.GetResultComponentsById": checked(self._components, None, int),
            f"{_RESULTS}.GetResultListFiltered": checked(self._list, *[None] * 9, int, int, int),
            f"{_RESULTS}.ReleaseResultHandle": checked(self._release, int),
            f"{_CONFIGURATIONS}.GetConfigurationList": checked(self._configurations, int, int, int),
            f"{_CONFIGURATIONS}.GetConfigurationById": checked(self._configuration_by_id, None, int),
            f"{_CONFIGURATIONS}.ActivateConfiguration": checked(self._activate, None),
            f"{_CONFIGURATIONS}.ReleaseConfigurationHandle": checked(self._release, int),
        }
        methods |= {path: checked(_refuse, *[None] * count) for path, count in _NOT_OFFERED.items()}
        for path, handler in methods.items():
            space.server.link_method(space.server.get_node(space.node(path)), handler)

    async def show(self, space: Space) -> None:
        """Show the configuration in force."""
        active = ua.Variant(self._described(), ua.VariantType.ExtensionObject)
        await space.write(space.node(f"{_CONFIGURATIONS}.ActiveConfiguration"), active)

    async def _by_id(self, id: Any, timeout: int) -> list[ua.Variant]:
        found = self._results.get(id_of(id) or "")
        made = structures.result(found) if found else ua.ResultDataType()
        return outcome(Error.OK if found else Error.UNKNOWN, _handle(), structure(made))

    async def _components(self, id: Any, timeout: int) -> list[ua.Variant]:
        found = self._results.get(id_of(id) or "")
        made = structures.result(found) if found else ua.ResultDataType()
        return outcome(Error.OK if found else Error.UNKNOWN, *structures.components(made, _handle()))

    async def _list(self, state: Any, *rest: Any) -> list[ua.Variant]:
        *ids, most, start, _ = rest
        measurement, part, external, internal, _, configuration, product, job = map(id_of, ids)

        def wanted(result: Result) -> bool:
            made = structures.result(result)
            pairs = (
                (measurement, made.MeasId.Id),
                (part, made.PartId.Id),
                (external, made.ExternalRecipeId.Id),
                (internal, made.InternalRecipeId.Id),
                (configuration, made.InternalConfigurationId.Id),
                (product, made.ProductId.Id),
                (job, made.JobId.Id),
            )
            return state in (0, None, made.ResultState) and all(not asked or asked == found for asked, found in pairs)

        found, complete = self._results.find(wanted, max(0, start), min(most or _MOST_RESULTS, _MOST_RESULTS))
        listed = ua.Variant([structures.result(one) for one in found], ua.VariantType.ExtensionObject)
        count = ua.Variant(len(found), ua.VariantType.UInt32)
        return outcome(Error.OK, ua.Variant(complete, ua.VariantType.Boolean), count, _handle(), listed)

    async def _configurations(self, most: int, start: int, timeout: int) -> list[ua.Variant]:
        found = [self._described()][max(0, start) :]
        complete, count = ua.Variant(True, ua.VariantType.Boolean), ua.Variant(len(found), ua.VariantType.UInt32)
        listed = ua.Variant(found, ua.VariantType.ExtensionObject)
        return outcome(Error.OK, complete, count, _handle(), listed)

    async def _configuration_by_id(self, id: Any, timeout: int) -> list[ua.Variant]:
        error = Error.OK if id_of(id) == self._configuration else Error.UNKNOWN
        return outcome(error, _handle(), structure(self._described()))

    async def _activate(self, id: Any) -> list[ua.Variant]:
        return outcome(Error.OK if id_of(id) == self._configuration else Error.UNKNOWN)

    async def _release(self, handle: int) -> list[ua.Variant]:
        return outcome(Error.OK if handle == _NO_HANDLE else Error.UNKNOWN)

    def _described(self) -> Any:
        id = ua.ConfigurationIdDataType(Id=self._configuration)
        return ua.ConfigurationDataType(HasTransferableDataOnFile=False, ExternalId=id, InternalId=id)


async def _refuse(*values: Any) -> ua.StatusCode:
    return ua.StatusCode(ua.StatusCodes.BadNotSupported)


def _handle() -> ua.Variant:
    return ua.Variant(_NO_HANDLE, ua.VariantType.UInt32)
