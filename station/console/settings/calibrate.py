"""The page of the calibrations: what each camera uses, how its newest picture is, and the steps. FastAPI's threads."""

import shlex
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from calibration import CalibrationStore, Kind, Record
from shadowline.errors import CalibrationError, PictureError
from station.config import Config
from station.config_file import load
from station.console.settings.bodies import Body, Words
from station.console.settings.picture_figures import figures_of
from station.console.settings.steps import STEPS, Steps
from station.console.tryout.snapshots import Source, take_snapshot
from station.console.web import Person, Role, console_of, page, require

__all__ = ["router"]

router = APIRouter(prefix="/calibration")

Engineer = Annotated[Person, Depends(require(Role.ENGINEER))]


class _Step(Body):
    """A step to begin, of a configured camera."""

    step: Annotated[Words, Field(max_length=32)]
    camera: Annotated[Words, Field(max_length=64)]


@router.get("")
def _show(request: Request, person: Engineer) -> HTMLResponse:
    """Show what each camera uses."""
    config = _config(request)
    steps = _steps(request)
    cameras = [camera.name for camera in config.camera]
    return page(
        *(request, "settings_calibration.html", person),
        texts=["settings."],
        cameras=cameras,
        records=[record for camera in cameras for record in _records(config, camera)],
        commands={
            f"{camera} {step}": shlex.join(["station", *steps.command(step, camera)])
            for camera in cameras
            for step in STEPS
        },
        steps=list(STEPS),
    )


@router.get("/look")
def _look(request: Request, person: Engineer, camera: str, source: Source) -> Response:
    """Return the figures of a camera's newest picture."""
    try:
        taken = take_snapshot(_config(request), camera, source)
        return _json({"name": taken.name, "figures": figures_of(taken.content)})
    except PictureError as fault:
        raise HTTPException(422, str(fault)) from None


@router.get("/step")
def _step_state(request: Request, person: Engineer) -> Response:
    """Return how far the step is."""
    return _json(_steps(request).state())


@router.post("/step")
def _begin(request: Request, person: Engineer, told: _Step) -> Response:
    """Start a step."""
    if told.step not in STEPS or told.camera not in {camera.name for camera in _config(request).camera}:
        raise HTTPException(422, "no such step or camera: load the page again")
    state = _steps(request).begin(told.step, told.camera)
    console_of(request).audit.write(person, "calibrate.begin", told.camera, told.step)
    return _json(state)


@router.post("/stop")
def _stop(request: Request, person: Engineer) -> Response:
    """End the step that runs."""
    return _json(_steps(request).stop())


def _config(request: Request) -> Config:
    return load(console_of(request).config_file)


def _steps(request: Request) -> Steps:
    steps: Steps = request.app.state.settings.steps
    return steps


def _records(config: Config, camera: str) -> Iterator[tuple[str, Kind, Record | None, str]]:
    """Yield camera, kind, the calibration in use and what is wrong with it, of every kind."""
    for kind in get_args(Kind):
        record, fault = None, ""
        try:
            if config.calibration.folder is not None:
                record = CalibrationStore(config.calibration.folder).current(kind, camera)
        except CalibrationError as error:
            fault = str(error)
        yield camera, kind, record, fault


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
