from random import Random

import pytest

from shadowline.errors import ConfigError
from station.archive.selection import Choice, Selection, refuse_strangers
from station.config import ArchiveConfig
from tests.evidence import make_event

CASES = {
    "a reject with all its regions": ({}, "reject", ("scratches", "patches"), Choice(True, (0, 1))),
    "an invalid frame has no regions": ({}, "invalid", (), Choice(True, ())),
    "what passes is not kept": ({"audit_share": 0}, "accept", ("scratches",), None),
    "unknown is kept where it passes": ({"audit_share": 0}, "accept", ("patches", "unknown"), Choice(False, (1,))),
    "so is any label that is named": (
        {"audit_share": 0, "labels": ["patches"]},
        "accept",
        ("patches", "unknown"),
        Choice(False, (0,)),
    ),
    "an audit of all": ({"audit_share": 1}, "accept", ("patches", "scratches"), Choice(False, (0, 1))),
    "a clean frame": ({"audit_share": 1}, "accept", (), None),
    "all frames": ({"frames": "all"}, "accept", (), Choice(True, ())),
    "no frames": ({"frames": "never"}, "reject", ("patches",), Choice(False, (0,))),
    "no frames and no regions": ({"frames": "never"}, "invalid", (), None),
    "the largest 32": ({}, "reject", ("patches",) * 40, Choice(True, tuple(range(32)), 8)),
}


@pytest.mark.parametrize(("settings", "verdict", "labels", "choice"), CASES.values(), ids=CASES)
def test_keeps(settings: dict[str, object], verdict: str, labels: tuple[str, ...], choice: Choice | None) -> None:
    selection = Selection(ArchiveConfig(**settings), Random(0))
    assert selection.choose(make_event(1, labels, verdict)) == choice


def test_the_audit_takes_its_share_of_what_passes() -> None:
    selection = Selection(ArchiveConfig(audit_share=0.1), Random(7))
    chosen = [selection.choose(make_event(number, ("patches",), "accept")) for number in range(10_000)]
    assert 900 < sum(choice is not None for choice in chosen) < 1100


def test_a_label_that_the_model_never_gives_is_refused() -> None:
    refuse_strangers(ArchiveConfig(labels=("unknown", "patches")), ("patches",))
    with pytest.raises(ConfigError, match=r"\[archive\] labels patchs: not a label of the model \(patches\)"):
        refuse_strangers(ArchiveConfig(labels=("patchs",)), ("patches",))
