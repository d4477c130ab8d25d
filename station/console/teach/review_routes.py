"""The review page and its requests: the next pictures, their pixels, decisions and what takes them back. Any thread."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.model import UNKNOWN
from shadowline.errors import StationError
from station.archive.evidence import Picture
from station.archive.export import MANIFEST, NOT_A_DEFECT, read_picture
from station.console.teach.decisions import Decided
from station.console.teach.item import Box, Item, Reason
from station.console.teach.sets import ABOUT
from station.console.teach.teach import Teach
from station.console.web import Person, Role, page, require

__all__ = ["router", "teach_of"]

router = APIRouter(prefix="/teach")

_Operator = Annotated[Person, Depends(require(Role.OPERATOR))]
_ItemId = Annotated[str, Field(pattern=r"^[0-9a-z.-]{1,60}$")]
_Number = Annotated[str, Field(pattern=r"^[0-9a-f-]{8,64}$")]
_Pixel = Annotated[int, Field(ge=0, le=1_000_000)]
_LABEL: Final = re.compile(r"[^./\\%\x00-\x1f\x7f\s]([^/\\%\x00-\x1f\x7f]{0,62}[^/\\%\x00-\x1f\x7f\s])?")
_RESERVED: Final = (UNKNOWN, NOT_A_DEFECT, MANIFEST, ABOUT)
_AHEAD: Final = 8
_HISTORY: Final = 200


class _DecisionBody(BaseModel):
    """A decision as the browser sends it; `id` is made there, so that sending it again counts once."""

    model_config = ConfigDict(extra="forbid")

    id: _Number
    item: _ItemId
    do: Literal["label", "not_a_defect", "skip", "done"]
    label: Annotated[str, Field(max_length=64)] = ""
    box: tuple[_Pixel, _Pixel, _Pixel, _Pixel] | None = None

    @model_validator(mode="after")
    def _names_a_class(self) -> "_DecisionBody":
        known = _LABEL.fullmatch(self.label) and self.label.isprintable() and self.label not in _RESERVED
        if self.do == "label" and not known:
            raise ValueError(f"{self.label!r} can't be a class: name it by letters, digits, spaces and -_.")
        return self


class _UndoBody(BaseModel):
    """What takes a decision back."""

    model_config = ConfigDict(extra="forbid")

    id: _Number
    of: _Number


def teach_of(request: Request) -> Teach:
    """Return what this page stands on."""
    teach: Teach = request.app.state.teach
    return teach


_Teach = Annotated[Teach, Depends(teach_of)]


@router.get("")
def _review(request: Request, person: _Operator, teach: _Teach) -> Response:
    """Return the page on which pictures are reviewed."""
    start = _turn(teach, person, _AHEAD, [], ()) | {
        "mine": [_told(one) for one in teach.decisions.last(50, person.name)],
    }
    return page(request, "teach.html", person, texts=["teach."], start=start)


@router.get("/decisions")
def _decisions(request: Request, person: _Operator, teach: _Teach) -> Response:
    """Return the page of what was decided last, by whom and when."""
    rows = [_told(one) for one in teach.decisions.last(_HISTORY)]
    return page(request, "teach_decisions.html", person, rows=rows, counts=teach.decisions.counts())


@router.get("/next")
def _next_items(
    person: _Operator,
    teach: _Teach,
    known: Annotated[list[_ItemId], Query(max_length=64)] = [],  # noqa: B006 (FastAPI copies it)
    reason: Annotated[list[Reason], Query(max_length=8)] = [],  # noqa: B006
    count: Annotated[int, Query(ge=1, le=32)] = _AHEAD,
) -> dict[str, Any]:
    """Return the next pictures that this person does not have yet, and how many wait."""
    return _turn(teach, person, count, known, tuple(reason))


@router.get("/items/{item}")
def _one_item(item: _ItemId, person: _Operator, teach: _Teach) -> dict[str, Any]:
    """Return one picture, decided or not, with everything that was decided on it."""
    return _shown(_find(teach, item)) | {"history": [_told(one) for one in teach.decisions.of_item(item)]}


@router.get("/items/{item}/crop")
def _crop(item: _ItemId, person: _Operator, teach: _Teach) -> Response:
    """Return the region's picture, or the one that somebody sent."""
    found = _find(teach, item)
    if found.reason == "sent":
        return _picture(teach.queue.picture(found), "image/png")
    return _evidence(teach, found, found.crop, "image/png")


