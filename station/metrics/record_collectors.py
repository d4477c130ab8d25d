"""What is read at a scrape of the results' way out: heartbeat, journal, archive, disk, and who comes for them.

The metrics thread collects; nothing here waits for another thread.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from station.archive.archive import Archive
from station.event import Heartbeat, JournalRecord, ServiceState
from station.journal.server import Replay
from station.journal.writer import Journal
from station.security.gate import Gate

__all__ = ["ArchiveCollector", "BeatCollector", "DiskCollector", "GateCollector", "JournalCollector"]


class BeatCollector(Collector):
    """Reads the last heartbeat at each scrape."""

    def __init__(self, beat: Callable[[], Heartbeat | None]) -> None:
        self._beat = beat

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        if (beat := self._beat()) is None:
            return
        yield GaugeMetricFamily("station_last_event", "Number of the newest message.", beat.last_event)
        dropped = CounterMetricFamily(
            "station_messages_dropped", "Messages that could not be handed on.", labels=["sink", "reason"]
        )
        for what, count in ({"outbox: full": 0} | beat.dropped).items():
            sink, _, reason = what.partition(": ")
            dropped.add_metric([sink, reason], count)
        yield dropped
        if beat.journal is not None:
            yield from self._journal(beat.journal)

    def _journal(self, journal: JournalRecord) -> Iterator[GaugeMetricFamily]:
        state = GaugeMetricFamily("station_journal_state", "1 for the state it is in.", labels=["state"])
        for name in get_args(ServiceState):
            state.add_metric([name], journal.state == name)
        yield state
        yield GaugeMetricFamily("station_journal_waiting_messages", "Not yet on disk.", journal.waiting)
        yield GaugeMetricFamily("station_journal_first_event", "Oldest message that is kept.", journal.first)
        yield GaugeMetricFamily("station_journal_last_event", "Newest message on disk.", journal.last)


class JournalCollector(Collector):
    """Reads what the heartbeat does not say of the journal at each scrape."""

    def __init__(self, journal: Journal, replay: Replay) -> None:
        self._journal = journal
        self._replay = replay

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield GaugeMetricFamily("station_journal_bytes", "Messages on disk.", self._journal.used_bytes)
        replies = CounterMetricFamily("station_replay_replies", "Answers to consumers.", labels=["reply"])
        for reply in ("page", "latest", "cursor", "refused"):
            replies.add_metric([reply], self._replay.replies[reply])
        yield replies


class DiskCollector(Collector):
    """Asks at each scrape how much room the folders have that results are kept in."""

    def __init__(self, folders: Mapping[str, Path | None]) -> None:
        """`folders` by what they hold; those that are None are not used."""
        self._folders = {name: path for name, path in folders.items() if path is not None}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        free = GaugeMetricFamily("station_disk_free_bytes", "Room for this user.", labels=["folder"])
        size = GaugeMetricFamily("station_disk_size_bytes", "Size of its file system.", labels=["folder"])
        for name, path in self._folders.items():
            try:
                system = os.statvfs(path)
            except OSError:  # the journal's and the archive's own states tell of it
                continue
            free.add_metric([name], system.f_bavail * system.f_frsize)
            size.add_metric([name], system.f_blocks * system.f_frsize)
        yield from (free, size)


class ArchiveCollector(Collector):
    """Reads the archive's figures at each scrape."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        figures = self._archive.figures()
        state = GaugeMetricFamily("station_archive_state", "1 for the state it is in.", labels=["state"])
        for name in get_args(ServiceState):
            state.add_metric([name], figures.state == name)
        dropped = CounterMetricFamily(
            "station_archive_dropped_frames", "Frames not or only in part kept, by why.", labels=["reason"]
        )
        for reason, count in ({"busy": 0, "disk": 0, "failed": 0} | figures.dropped).items():
            dropped.add_metric([reason], count)
        kept = CounterMetricFamily("station_archive_kept_frames", "Frames of which all was kept.", figures.kept)
        yield from (state, dropped, kept)
        yield GaugeMetricFamily("station_archive_bytes", "What all that is kept takes of the disk.", figures.bytes)


class GateCollector(Collector):
    """Reads at each scrape who came to the sockets."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        peers = CounterMetricFamily(
            "station_gate_peers", "Connections that came, were let in and ended.", labels=["socket", "event"]
        )
        refused = CounterMetricFamily(
            "station_gate_refused", "Connections and requests not let through.", labels=["socket", "reason"]
        )
        connected = GaugeMetricFamily("station_gate_connections", "Connections by TCP.", labels=["socket"])
        plain = GaugeMetricFamily(
            "station_gate_plain", "1 where other computers come in without keys.", labels=["socket"]
        )
        for (domain, event), count in sorted(dict(self._gate.tally.connections).items()):
            peers.add_metric([domain, event], count)
        for (domain, reason), count in sorted(dict(self._gate.tally.refused).items()):
            refused.add_metric([domain, reason], count)
        for domain, count in self._gate.connected.items():
            connected.add_metric([domain], count)
            plain.add_metric([domain], domain in self._gate.plain)
        yield from (peers, refused, connected, plain)
