"""Data sets, trainings and models, for engineers: made, followed, compared, swapped in, rolled back. Any thread."""

import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from shadowline.errors import ConfigError, StationError
from station.console.teach.job import Job
from station.console.teach.review_routes import teach_of
from station.console.teach.sets import GROUP_PATTERN, DataSet
from station.console.teach.teach import Teach
from station.console.teach.trainings import Progress
from station.console.web import Person, Role, console_of, control_of, page, require
from station.control_protocol import ModelRequest, ModelStatus, Rollback, Status, Swap, ask

__all__ = ["router"]

router = APIRouter(prefix="/teach")

_Engineer = Annotated[Person, Depends(require(Role.ENGINEER))]
_Teach = Annotated[Teach, Depends(teach_of)]
_Id = Annotated[str, Field(pattern=r"^\d{8}-\d{6}$")]
_RECIPES: Final = Path(__file__).parent / "recipes"
_SANDBOX: Final = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What a report may: show itself. It is a file that a training wrote, from names that people gave."""
_ASK_S: Final = 2.0


class _TrainingBody(BaseModel):
    """What a training is to learn from, and how."""

    model_config = ConfigDict(extra="forbid")

    set: _Id
    recipe: Literal["quick", "thorough", "own"] = "quick"
    base: bool = False


@router.get("/train")
def _train(request: Request, person: _Engineer, teach: _Teach) -> Response:
    """Return the page of data sets, trainings and models."""
    return page(request, "teach_train.html", person, texts=["teach."], start=_known(request, teach))


@router.get("/state")
def _state(request: Request, person: _Engineer, teach: _Teach) -> dict[str, Any]:
    """Return what the page follows: sets, trainings, and how far a swap is."""
    return _known(request, teach)


@router.post("/sets")
def _make_set(request: Request, person: _Engineer, teach: _Teach) -> dict[str, Any]:
    """Make a data set of everything that was decided."""
    made = teach.sets.make(teach.decisions.labelled, person.name)
    _note(request, person, "teach.set", made.id, f"{sum(made.classes.values())} pictures")
    return _set(made)


@router.post("/sets/{number}/delete")
def _delete_set(number: _Id, request: Request, person: _Engineer, teach: _Teach) -> dict[str, Any]:
    """Remove a data set; decisions and trainings stay."""
    teach.sets.delete(number)
    _note(request, person, "teach.set.delete", number)
    return {}


@router.get("/sets/{number}.zip")
def _download_set(number: _Id, person: _Engineer, teach: _Teach) -> Response:
    """Return a data set as a ZIP file."""
    return FileResponse(teach.sets.zip(number), media_type="application/zip", filename=f"reviewed-{number}.zip")


@router.post("/trainings")
def _begin(body: _TrainingBody, request: Request, person: _Engineer, teach: _Teach) -> dict[str, Any]:
    """Begin a training."""
    chosen, pictures = teach.sets.find(body.set)
    job = _job(teach, chosen, body, person)
    begun = teach.trainings.begin(job, pictures, teach.waiting_crops())
    _note(request, person, "teach.train", job.id, f"set {body.set}, {body.recipe}")
    return _training(begun)


@router.post("/trainings/{number}/swap")
def _swap(number: _Id, request: Request, person: _Engineer, teach: _Teach) -> dict[str, Any]:
    """Have the station build and prove a training's model, run it beside the live one, and switch to it."""
    model = teach.trainings.find(number).model
    if not model:
        raise StationError("this training has no model: it was not finished")
    begun = _ask(request, Swap(model))
    _note(request, person, "teach.swap", number, model)
    return _plain(begun)


@router.post("/trainings/{number}/{what}")
def _change_training(
    number: _Id, what: Literal["cancel", "resume", "delete"], request: Request, person: _Engineer, teach: _Teach
) -> dict[str, Any]:
    """Cancel a training, go on with one that was cut off, or remove one that ended."""
    match what:
        case "cancel":
            teach.trainings.cancel(number)
        case "resume":
            teach.trainings.resume(teach.trainings.find(number).job.id)
        case "delete":
            _refuse_used(teach, number)
            teach.trainings.delete(number)
    _note(request, person, f"teach.train.{what}", number)
    return {}


