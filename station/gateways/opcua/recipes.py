"""Recipe management: the station's recipes, which clients list and choose; products are other names of them.

What is chosen holds from the next picture on; the station says so in what it publishes. Server's thread.
"""

from collections.abc import Callable, Mapping
from typing import Any

from asyncua import ua

from station.control_protocol import Recipe, Unprepare
from station.gateways.opcua import structures
from station.gateways.opcua.address_space import Space
from station.gateways.opcua.arguments import Error, checked, id_of, outcome
from station.gateways.opcua.asking import Asking
from station.gateways.opcua.events import Events, structure
from station.gateways.opcua.machine import Machine
from station.gateways.opcua.states import Cause, State

__all__ = ["Recipes"]

_PLACE = "RecipeManagement"
_PREPARED, _NOT_PREPARED = 1, 0
_MOST_LISTED = 1000


class Recipes:
    """Knows names, the number that a PLC may call a recipe by, products, and which recipe is active."""

    def __init__(
        self,
        known: Mapping[str, int | None],
        products: Mapping[str, str],
        machine: Machine,
        events: Events,
        asking: Asking,
        now_ns: Callable[[], int],
    ) -> None:
        """`known` are names and numbers, `products` the recipes of products, `now_ns` is the station's UTC."""
        self.active = ""
        self._known, self._products = known, products
        self._machine, self._events, self._asking, self._now_ns = machine, events, asking, now_ns
        self._wanted: tuple[str, str, str, Cause] | None = None
        """Recipe, the client's name of it, product and method; until the station says that it is active."""

    def link(self, space: Space) -> None:
        """Put the methods behind their nodes."""
        methods = {
            "GetRecipeListFiltered": checked(self._list, None, None, int, int, int, int),
            "PrepareRecipe": checked(self._prepare, None, None),
            "UnprepareRecipe": checked(self._unprepare, None, None),
            "PrepareProduct": checked(self._prepare_product, None),
            "UnprepareProduct": checked(self._unprepare_product, None),
            "ReleaseRecipeHandle": checked(self._release, int),
        }
        for name, handler in methods.items():
            space.server.link_method(space.server.get_node(space.node(f"{_PLACE}.{name}")), handler)

    def holds(self, external: str, product: str) -> bool:
        """Whether a job by these names can be begun: where they name a recipe it is the active one."""
        named = self._name(external, "") == self.active if external else True
        return named and self._products.get(product, self.active) == self.active

    async def hear(self, active: str) -> None:
        """Learn which recipe is active."""
        self.active = active
        if self._wanted is None or self._wanted[0] != active:
            return
        name, external, product, cause = self._wanted
        self._wanted = None
        await self._events.recipe_prepared(external, name, product)
        if self._machine.vision.state is State.INITIALIZED:
            await self._machine.call(cause, self._now_ns())

    async def _list(
        self, external: Any, product: Any, prepared: int, most: int, start: int, timeout: int
    ) -> list[ua.Variant]:
        names = list(self._known)
        if id_of(external):
            names = [name for name in names if name == self._name(id_of(external), "")]
        if id_of(product):
            names = [name for name in names if name == self._products.get(id_of(product) or "")]
        if prepared in (_PREPARED, _NOT_PREPARED):
            names = [name for name in names if (name == self.active) == (prepared == _PREPARED)]
        most = min(most or _MOST_LISTED, _MOST_LISTED)
        page = names[start : start + most]
        listed = ua.Variant([structures.internal_recipe(name) for name in page], ua.VariantType.ExtensionObject)
        complete = ua.Variant(start + most >= len(names), ua.VariantType.Boolean)
        count, handle = ua.Variant(len(page), ua.VariantType.UInt32), ua.Variant(0, ua.VariantType.UInt32)
        return outcome(Error.OK, complete, count, handle, listed)

    async def _prepare(self, external: Any, internal: Any) -> list[ua.Variant]:
        name = self._name(id_of(external), id_of(internal))
        error = await self._choose(name, id_of(external) or name, "", "PrepareRecipe")
        done = ua.Variant(error is Error.OK and self._wanted is None, ua.VariantType.Boolean)
        return outcome(error, structure(structures.internal_recipe(name)), done)

    async def _prepare_product(self, product: Any) -> list[ua.Variant]:
        name = self._products.get(id_of(product) or "", "")
        error = await self._choose(name, name, id_of(product) or "", "PrepareProduct")
        return outcome(error, structure(structures.internal_recipe(name)))

    async def _unprepare(self, external: Any, internal: Any) -> list[ua.Variant]:
        name = self._name(id_of(external), id_of(internal))
        return outcome(await self._free(name, "UnprepareRecipe"), structure(structures.internal_recipe(name)))

    async def _unprepare_product(self, product: Any) -> list[ua.Variant]:
        name = self._products.get(id_of(product) or "", "")
        return outcome(await self._free(name, "UnprepareProduct"), structure(structures.internal_recipe(name)))

    async def _release(self, handle: int) -> list[ua.Variant]:
        return outcome(Error.OK)

    async def _choose(self, name: str, external: str, product: str, cause: Cause) -> Error:
        """Let the station change to a recipe; the rest follows when it says that it has."""
        if name not in self._known:
            return Error.UNKNOWN
        if self._machine.vision.state < State.OPERATIONAL:
            return Error.STATE
        self._wanted = (name, external, product, cause)
        if name == self.active:
            await self.hear(name)
            return Error.OK
        error = await self._asking.ask(Recipe(name))
        if error is not Error.OK:
            self._wanted = None
        return error

    async def _free(self, name: str, cause: Cause) -> Error:
        """Let a client have done with a recipe; the active one stays with the station, which goes on."""
        if name not in self._known:
            return Error.UNKNOWN
        if name != self.active:
            return await self._asking.ask(Unprepare(name))
        return Error.OK if await self._machine.call(cause, self._now_ns()) else Error.STATE

    def _name(self, external: str | None, internal: str | None) -> str:
        """Return the name of the recipe that a client means; empty for none."""
        for text in (internal, external):
            for name, number in self._known.items():
                if text and text in (name, str(number)):
                    return name
        return ""
