"""Every key of the configuration as a field that says what it is, and what may change while the line runs."""

import tomllib
from pathlib import Path

from station.config_file import parse
from station.console.settings.forms import Field, Form, forms_of

TEXT = """
[[camera]]
name = "top"
type = "simulated"
[engine]
backend = "fake"
labels = ["dent", "scratch"]
[verdict]
label_floors = { dent = 0.5 }
[verdict.rules.dent]
min_area_px = 30
[recipe.coil-a]
description = "thin"
"""


def forms() -> dict[str, Form]:
    values = tomllib.loads(TEXT)
    return {form.where: form for form in forms_of(parse(values, Path("config.toml")), values)}


def field(where: str, name: str) -> Field:
    return next(one for one in forms()[where].fields if one.name == name)


def test_a_number_has_its_unit_bounds_default_and_words() -> None:
    budget = field("[station]", "budget_ms")
    assert (budget.kind, budget.unit, budget.least, budget.most, budget.default) == (
        *("number", "ms"),
        *("> 0", "≤ 60000", "20.0"),
    )
    assert budget.doc.startswith("Time from capture to decision")
    assert (budget.text, budget.changed, budget.live) == ("", False, True)
    assert budget.where == "[station] budget_ms"


def test_what_stands_in_the_file_is_marked() -> None:
    area = field("[verdict] rules.dent", "min_area_px")
    assert (area.kind, area.text, area.default, area.changed, area.live) == ("integer", "30", "0", True, True)
    assert field("[[camera]] number 1", "name").text == "top"


def test_kinds_of_values() -> None:
    assert field("[verdict] default", "action").choices == ("reject", "accept")
    assert field("[metrics]", "enabled").kind == "switch"
    assert field("[verdict]", "label_floors").text == "{dent = 0.5}"
    assert field("[engine]", "labels").text == '["dent", "scratch"]'
    assert field("[security]", "requests_per_s").unit == "1/s"
    assert field("[archive]", "frames").unit == ""
    assert not field("[regions]", "scale").live


def test_the_type_of_a_table_decides_which_keys_there_are() -> None:
    names = [one.name for one in forms()["[[camera]] number 1"].fields]
    assert "rate_hz" in names
    assert "type" not in names
    assert [one.name for one in forms()["[engine]"].fields] == ["labels"]


def test_tables_that_are_not_there_are_named() -> None:
    assert "encoder" in forms()["[line]"].absent
    assert forms()["[verdict]"].named == ("rules",)
    assert "[recipe.coil-a]" in forms()


def test_no_two_fields_have_one_id() -> None:
    ids = [one.id for form in forms().values() for one in form.fields]
    assert len(ids) == len(set(ids)) > 80