@router.get("/items/{item}/frame")
def _frame(item: _ItemId, person: _Operator, teach: _Teach) -> Response:
    """Return the whole frame around a region."""
    found = _find(teach, item)
    return _evidence(teach, found, found.frame, "image/jpeg")


@router.post("/decide")
def _decide(body: _DecisionBody, person: _Operator, teach: _Teach) -> dict[str, Any]:
    """Keep a decision; one that came before changes nothing."""
    label = NOT_A_DEFECT if body.do == "not_a_defect" else body.label if body.do == "label" else ""
    known = teach.decisions.find(body.id)
    if known is None:
        _find(teach, body.item)
    return _told(known or teach.decide(body.id, body.item, person.name, body.do, label, body.box))


@router.post("/undo")
def _undo(body: _UndoBody, person: _Operator, teach: _Teach) -> dict[str, Any]:
    """Take back a decision of this person."""
    return _told(teach.decisions.find(body.id) or teach.decisions.undo(body.id, body.of, person.name))


def _turn(teach: Teach, person: Person, count: int, known: list[str], reasons: tuple[Reason, ...]) -> dict[str, Any]:
    waiting = teach.queue.waiting()
    return {
        "items": [_shown(item) for item in teach.queue.take(person.name, count, known, reasons)],
        "waiting": Counter(item.reason for item in waiting),
        "today": teach.decisions.made_today(person.name),
        "why_none": teach.queue.why_none,
        "labels": teach.labels(),
    }


def _find(teach: Teach, number: str) -> Item:
    try:
        return teach.queue.find(number)
    except StationError as fault:
        raise HTTPException(410, str(fault)) from None


def _evidence(teach: Teach, item: Item, picture: Picture | None, kind: str) -> Response:
    if picture is None:
        raise HTTPException(404, "no such picture was kept")
    return _picture(read_picture(teach.queue.place(item), picture), kind)


def _picture(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def _shown(item: Item) -> dict[str, Any]:
    """Return an item as the page shows it; boxes are in pixels of the frame."""
    source = item.source
    views: dict[str, dict[str, Any]] = {}
    if item.reason == "sent":
        views["frame"] = {"url": f"/teach/items/{item.id}/crop", "shown": [0, 0, *source.size_px]}
    if item.crop is not None:
        views["crop"] = {"url": f"/teach/items/{item.id}/crop", "shown": item.crop.box_px}
    if item.frame is not None:
        views["frame"] = {"url": f"/teach/items/{item.id}/frame", "shown": item.frame.box_px}
    return {
        "id": item.id,
        "reason": item.reason,
        "label": source.label,
        "confidence": source.confidence,
        "novelty": source.novelty,
        "box": source.region_px,
        "views": views,
        "facts": {
            "camera": source.camera or source.name,
            "coil": source.coil or source.part,
            "verdict": source.verdict,
            "event": source.event or "",
            "when": _when(source.captured_ns),
            "model": source.model,
        },
    }


def _told(decided: Decided) -> dict[str, Any]:
    """Return a decision as pages show it."""
    box: Box | None = decided.box
    return {
        "id": decided.id,
        "item": decided.item,
        "person": decided.person,
        "when": _when(decided.decided_ns),
        "did": decided.did,
        "was": decided.old_label,
        "label": decided.label,
        "box": box,
        "camera": decided.source.camera or decided.source.name,
    }


def _when(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ns else ""
