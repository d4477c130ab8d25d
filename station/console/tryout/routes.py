"""The page "Try a picture" and what it asks. FastAPI's threads; a request brings one picture, and none is kept."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from shadowline.errors import ConfigError, JudgeBusy, JudgeGone, PictureError
from station.config import Config
from station.config_file import load
from station.console.tryout.choices import choices_of, pick
from station.console.tryout.header import MOST_BYTES, read_header
from station.console.tryout.inbox import Inbox
from station.console.tryout.judge import PictureJudge
from station.console.tryout.messages import Judged, Reply, Sorry, Task
from station.console.tryout.snapshots import Source, take_snapshot
from station.console.web import Console, Person, Role, console_of, page, require

__all__ = ["TryService", "open_try", "router"]

router = APIRouter(prefix="/try")

_MOST_CHOICES: Final = 2
_MOST_FIELDS: Final = 8
_LONGEST_NAME: Final = 120

Operator = Annotated[Person, Depends(require(Role.OPERATOR))]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TryService:
    """What lives as long as the console."""

    judge: PictureJudge
    inbox: Inbox


@dataclass(frozen=True, slots=True)
class _Upload:
    """One picture file that came with a request, and by what it is to be judged."""

    name: str
    content: bytes
    choices: tuple[str, ...]
    camera: str


@contextmanager
def open_try(console: Console) -> Iterator[TryService]:
    """Yield the service; its process is started with the first picture and ended with the block."""
    with PictureJudge(console.config_file) as judge:
        yield TryService(judge, Inbox(console.database))


async def _take_upload(request: Request, person: Operator) -> AsyncIterator[_Upload]:
    """Yield the picture of a request, which was let in before anything of it is read."""
    async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=4096) as form:
        file = form.get("picture")
        if not isinstance(file, UploadFile):
            raise HTTPException(422, "there is no picture in it")
        content = await file.read(MOST_BYTES + 1)
        chosen = tuple(str(one) for one in form.getlist("choice"))[: _MOST_CHOICES + 1]
        yield _Upload(_printable(file.filename or ""), content, chosen, str(form.get("camera", "")))


@router.get("")
def _show(request: Request, person: Operator) -> HTMLResponse:
    """Show the page."""
    service: TryService = request.app.state.tryout
    service.judge.begin()
    config = _config(console_of(request))
    cameras = [camera.name for camera in config.camera]
    choices = choices_of(config)
    return page(request, "try.html", person, texts=["try."], choices=choices, cameras=cameras)


@router.post("/judge")
async def _judge_upload(request: Request, upload: Annotated[_Upload, Depends(_take_upload)]) -> Response:
    """Return what one or two choices make of a picture."""
    replies = await run_in_threadpool(_judge, request, upload, False)
    return _json({"name": upload.name, "replies": replies})


@router.post("/snapshot")
def _snapshot(request: Request, person: Operator, camera: str, source: Source) -> Response:
    """Return the newest picture of a camera, to be judged like a file that somebody has."""
    taken = _told(lambda: take_snapshot(_config(console_of(request)), camera, source))
    return _json({"name": taken.name, "camera": taken.camera, "picture": taken.content})


@router.post("/review")
async def _review(request: Request, person: Operator, upload: Annotated[_Upload, Depends(_take_upload)]) -> Response:
    """Put a picture where the review finds it, with what the first choice makes of it."""
    number = await run_in_threadpool(_send_to_review, request, person, upload)
    return _json({"number": number})


def _send_to_review(request: Request, person: Person, upload: _Upload) -> int:
    first = _judge(request, upload, True)[0]
    if isinstance(first, Sorry):
        raise HTTPException(422, first.error)
    service: TryService = request.app.state.tryout
    number = _told(lambda: service.inbox.put(upload.name, person.name, first.png, _about(first, upload.camera)))
    console_of(request).audit.write(person, "try.review", upload.name, f"number {number}")
    return number


def _judge(request: Request, upload: _Upload, whole: bool) -> list[Reply]:
    """Return a reply a choice. Raises `HTTPException` for a picture that is none, or that can't be judged now."""
    service: TryService = request.app.state.tryout
    config = load(console_of(request).config_file)
    if not 1 <= len(upload.choices) <= _MOST_CHOICES:
        raise HTTPException(422, f"name one or {_MOST_CHOICES} models to judge by")

    def ask() -> list[Reply]:
        read_header(upload.content)
        camera = upload.camera if upload.camera in {one.name for one in config.camera} else ""
        return service.judge.judge(Task(pick(choices_of(config), upload.choices), camera, whole), upload.content)

    return _told(ask)


def _told(action: Callable[[], T]) -> T:
    """Return what `action` does; what it refuses becomes an answer with the status that fits."""
    try:
        return action()
    except JudgeBusy as fault:
        raise HTTPException(429, str(fault), {"Retry-After": "2"}) from None
    except JudgeGone as fault:
        raise HTTPException(503, str(fault)) from None
    except PictureError as fault:
        raise HTTPException(422, str(fault)) from None


def _config(console: Console) -> Config:
    """Return the configuration as the file has it now, else as it was at the start."""
    try:
        return load(console.config_file)
    except ConfigError:
        return console.config


def _about(judged: Judged, camera: str) -> dict[str, Any]:
    """Return what is kept beside a picture that goes to review."""
    return {
        "camera": camera,
        "model": judged.model,
        "verdict": judged.verdict,
        "reason": judged.reason,
        "size_px": [judged.width_px, judged.height_px],
        "regions": [
            {
                "label": one.label,
                "confidence": one.confidence,
                "novelty": one.novelty,
                "box_px": list(one.box_px),
            }
            for one in judged.regions
        ],
    }


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _printable(name: str) -> str:
    """Return the last part of a file's name, for people; nothing is ever opened by it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:_LONGEST_NAME] or "picture"
