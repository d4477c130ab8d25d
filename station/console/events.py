"""Whether the station is there: a stream of events that every page follows. Event loop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from station.console.feed import Feed
from station.console.web import Person, Role, console_of, require, stream

__all__ = ["router"]

router = APIRouter()

_TURN_S = 0.2
_BEAT_S = 2.0


@router.get("/events")
async def _events(request: Request, person: Annotated[Person, Depends(require(Role.VIEWER))]) -> StreamingResponse:
    """Stream whether the station is heard, and that the console is there."""
    return stream(request, _follow(console_of(request).feed))


async def _follow(feed: Feed) -> AsyncIterator[bytes]:
    """Yield the state when it changes, and every two seconds."""
    told, told_s = None, 0.0
    while not feed.stopped:
        if feed.online != told or time.monotonic() - told_s > _BEAT_S:
            told, told_s = feed.online, time.monotonic()
            yield b"event: station\ndata: %s\n\n" % json.dumps({"online": told}).encode()
        await asyncio.sleep(_TURN_S)
