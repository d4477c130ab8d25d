"""The strip map's pages, the bytes that it draws, its reports and exports. FastAPI's threads."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from shadowline.errors import StationError
from station.console.database import Database
from station.console.strip.coils import (
    CoilFigures,
    Way,
    count_labels,
    find_coils,
    read_coil,
    read_spans,
    read_ways,
)
from station.console.strip.defects import as_csv, as_json, read_defect, read_defects
from station.console.strip.pictures import find_kept
from station.console.strip.service import Report, Strip
from station.console.strip.shift import ShiftReport, make_shift, shift_table
from station.console.strip.view import Lane, encode, thin
from station.console.strip.wanted import View, Wanted
from station.console.web import Person, Role, console_of, page, require

__all__ = [
    "about_coil",
    "export_defects",
    "export_shift",
    "pareto",
    "repeats_of",
    "report_coil",
    "router",
    "show_coil",
    "show_coils",
    "show_defect",
    "show_picture",
    "show_shift",
    "trend",
    "view_coil",
]

router = APIRouter(prefix="/strip")

_COILS = 50
_TREND = 200
_MOST_SPANS = 2000
_MEDIA = {"html": "text/html", "csv": "text/csv", "json": "application/json"}

_Id = Annotated[int, Path(ge=0, lt=2**63)]
_Time = Annotated[int, Query(ge=0, lt=2**63 // 10**6)]
_Viewer = Annotated[Person, Depends(require(Role.VIEWER))]


def _strip(request: Request) -> Strip:
    strip: Strip = request.app.state.strip
    return strip


def _database(request: Request) -> Database:
    return console_of(request).database


def _coil(request: Request, id: _Id) -> CoilFigures:
    """Return the coil of that number."""
    with _database(request).read() as db:
        coil = read_coil(db, id)
    if coil is None:
        raise HTTPException(404, "there is no such coil: it may be too old to be kept")
    return coil


_Coil = Annotated[CoilFigures, Depends(_coil)]


@router.get("")
def show_coils(
    request: Request,
    person: _Viewer,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    search: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show the newest coils."""
    with _database(request).read() as db:
        coils = find_coils(db, _COILS + 1, before, search)
    older = coils[_COILS - 1].id if len(coils) > _COILS else None
    trouble = _strip(request).trouble
    found = {"coils": coils[:_COILS], "older": older, "trouble": trouble}
    return page(request, "strip.html", person, texts=["strip."], search=search, found=found)


