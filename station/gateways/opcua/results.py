"""The last results, for clients that ask for them later. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from station.event import InspectionEvent
from station.gateways.opcua.vision import Job

__all__ = ["Result", "Results"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one picture came to, as the result of a job."""

    event: InspectionEvent
    job: Job
    simulated: bool

    @property
    def id(self) -> str:
        """As in no other result of this station: its run and the number of its message."""
        return f"{self.event.origin.run}-{self.event.event}"


class Results:
    """Keeps the newest `most`; the oldest give way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Result] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, result: Result) -> None:
        """Take a result."""
        self._kept[result.id] = result
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, id: str) -> Result | None:
        """Return the result `id`, where it is still kept."""
        return self._kept.get(id)

    def find(self, wanted: Callable[[Result], bool], start: int, most: int) -> tuple[list[Result], bool]:
        """Return at most `most` of the wanted ones from the `start`-th on, oldest first; and whether these are all."""
        found: Iterator[Result] = (result for result in self._kept.values() if wanted(result))
        page = list(islice(found, start, start + most + 1))
        return page[:most], len(page) <= most
