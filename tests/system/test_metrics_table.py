"""The table of metrics in the documents is what a station with all its parts shows."""

from tests.metrics_table import PAGE, insert, make_table


def test_the_documents_list_the_metrics_that_there_are() -> None:
    page = PAGE.read_text()
    assert insert(page, make_table()) == page, "run: python -m tests.metrics_table"
