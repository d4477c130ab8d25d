"""The live page, its stream of updates, and the pictures that these tell of. Event loop."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from station.clock import HostClock
from station.console.live.watch import LiveLine
from station.console.web import Person, Role, page, require, stream

__all__ = ["picture", "router", "show", "updates"]

router = APIRouter(prefix="/live")

Viewer = Annotated[Person, Depends(require(Role.VIEWER))]


def _line(request: Request) -> LiveLine:
    line: LiveLine = request.app.state.live
    return line


@router.get("")
def show(request: Request, person: Viewer) -> Response:
    """Show the page."""
    return page(request, "live.html", person, texts=["live."], line=_line(request))


@router.get("/updates")
async def updates(request: Request, person: Viewer) -> StreamingResponse:
    """Stream the state of the line."""
    return stream(request, _line(request).updates())


@router.get("/picture/{camera}/{version}")
async def picture(request: Request, person: Viewer, camera: str, version: str) -> Response:
    """Return a picture that an update told of; `X-Age-Ms` is its age now, without the way to the browser."""
    found = _line(request).pictures.find(camera, version)
    if found is None:
        raise HTTPException(404, "this picture is gone: newer ones have come")
    age_ms = found.age_ms(HostClock().tick_ns())
    return Response(found.jpeg, media_type="image/jpeg", headers={"X-Age-Ms": f"{age_ms:.1f}"})