@router.get("/trend")
def trend(request: Request, person: _Viewer, search: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Return the figures of the last coils and their defects by class, the oldest first."""
    with _database(request).read() as db:
        coils = find_coils(db, _TREND, search=search)[::-1]
        labels = count_labels(db, [coil.id for coil in coils])
    found = [_told(coil) | {"labels": labels.get(coil.id, {})} for coil in coils]
    return _json(found)


@router.get("/shift")
def show_shift(
    request: Request, person: _Viewer, begin_ms: _Time | None = None, end_ms: _Time | None = None
) -> Response:
    """Show the report of a stretch of time, or ask for one."""
    report = None if begin_ms is None or end_ms is None else _shift(request, begin_ms, end_ms)
    times = {"begin_ms": begin_ms, "end_ms": end_ms}
    return page(request, "strip_shift.html", person, texts=["strip."], report=report, times=times)


@router.get("/shift.{kind}")
def export_shift(
    request: Request, person: _Viewer, kind: Literal["csv", "json"], begin_ms: _Time, end_ms: _Time
) -> Response:
    """Return the report of a stretch of time as a file."""
    report = _shift(request, begin_ms, end_ms)
    content = shift_table(report).encode() if kind == "csv" else msgspec.json.encode(report)
    return Response(content, media_type=_MEDIA[kind], headers=_as_file(f"shift-{report.first[:16]}.{kind}"))


@router.get("/coils/{id}")
def show_coil(request: Request, person: _Viewer, coil: _Coil) -> Response:
    """Show a coil's map."""
    return page(request, "strip_coil.html", person, texts=["strip.", "base."], coil=coil)


@router.get("/coils/{id}/about")
def about_coil(request: Request, person: _Viewer, coil: _Coil) -> Response:
    """Return a coil's figures, cameras, classes and the longest stretches that were not inspected."""
    with _database(request).read() as db:
        ways = read_ways(db, [coil.id]).get(coil.id, [])
        labels = count_labels(db, [coil.id]).get(coil.id, {})
        numbers = dict(db.execute("SELECT name, id FROM strip_names").fetchall())
        spans = read_spans(db, coil.id, coil.begin, coil.end)
    spans.sort(key=lambda span: span.begin - span.end)
    counts = [{"id": numbers[name], "name": name, "defects": count} for name, count in labels.items()]
    told = {"ways": ways, "labels": counts, "spans": spans[:_MOST_SPANS], "stretches": len(spans)}
    return _json(_told(coil) | told | {"trouble": _strip(request).trouble})


@router.get("/coils/{id}/view")
def view_coil(request: Request, person: _Viewer, coil: _Coil, view: Annotated[View, Query()]) -> Response:
    """Return what is to be drawn of a stretch, as bytes."""
    columns = _strip(request).columns.of(coil.id)
    with _database(request).read() as db:
        ways = read_ways(db, [coil.id]).get(coil.id, [])
        spans = read_spans(db, coil.id, view.begin, view.end, nearer_than=(view.end - view.begin) / view.width)
    lanes = _lanes(ways)
    thinned = thin(columns, view, lanes)
    missed = [(span.camera, span.begin, span.end, span.reason) for span in spans]
    content = encode(columns, thinned, view, lanes, last_event=columns.last_event, spans=missed)
    return Response(content, media_type="application/octet-stream")


@router.get("/coils/{id}/repeats")
def repeats_of(request: Request, person: _Viewer, coil: _Coil) -> Response:
    """Return what comes again with every turn of a roll, and up to which event; it may take seconds."""
    searched = _strip(request).repeats(coil)
    return _json({"found": searched.found, "last_event": searched.last_event})


@router.get("/coils/{id}/pareto")
def pareto(request: Request, person: _Viewer, coil: _Coil, wanted: Annotated[Wanted, Query()]) -> Response:
    """Return how many of the defects that fit are of each class; each defect once."""
    columns = _strip(request).columns.of(coil.id)
    labels = columns.label[wanted.fits(columns) & columns.counts]
    with _database(request).read() as db:
        names = dict(db.execute("SELECT id, name FROM strip_names").fetchall())
    counts = {names[label]: int((labels == label).sum()) for label in set(labels.tolist())}
    return _json(dict(sorted(counts.items(), key=lambda item: -item[1])))


@router.get("/coils/{id}/defects.{kind}")
def export_defects(
    request: Request, person: _Viewer, coil: _Coil, kind: Literal["csv", "json"], wanted: Annotated[Wanted, Query()]
) -> Response:
    """Return the defects that fit as a file."""
    defects = read_defects(_database(request).read, coil.id, wanted)
    lines = as_csv(defects) if kind == "csv" else as_json(defects)
    return StreamingResponse(lines, media_type=_MEDIA[kind], headers=_as_file(f"defects-{coil.name}.{kind}"))


@router.get("/coils/{id}/report.{kind}")
def report_coil(request: Request, person: _Viewer, coil: _Coil, kind: Report) -> Response:
    """Return a file of the coil's report; it may take seconds."""
    content = _strip(request).report(coil, kind)
    return Response(content, media_type=_MEDIA[kind], headers=_as_file(f"coil-{coil.name}.{kind}"))


@router.get("/coils/{id}/defects/{event}/{number}")
def show_defect(request: Request, person: _Viewer, id: _Id, event: _Id, number: _Id) -> Response:
    """Return all numbers of a defect, and which pictures of it are kept, or why none is."""
    defect = _defect(request, id, event, number)
    try:
        kept = find_kept(console_of(request).config.archive.folder, defect)
    except StationError as fault:
        return _json(defect | {"pictures": {}, "trouble": str(fault)})
    pictures = {} if kept is None else {kind: kept.picture(kind) for kind in ("crop", "frame")}
    detail = "" if kept is None else kept.evidence.event.reason
    return _json(defect | {"pictures": pictures, "reason": detail, "trouble": ""})


@router.get("/coils/{id}/defects/{event}/{number}/{kind}")
def show_picture(
    request: Request, person: _Viewer, id: _Id, event: _Id, number: _Id, kind: Literal["crop", "frame"]
) -> Response:
    """Return the picture of a defect, or of its whole frame."""
    kept = find_kept(console_of(request).config.archive.folder, _defect(request, id, event, number))
    if kept is None or kept.picture(kind) is None:
        raise HTTPException(404, "the archive has not kept this picture")
    content, media_type = kept.read(kind)
    return Response(content, media_type=media_type, headers={"Cache-Control": "private, max-age=600"})


def _defect(request: Request, id: int, event: int, number: int) -> dict[str, Any]:
    with _database(request).read() as db:
        defect = read_defect(db, id, event, number)
    if defect is None:
        raise HTTPException(404, "there is no such defect: its coil may be too old to be kept")
    return defect


def _shift(request: Request, begin_ms: int, end_ms: int) -> ShiftReport:
    if end_ms <= begin_ms:
        raise HTTPException(422, "the end must lie behind the begin")
    with _database(request).read() as db:
        return make_shift(db, begin_ms * 10**6, end_ms * 10**6)


def _lanes(ways: list[Way]) -> list[Lane]:
    return [Lane(way.camera, way.width_px) for way in ways]


def _told(coil: CoilFigures) -> dict[str, Any]:
    return {**msgspec.to_builtins(coil), "reject_share": coil.reject_share}


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _as_file(name: str) -> dict[str, str]:
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)
    return {"Content-Disposition": f'attachment; filename="{safe}"'}