@router.get("/trainings/{number}/report")
def _report(number: _Id, person: _Engineer, teach: _Teach) -> Response:
    """Return a training's report, which can run no script and reach nothing."""
    return HTMLResponse(teach.trainings.report(number), headers={"Content-Security-Policy": _SANDBOX})


@router.get("/trainings/{number}/pareto")
def _pareto(number: _Id, person: _Engineer, teach: _Teach) -> Response:
    """Return the plot of accuracy against time of the new model and the live one."""
    return Response(teach.trainings.pareto(number), media_type="image/png")


@router.get("/trainings/{number}/log")
def _log(number: _Id, person: _Engineer, teach: _Teach) -> Response:
    """Return the end of what a training printed."""
    return PlainTextResponse(teach.trainings.log(number))


@router.post("/rollback")
def _roll_back(request: Request, person: _Engineer) -> dict[str, Any]:
    """Have the station go back to the model before."""
    begun = _ask(request, Rollback())
    _note(request, person, "teach.rollback", begun.previous or "")
    return _plain(begun)


def _job(teach: Teach, chosen: DataSet, body: _TrainingBody, person: Person) -> Job:
    config = teach.console.config.console.teach
    if body.base and config.base_data is None:
        raise ConfigError("[console.teach] base_data is not set: there are no other pictures to learn from")
    if body.recipe == "own" and config.recipe is None:
        raise ConfigError("[console.teach] recipe is not set: choose another")
    recipe = config.recipe if body.recipe == "own" and config.recipe else _RECIPES / f"{body.recipe}.toml"
    title, live = teach.live_model()
    return Job(
        id=time.strftime("%Y%m%d-%H%M%S", time.gmtime()),
        set=chosen.id,
        by=person.name,
        begun_ns=time.time_ns(),
        recipe_name=body.recipe,
        recipe=str(recipe),
        base=str(config.base_data) if body.base else "",
        live=str(live or ""),
        live_title=title,
        threads=config.threads,
        group_pattern=GROUP_PATTERN,
    )


def _refuse_used(teach: Teach, number: str) -> None:
    """Raise `StationError` where the live model is this training's, or the one of the next start."""
    model = teach.trainings.find(number).model
    if str(teach.live_model()[1]) == model:
        raise StationError("the station runs this training's model: swap in another one first")
    if model in map(str, teach.kept_models()):
        raise StationError("the configuration names this training's model: name another one in Settings first")


def _known(request: Request, teach: Teach) -> dict[str, Any]:
    config = teach.console.config.console.teach
    return {
        "counts": teach.decisions.counts(),
        "sets": [_set(one) for one in teach.sets.all()],
        "trainings": [_training(one) for one in teach.trainings.all()],
        "model": _model(request),
        "keeping": _keeping(teach),
        "has_base": config.base_data is not None,
        "has_recipe": config.recipe is not None,
    }


def _model(request: Request) -> dict[str, Any]:
    """Return which model is live and how far a swap is, or why that is not known."""
    try:
        return _plain(_ask(request, Status()))
    except StationError as fault:
        return {"error": str(fault)}


def _keeping(teach: Teach) -> dict[str, str]:
    """Return what is to be written into the configuration to keep the live model over restarts."""
    try:
        return teach.keeping()
    except ConfigError:  # Settings tells why it is none
        return {}


def _ask(request: Request, wanted: ModelRequest) -> ModelStatus:
    endpoint, keys = control_of(request)
    return ask(endpoint, wanted, _ASK_S, keys)


def _set(one: DataSet) -> dict[str, Any]:
    return {"zip": f"/teach/sets/{one.id}.zip"} | _plain(one)


def _training(one: Progress) -> dict[str, Any]:
    return _plain(one)


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _note(request: Request, person: Person, action: str, subject: str, detail: str = "") -> None:
    console_of(request).audit.write(person, action, subject, detail)
