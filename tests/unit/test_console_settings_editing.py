"""The text of config.toml changed in place: comments stay, faults have their place, and what differs is shown."""

import tomllib
from pathlib import Path

import pytest

from shadowline.errors import ConfigError
from station.config_file import parse
from station.console.settings.editing import Fault, add_table, change, check, diff, faults_of
from station.console.settings.forms import Field, forms_of

FILE = Path("/etc/shadowline/line.toml")
TEXT = """# The line.
[station]
budget_ms = 20.0   # from capture to decision

[[camera]]
name = "top"
type = "simulated"

[verdict]
default = { action = "reject" } # of every label

[verdict.rules.scratches]  # short ones pass
min_area_px = 30
"""


def fields() -> dict[str, Field]:
    values = tomllib.loads(TEXT)
    return {field.where: field for form in forms_of(parse(values, FILE), values) for field in form.fields}


def changed(**written: str) -> str:
    """Return the text with fields, named by the last words of their place, as a person wrote them."""
    known = {field.where.replace(" ", "_").replace(".", "_"): field for field in fields().values()}
    found = [
        (next(of for place, of in known.items() if place.endswith(name)), words) for name, words in written.items()
    ]
    return change(TEXT, found)


def test_a_value_changes_and_its_comment_stays() -> None:
    text = changed(budget_ms="15")
    assert "budget_ms = 15.0   # from capture to decision" in text
    assert check(text, FILE).station.budget_ms == 15.0
    assert diff(TEXT, text)[1:] == [
        *(" # The line.", " [station]"),
        "-budget_ms = 20.0   # from capture to decision",
        "+budget_ms = 15.0   # from capture to decision",
        *(" ", " [[camera]]"),
    ]


@pytest.mark.parametrize(
    ("name", "written", "got"),
    [
        ("number_1_rate_hz", "25", lambda config: config.camera[0].rate_hz == 25.0),
        ("rules_scratches_min_area_px", "", lambda config: config.verdict.rules["scratches"].min_area_px == 0),
        ("confidence_floor", "0.6", lambda config: config.verdict.confidence_floor == 0.6),
        ("label_floors", "{ scratches = 0.9 }", lambda config: config.verdict.label_floors == {"scratches": 0.9}),
        ("[verdict]_default_action", "accept", lambda config: config.verdict.default.action == "accept"),
        ("[archive]_folder", 'a "b" c', lambda config: config.archive.folder == FILE.parent / 'a "b" c'),
        ("lamp_percent", "90", lambda config: config.calibration.health.lamp_percent == 90.0),
        ("[metrics]_enabled", "false", lambda config: not config.metrics.enabled),
    ],
)
def test_values_of_every_kind_and_tables_that_were_not_there(name: str, written: str, got: object) -> None:
    text = changed(**{name: written})
    assert got(check(text, FILE))  # type: ignore[operator]
    assert "# short ones pass" in text


def test_the_first_lines_stay_as_they_were() -> None:
    budget = fields()["[station] budget_ms"]
    assert diff("\n\n" + TEXT, change("\n\n" + TEXT, [(budget, "15")]))[0].startswith("@@ -3,")


def test_taking_out_what_is_not_there_changes_nothing() -> None:
    assert changed(lamp_percent=" ", confidence_floor="") == TEXT


@pytest.mark.parametrize(
    ("name", "written"),
    [("budget_ms", "soon"), ("min_area_px", "1.5"), ("[metrics]_enabled", "maybe"), ("label_floors", "{ a = ")],
)
def test_what_is_no_value_of_its_kind_is_told_at_its_field(name: str, written: str) -> None:
    with pytest.raises(ConfigError, match="is no") as caught:
        changed(**{name: written})
    (fault,) = faults_of(caught.value, FILE, fields())
    assert fault.where.replace(" ", "_").replace(".", "_").endswith(name)


def test_a_table_is_added_by_its_name() -> None:
    config = check(add_table(add_table(TEXT, ("verdict", "rules", "dent")), ("recipe", "coil-a")), FILE)
    assert set(config.verdict.rules) == {"scratches", "dent"}
    assert set(config.recipe) == {"coil-a"}
    with pytest.raises(ConfigError, match="one already"):
        add_table(TEXT, ("verdict", "rules", "scratches"))


@pytest.mark.parametrize("text", ["station = [1]", "[[station]]", "station = 3", "station = 'x'"])
def test_what_is_no_table_in_the_text_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="change it as text"):
        change(text, [(fields()["[station] budget_ms"], "5")])
    with pytest.raises(ConfigError, match="change it as text"):
        add_table(text, ("station", "x"))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (TEXT.replace("20.0", "-1"), [("[station] budget_ms", "greater than 0", None)]),
        (TEXT.replace("min_area_px = 30", "min_area = 30"), [("", "did you mean min_area_px", None)]),
        (TEXT.replace("[verdict]\n", "[verdict\n"), [("", "line 9", 9)]),
        ("", [("", "camera", None)]),
        ("a = " + "[" * 5000, [("", "no TOML", None)]),
    ],
)
def test_faults_have_their_place(text: str, faults: list[tuple[str, str, int | None]]) -> None:
    with pytest.raises(ConfigError) as caught:
        check(text, FILE)
    found = faults_of(caught.value, FILE, fields())
    assert [(one.where, one.line) for one in found] == [(where, line) for where, _, line in faults]
    assert all(words in one.words for one, (_, words, _) in zip(found, faults, strict=True))
    assert all(isinstance(one, Fault) and str(FILE) not in one.words for one in found)
