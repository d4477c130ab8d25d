"""Which recipe is in force, and which are ready to be: prepared by the swap thread, switched to between two frames.

Control, swap and main thread, one at a time: what one begins, the others wait for.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engines.model import ModelCard
from shadowline.errors import ConfigError, StationError
from station.calibrated import Calibrated, by_recipe
from station.clock import Clock
from station.config import DEFAULT, Config
from station.control_protocol import RecipeRecord, RecipeState, RecipeStatus
from station.engine import model_file
from station.models import Models
from station.recipe_check import calibrate_recipes, judge_recipes
from station.reload import changed_keys
from station.swapper import Swapper

__all__ = ["Change", "RecipeBook"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to hold from the first frame on that is captured at `since_ns` (tick) or later."""

    config: Config
    """With the recipe in place of the plain tables."""
    recipe: str
    """Its name in events; empty for the plain tables."""
    calibrated: Mapping[str, Calibrated]
    """What each camera uses, its limits above all."""
    sha256: str
    """Of the whole configuration, recipes and all; first 12 digits."""
    since_ns: int


class RecipeBook:
    """The recipes of one configuration. What fails leaves the one in force where it is."""

    def __init__(
        self,
        config: Config,
        models: Models,
        swapper: Swapper,
        adopt: Callable[[Change], None],
        cards: dict[Path | None, ModelCard],
        plain: Mapping[str, Calibrated],
        clock: Clock,
    ) -> None:
        """`adopt` lets a change hold, and returns when it does; it raises `StationError` when it can't.

        `cards` are those of the model files that were read, `plain` what the cameras use by the plain tables.
        """
        self._config = config
        self._active = config.station.recipe or DEFAULT
        self._models = models
        self._swapper = swapper
        self._adopt = adopt
        self._clock = clock
        self._cards = cards
        self._plain = plain
        self._preparing = self._next = ""
        self._failed: dict[str, str] = {}
        self._changing = threading.RLock()

    def select(self, key: str | int) -> None:
        """Let the recipe of that name or number hold: at once, where it is ready, else when it is prepared.

        Raises `StationError` when there is none, or while a model is on its way in.
        """
        with self._changing:
            name = self._find(key)
            if name == self._preparing:
                self._next = name
            elif self._is_ready(name):
                self._switch(name)
                self._next = ""
            else:
                self._begin(name)
                self._next = name

    def prepare(self, key: str | int) -> None:
        """Let the recipe's model be built and proved, where it is not yet; raises as `select` does."""
        with self._changing:
            name = self._find(key)
            if name != self._preparing and not self._is_ready(name):
                self._begin(name)

    def unprepare(self, key: str | int) -> None:
        """Let the recipe's model go. Raises `StationError` where it is in use or being prepared."""
        with self._changing:
            name = self._find(key)
            file = self._file(name)
            if file == self._models.file:
                raise StationError(f"recipe {name}: its model is in use: select a recipe with another one first")
            if name == self._preparing:
                raise StationError(f"recipe {name} is being prepared: wait for it")
            self._models.drop(file)
            self._failed.pop(name, None)

    def reload(self, config: Config) -> list[str]:
        """Let `config` hold, its recipes too, and return the keys that differ.

        Raises `ConfigError` for a key that needs a restart, for a recipe that can't be used and when the active one is
        gone, `StationError` while a model is on its way in or prepared; then what held before goes on.
        """
        with self._changing:
            if self._preparing:
                raise StationError(f"recipe {self._preparing} is being prepared: wait for it")
            if self._active != DEFAULT and self._active not in config.recipe:
                raise ConfigError(f"[recipe.{self._active}]: it is in force: select another one before it goes")
            changed = changed_keys(self._config, config)
            changed_keys(self._config.by_recipe(self._active), config.by_recipe(self._active))
            judge_recipes(config, self._cards, self._models.live.judge.finders)
            calibrate_recipes(config, self._plain)
            self._change(config, self._active)
            return changed

    def status(self) -> RecipeStatus:
        """Return what there is, in the order of the numbers."""
        with self._changing:
            status = self._swapper.status
            names = sorted(self._config.recipe, key=lambda name: (self._number(name) or 1 << 16, name))
            return RecipeStatus(
                active=self._active,
                recipes=tuple(map(self._record, [DEFAULT, *names])),
                job=status.job,
                stage=status.stage,
                detail=status.detail,
                part=round(status.part, 3),
                outcome=status.outcome,
                report=status.report,
            )

    def _find(self, key: str | int) -> str:
        """Return the name of a recipe. Raises `StationError` where there is none."""
        if key in (DEFAULT, 0):
            return DEFAULT
        name = next((name for name in self._config.recipe if key in (name, self._number(name))), None)
        if name is None:
            raise StationError(f"no recipe {key}: station recipe list shows which there are")
        return name

    def _number(self, name: str) -> int | None:
        return 0 if name == DEFAULT else self._config.recipe[name].external_id

    def _file(self, name: str) -> Path | None:
        own = None if name == DEFAULT else self._config.recipe[name].model
        return own or model_file(self._config.engine)

    def _is_ready(self, name: str) -> bool:
        return self._file(name) in (self._models.file, *self._models.prepared())

    def _switch(self, name: str) -> None:
        if name == self._active:
            return
        self._change(self._config, name)
        logger.info("recipe %s holds, with %s", name, self._models.live.title)

    def _change(self, config: Config, name: str) -> None:
        """Let the recipe `name` of `config` hold from now on."""
        before, wanted = self._config.by_recipe(self._active), config.by_recipe(name)
        calibrated = by_recipe(self._plain, config, name)
        self._swapper.adopt(wanted)
        recipe = "" if name == DEFAULT else name
        try:
            self._adopt(Change(wanted, recipe, calibrated, config.sha256[:12], self._clock.tick_ns()))
        except StationError:
            self._swapper.adopt(before)
            raise
        self._config, self._active = config, name
        self._failed.pop(name, None)

    def _begin(self, name: str) -> None:
        """Let the swap thread prepare the recipe. Raises `StationError` while another model is on its way in."""
        self._swapper.prepare(partial(self._prepare, name, self._config.by_recipe(name)))
        self._preparing, self._next = name, ""
        self._failed.pop(name, None)

    def _prepare(self, name: str, config: Config) -> str:
        """Build and prove the recipe's model, and switch to it where that was asked for. Swap thread."""
        try:
            model, findings = self._swapper.make(config, f"for recipe {name}")
            with self._changing:
                self._models.keep(self._file(name), model, config.swap.max_prepared)
                if self._next != name:
                    return f"recipe {name} is prepared: {findings}"
                self._switch(name)
                return f"recipe {name} holds: {findings}"
        except (StationError, OSError) as fault:
            with self._changing:
                self._failed[name] = str(fault)
            raise StationError(f"recipe {name}: {fault}") from fault
        finally:
            with self._changing:
                self._preparing = self._next = ""

    def _record(self, name: str) -> RecipeRecord:
        state: RecipeState
        detail = ""
        if name == self._active:
            state = "active"
        elif name == self._preparing:
            state, detail = "preparing", self._swapper.status.detail
        elif name in self._failed:
            state, detail = "failed", self._failed[name]
        else:
            state = "prepared" if self._is_ready(name) else "loaded"
        description = self._config.recipe[name].description if name != DEFAULT else "the plain tables"
        return RecipeRecord(name, self._number(name), description, str(self._file(name) or ""), state, detail)
