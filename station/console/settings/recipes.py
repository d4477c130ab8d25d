"""The page of the recipes: which there are, and selecting and preparing one. FastAPI's threads."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from station.console.settings.bodies import Body, Words
from station.console.web import Person, Role, console_of, control_of, page, require
from station.control_protocol import Prepare, Recipe, RecipeRequest, Recipes, ask

__all__ = ["router"]

router = APIRouter(prefix="/recipes")

Operator = Annotated[Person, Depends(require(Role.OPERATOR))]


class _Chosen(Body):
    """A recipe by its name."""

    recipe: Annotated[Words, Field(min_length=1, max_length=32)]


@router.get("")
def _show(request: Request, person: Operator) -> HTMLResponse:
    """Show the recipes, and which is active."""
    return page(request, "settings_recipes.html", person, texts=["settings."])


@router.get("/state")
def _state(request: Request, person: Operator) -> Response:
    """Return the recipes as the station has them."""
    return _ask(request, Recipes())


@router.post("/select")
def _select(request: Request, person: Operator, told: _Chosen) -> Response:
    """Let a recipe hold from the next frame on."""
    answer = _ask(request, Recipe(told.recipe))
    console_of(request).audit.write(person, "recipe.select", told.recipe)
    return answer


@router.post("/prepare")
def _prepare(request: Request, person: Operator, told: _Chosen) -> Response:
    """Let a recipe's model be built and proved."""
    answer = _ask(request, Prepare(told.recipe))
    console_of(request).audit.write(person, "recipe.prepare", told.recipe)
    return answer


def _ask(request: Request, asked: RecipeRequest) -> Response:
    endpoint, keys = control_of(request)
    return Response(msgspec.json.encode(ask(endpoint, asked, keys=keys)), media_type="application/json")
