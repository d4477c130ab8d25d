import pytest

from station.ledger import Ledger, LedgerError


def test_balances_when_each_announced_frame_is_settled_once() -> None:
    ledger = Ledger(["top"])
    assert list(ledger.announce("top", 3)) == [1, 2, 3]
    ledger.settle("top", 1, "accept", "", late=False)
    ledger.settle("top", 2, "reject", "scratches", late=True)
    assert not ledger.balanced
    ledger.settle("top", 3, "invalid", "lost", late=False)
    assert ledger.balanced
    assert ledger.total() == {"announced": 3, "inspected": 2, "invalid": {"lost": 1}}
    assert ledger.accounts["top"].late == 1


@pytest.mark.parametrize("sequence", [0, 2, 3], ids=["again", "skipped", "never announced"])
def test_refuses_a_frame_that_is_not_due(sequence: int) -> None:
    ledger = Ledger(["top"])
    ledger.announce("top", 2)
    with pytest.raises(LedgerError, match=f"frame {sequence} was settled where 1 was due"):
        ledger.settle("top", sequence, "accept", "", late=False)


def test_refuses_what_was_never_announced() -> None:
    with pytest.raises(LedgerError, match="0 announced"):
        Ledger(["top"]).settle("top", 1, "accept", "", late=False)


def test_grants_no_more_than_the_limit_over_all_cameras() -> None:
    ledger = Ledger(["a", "b"], max_frames=5)
    assert len(ledger.announce("a", 3)) == 3
    assert not ledger.full
    assert list(ledger.announce("b", 10)) == [1, 2]
    assert ledger.full
    assert not ledger.announce("a")
    assert ledger.announced == 5
