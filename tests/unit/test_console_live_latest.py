import asyncio

from station.console.live.latest import Latest


def test_each_follower_gets_the_newest_and_nothing_old_first() -> None:
    async def follow() -> list[bytes]:
        latest, heard = Latest(), []
        latest.post(b"old")
        stream = latest.follow()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        assert not waiting.done()
        latest.post(b"1")
        heard.append(await waiting)
        for content in (b"2", b"3"):
            latest.post(content)
        heard.append(await anext(stream))
        await stream.aclose()
        return heard

    assert asyncio.run(follow()) == [b"1", b"3"]


def test_all_followers_get_the_very_same_bytes() -> None:
    async def follow() -> list[bytes]:
        latest = Latest()
        streams = [latest.follow() for _ in range(3)]
        waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await asyncio.sleep(0)
        latest.post(b"an update")
        heard = await asyncio.gather(*waiting)
        for stream in streams:
            await stream.aclose()
        return heard

    first, *others = asyncio.run(follow())
    assert all(other is first for other in others)
