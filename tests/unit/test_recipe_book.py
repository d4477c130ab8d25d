"""Which recipe holds and which are ready: a swap thread and an inspect thread that the test is by itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from engines import FakeEngine
from shadowline.errors import ConfigError, EngineError, StationError
from station.calibrated import open_calibration
from station.clock import ManualClock
from station.config import Config
from station.engine import model_file
from station.inspector import Inspector
from station.model import Model
from station.models import Models
from station.recipe_book import Change, RecipeBook
from station.swapper import Swapper, SwapStatus
from station.trial import make_model
from tests.system.lines import make_config

RECIPES: dict[str, Any] = {
    "a": {"external_id": 3, "model": "a.onnx"},
    "b": {"external_id": 1, "model": "b.onnx"},
    "a2": {"model": "a.onnx", "verdict": {"default": {"action": "accept"}}},
    "soft": {"verdict": {"default": {"action": "accept"}}},
}


class Swapping:
    """A swap thread whose job is done when the test says so."""

    def __init__(self) -> None:
        self.status = SwapStatus()
        self.fault: StationError | None = None
        self.made: dict[str, Model] = {}
        self.config: Config | None = None
        self._job: Callable[[], str] | None = None

    def prepare(self, job: Callable[[], str]) -> int:
        if self._job is not None:
            raise StationError("another model is on its way in (preparing): wait for it")
        self._job, self.status = job, SwapStatus(self.status.job + 1, "preparing", "waiting")
        return self.status.job

    def make(self, config: Config, why: str) -> tuple[Model, str]:
        if self.fault is not None:
            raise self.fault
        model = make_model(FakeEngine(("dent",)).__enter__(), config, why)
        self.made[str(model_file(config.engine))] = model
        return model, "no golden set"

    def adopt(self, config: Config) -> None:
        if self.status.stage not in ("idle", "preparing"):
            raise StationError(f"another model is on its way in ({self.status.stage}): wait for it")
        self.config = config

    def finish(self) -> str:
        """Do the job, and return its report or why it failed."""
        assert self._job is not None
        try:
            return self._job()
        except StationError as fault:
            return str(fault)
        finally:
            self._job, self.status = None, SwapStatus(self.status.job)


class Book:
    """A recipe book with all that it stands on."""

    def __init__(self, folder: Path, recipes: dict[str, Any], **tables: Any) -> None:
        self.config = make_config(folder, {"top": {}}, engine={"backend": "onnx_runtime"}, recipe=recipes, **tables)
        held = self.config.at_start
        live = make_model(FakeEngine(("dent",)).__enter__(), held, "as configured")
        self.models = Models(live, None, 10, None, model_file(held.engine))
        self.inspector = Inspector({}, live, 20.0, ManualClock())
        self.swapping = Swapping()
        self.changes: list[Change] = []
        self.fault: StationError | None = None
        swapper = cast(Swapper, self.swapping)
        cards = dict.fromkeys((self.models.file, folder / "a.onnx", folder / "b.onnx"), live.engine.card)
        plain = {camera.name: open_calibration(self.config, camera) for camera in self.config.camera}
        self.recipes = RecipeBook(self.config, self.models, swapper, self._adopt, cards, plain, ManualClock())

    def _adopt(self, change: Change) -> None:
        if self.fault is not None:
            raise self.fault
        self.models.change_file(model_file(change.config.engine), change.config.verdict, self.inspector)
        self.changes.append(change)

    @property
    def active(self) -> str:
        return self.recipes.status().active

    @property
    def states(self) -> dict[str, str]:
        return {one.name: one.state for one in self.recipes.status().recipes}


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path, RECIPES)
    yield made
    made.models.close()


def usable(model: Model) -> bool:
    try:
        model.engine.classify(model.room(1)[:1])
    except EngineError:
        return False
    return True


def test_the_list_is_in_the_order_of_the_numbers(book: Book) -> None:
    status = book.recipes.status()
    assert [(one.name, one.number) for one in status.recipes] == [
        ("default", 0),
        ("b", 1),
        ("a", 3),
        ("a2", None),
        ("soft", None),
    ]
    assert book.states == {"default": "active", "b": "loaded", "a": "loaded", "a2": "loaded", "soft": "prepared"}


def test_a_recipe_of_the_live_model_changes_its_rules_at_once(book: Book) -> None:
    book.recipes.select("soft")
    assert book.active == "soft"
    assert [(change.recipe, change.sha256) for change in book.changes] == [("soft", book.config.sha256[:12])]
    assert book.models.live.judge.rules["dent"].action == "accept"
    assert book.swapping.config is book.changes[-1].config
    book.recipes.select(0)
    assert book.changes[-1].recipe == ""
    assert book.models.live.judge.rules["dent"].action == "reject"


def test_selecting_the_active_one_changes_nothing(book: Book) -> None:
    book.recipes.select("default")
    assert book.changes == []


def test_one_that_is_not_prepared_is_prepared_and_then_holds(book: Book) -> None:
    book.recipes.select("a2")
    assert (book.active, book.states["a2"]) == ("default", "preparing")
    assert book.swapping.finish() == "recipe a2 holds: no golden set"
    assert book.active == "a2"
    assert book.models.live.judge.rules["dent"].action == "accept"
    book.recipes.select("a")  # the same file
    assert (book.active, book.models.live.judge.rules["dent"].action) == ("a", "reject")


def test_the_last_word_counts(book: Book) -> None:
    book.recipes.prepare("a")
    book.recipes.select("a")
    book.recipes.select("soft")
    assert book.swapping.finish() == "recipe a is prepared: no golden set"
    assert (book.active, book.states["a"]) == ("soft", "prepared")
    book.recipes.prepare("b")
    book.recipes.select("b")
    book.swapping.finish()
    assert book.active == "b"


def test_only_one_is_prepared_at_a_time(book: Book) -> None:
    book.recipes.prepare("a")
    for refused in (book.recipes.prepare, book.recipes.select):
        with pytest.raises(StationError, match=r"another model is on its way in \(preparing\)"):
            refused("b")
    book.recipes.prepare("a")
    book.swapping.finish()
    assert book.states["b"] == "loaded"


def test_one_that_fails_says_why_until_it_is_tried_again(book: Book) -> None:
    book.swapping.fault = EngineError("b.onnx: no ONNX file")
    book.recipes.select("b")
    book.swapping.finish()
    record = next(one for one in book.recipes.status().recipes if one.name == "b")
    assert (record.state, record.detail, book.active) == ("failed", "b.onnx: no ONNX file", "default")
    book.swapping.fault = None
    book.recipes.select("b")
    assert book.states["b"] == "preparing"
    book.swapping.finish()
    assert book.active == "b"


def test_a_change_that_no_frame_takes_leaves_the_one_before(book: Book) -> None:
    book.fault = StationError("no frame ended within 5 s: try again")
    with pytest.raises(StationError, match="no frame ended"):
        book.recipes.select("soft")
    assert book.active == "default"
    assert book.swapping.config == book.config
    book.fault = None
    book.recipes.select("soft")
    assert book.active == "soft"


def test_rules_that_the_model_can_not_follow_leave_the_one_before(tmp_path: Path) -> None:
    book = Book(tmp_path, {"odd": {"verdict": {"rules": {"scratch": {}}}}})
    live, rules = book.models.live, book.models.live.judge
    with pytest.raises(ConfigError, match="scratch: not a label of the model"):
        book.recipes.select("odd")
    assert (book.active, book.models.live, live.judge) == ("default", live, rules)
    book.models.close()


def test_room_is_for_so_many_models(tmp_path: Path) -> None:
    book = Book(tmp_path, {name: {"model": f"{name}.onnx"} for name in "abcd"}, swap={"max_prepared": 2})
    for name in "abc":
        book.recipes.prepare(name)
        book.swapping.finish()
    assert book.states == {"default": "active", "a": "loaded", "b": "prepared", "c": "prepared", "d": "loaded"}
    book.recipes.select("b")
    assert book.states["default"] == "prepared"  # it has just been used: c is next to go
    book.recipes.prepare("d")
    book.swapping.finish()
    assert book.states == {"default": "prepared", "a": "loaded", "b": "active", "c": "loaded", "d": "prepared"}
    book.models.release()
    made = {Path(file).stem: usable(model) for file, model in book.swapping.made.items()}
    assert made == {"a": False, "b": True, "c": False, "d": True}
    book.models.close()
    assert not any(usable(model) for model in book.swapping.made.values())


def test_a_model_in_use_or_on_its_way_is_not_given_up(book: Book) -> None:
    book.recipes.prepare("a")
    with pytest.raises(StationError, match="recipe a is being prepared: wait for it"):
        book.recipes.unprepare("a")
    book.swapping.finish()
    book.recipes.select("a")
    for name in ("a", "a2"):
        with pytest.raises(StationError, match=f"recipe {name}: its model is in use"):
            book.recipes.unprepare(name)
    book.recipes.unprepare("soft")
    assert book.states["default"] == "loaded"
    book.recipes.select("default")
    assert book.swapping.finish() == "recipe default holds: no golden set"


@pytest.mark.parametrize("key", ["none", "A", 2, 65_535])
def test_a_recipe_that_is_not_there_is_named(book: Book, key: str | int) -> None:
    for ask in (book.recipes.select, book.recipes.prepare, book.recipes.unprepare):
        with pytest.raises(StationError, match=f"^no recipe {key}: station recipe list shows which there are$"):
            ask(key)


def test_a_reload_keeps_the_recipe_in_force(book: Book, tmp_path: Path) -> None:
    book.recipes.select("soft")
    turned = Book(tmp_path, {"soft": {}}).config
    assert book.recipes.reload(turned)
    assert book.active == "soft"
    assert book.models.live.judge.rules["dent"].action == "reject"
    with pytest.raises(ConfigError, match=r"\[recipe.soft\]: it is in force"):
        book.recipes.reload(Book(tmp_path, {}).config)
    with pytest.raises(ConfigError, match=r"\[engine\] model: a change of that needs a restart"):
        book.recipes.reload(Book(tmp_path, {"soft": {"model": "c.onnx"}}).config)
    assert book.states == {"default": "prepared", "soft": "active"}


def test_while_one_is_prepared_nothing_is_reloaded(book: Book) -> None:
    book.recipes.prepare("a")
    with pytest.raises(StationError, match="recipe a is being prepared: wait for it"):
        book.recipes.reload(book.config)
    book.swapping.finish()
    assert book.recipes.reload(book.config) == []
