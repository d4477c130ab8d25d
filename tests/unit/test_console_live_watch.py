import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from station.archive.live import LiveFolder
from station.client import Peer
from station.console.feed import Feed
from station.console.live.watch import LiveLine, open_live
from station.console.workers import Workers
from station.control_protocol import live_folder
from station.event import encode
from tests.evidence import make_event
from tests.system.lines import make_config


class Rig:
    """What the live page follows, without a console around it."""

    def __init__(self, folder: Path) -> None:
        control = {"endpoint": f"ipc://{folder}/control"}
        config = make_config(folder, {"top": {}}, archive={"folder": str(folder / "archive")}, control=control)
        self.feed = Feed(Peer(config.publish.endpoint))
        self.shown = LiveFolder(live_folder(config))
        self.workers = Workers()
        console: Any = SimpleNamespace(config=config, feed=self.feed, workers=self.workers)
        with open_live(console) as self.line:
            assert isinstance(self.line, LiveLine)

    def put(self, number: int) -> None:
        self.shown.put("top", encode(make_event(number)), b"jpeg")


async def hear(stream: AsyncIterator[bytes]) -> Any:
    told = await anext(stream)
    return json.loads(told.removeprefix(b"event: line\ndata: "))


def test_a_new_picture_is_told_at_once_and_can_be_had(tmp_path: Path) -> None:
    async def follow(rig: Rig) -> str:
        async with aclosing(rig.line.updates()) as stream:
            assert (await hear(stream))["cameras"][0]["picture"] is None
            rig.put(7)
            while (picture := (await hear(stream))["cameras"][0]["picture"]) is None:
                pass
            return str(picture["version"])

    rig = Rig(tmp_path)
    found = rig.line.pictures.find("top", asyncio.run(follow(rig)))
    assert found is not None
    assert (found.event.event, found.jpeg) == (7, b"jpeg")


def test_without_news_the_page_hears_that_the_console_is_there(tmp_path: Path) -> None:
    async def follow(rig: Rig) -> list[Any]:
        async with aclosing(rig.line.updates()) as stream:
            return [await hear(stream) for _ in range(3)]

    first, *others = asyncio.run(follow(Rig(tmp_path)))
    assert others == [first] * 2


def test_verdicts_are_told_when_they_come(tmp_path: Path) -> None:
    async def follow(rig: Rig) -> None:
        async with aclosing(rig.line.updates()) as stream:
            await hear(stream)
            rig.feed.take(make_event(8))
            while not (told := await hear(stream))["ticker"]:
                pass
            assert (told["ticker"][0][0], told["online"]) == (8, True)

    asyncio.run(follow(Rig(tmp_path)))


def test_it_runs_while_somebody_looks_and_all_share_one_encoding(tmp_path: Path) -> None:
    async def follow(rig: Rig) -> None:
        streams = [rig.line.updates() for _ in range(3)]
        first, *others = await asyncio.gather(*(anext(stream) for stream in streams))
        assert all(other is first for other in others)
        for stream in streams:
            assert [task.done() for task in asyncio.all_tasks() - {asyncio.current_task()}] == [False]
            await stream.aclose()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(follow(Rig(tmp_path)))


def test_who_comes_later_is_told_nothing_old(tmp_path: Path) -> None:
    async def follow(rig: Rig) -> None:
        async with aclosing(rig.line.updates()) as stream:
            await hear(stream)
        rig.feed.take(make_event(9))
        async with aclosing(rig.line.updates()) as stream:
            assert (await hear(stream))["ticker"][0][0] == 9

    asyncio.run(follow(Rig(tmp_path)))


def test_what_fails_while_somebody_looks_is_a_fault_of_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(rig: Rig) -> None:
        async with aclosing(rig.line.updates()) as stream:
            await hear(stream)
            monkeypatch.setattr(rig.line.pictures, "look", lambda: 1 / 0)
            while not rig.workers.faults():
                await asyncio.sleep(0)

    rig = Rig(tmp_path)
    asyncio.run(follow(rig))
    assert rig.workers.faults() == ["task live failed: ZeroDivisionError('division by zero')"]
