"""Pages and requests of Teach: reviewing for operators, data sets, trainings and models for engineers. Any thread."""

from fastapi import APIRouter

from station.console.teach import review_routes, training_routes

__all__ = ["router"]

router = APIRouter()
router.include_router(review_routes.router)
router.include_router(training_routes.router)
