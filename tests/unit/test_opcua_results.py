"""The ring of results."""

from station.gateways.opcua.results import Result, Results
from station.gateways.opcua.vision import Job
from tests.journal_double import inspection


def _result(event: int, job: str = "a") -> Result:
    return Result(inspection(event), Job(job), False)


def test_the_oldest_give_way() -> None:
    results = Results(3)
    for event in range(1, 6):
        results.keep(_result(event))
    assert len(results) == 3
    assert results.get("run1-2") is None
    assert results.get("run1-3") == _result(3)


def test_pages_of_what_is_wanted() -> None:
    results = Results(100)
    for event in range(1, 11):
        results.keep(_result(event, "ab"[event % 2]))
    found, complete = results.find(lambda one: one.job.id == "b", 1, 3)
    assert [one.event.event for one in found] == [3, 5, 7]
    assert not complete
    found, complete = results.find(lambda one: one.job.id == "b", 4, 3)
    assert [one.event.event for one in found] == [9]
    assert complete


def test_the_same_result_is_kept_once() -> None:
    results = Results(10)
    results.keep(_result(1))
    results.keep(_result(1))
    assert len(results) == 1
