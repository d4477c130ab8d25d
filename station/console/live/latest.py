"""The newest update, encoded once, for all browsers: a slow one misses some and holds up nobody. Event loop."""

import asyncio
from collections.abc import AsyncGenerator

__all__ = ["Latest"]


class Latest:
    """What was posted last."""

    def __init__(self) -> None:
        self._count = 0
        self._content = b""
        self._news = asyncio.Event()

    def post(self, content: bytes) -> None:
        """Let `content` be the newest."""
        self._count += 1
        self._content = content
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Yield what is posted from now on, each time the newest: nothing old is ever the first."""
        seen = self._count
        while True:
            if self._count == seen:
                await self._news.wait()
            seen = self._count
            yield self._content
