"""Results in the standard's words, with our defects as their content. Server's thread; after `address_space.build`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from station.event import DefectRecord, InspectionEvent
from station.gateways.opcua.results import Result
from station.gateways.opcua.vision import Job

__all__ = ["components", "external_recipe", "inspection", "internal_recipe", "job_id", "result", "state_of"]

_COMPLETED, _FAILED = 1, 4
_IDS = (
    "MeasId",
    "PartId",
    "ExternalRecipeId",
    "InternalRecipeId",
    "ProductId",
    "ExternalConfigurationId",
    "InternalConfigurationId",
    "JobId",
)


def result(one: Result) -> Any:
    """Return a result, with the inspection and then each defect as its content."""
    event, names = one.event, one.job.names
    made = ua.ResultDataType()
    made.ResultId = ua.ResultIdDataType(Id=one.id)
    made.IsPartial, made.IsSimulated = False, one.simulated
    made.HasTransferableDataOnFile = False
    made.ResultState = state_of(event)
    made.MeasId = ua.MeasIdDataType(Id=names.measurement)
    made.PartId = ua.PartIdDataType(Id=event.part or names.part)
    made.ProductId = ua.ProductIdDataType(Id=names.product)
    made.ExternalRecipeId = external_recipe(names.recipe or event.origin.recipe or "default")
    made.InternalRecipeId = internal_recipe(event.origin.recipe or "default")
    made.ExternalConfigurationId = _configuration(event)
    made.InternalConfigurationId = _configuration(event)
    made.JobId = job_id(one.job)
    made.CreationTime = _time(event.published_ns)
    made.ProcessingTimes = _times(event)
    made.ResultContent = [ua.Variant(inspection(event)), *(ua.Variant(_defect(one)) for one in event.defects)]
    return made


def components(made: Any, handle: ua.Variant) -> list[ua.Variant]:
    """Return a result's parts in the order of GetResultComponentsById, without its `Error`."""
    flag, number, moment = ua.VariantType.Boolean, ua.VariantType.Int32, ua.VariantType.DateTime
    return [
        ua.Variant(bool(made.HasTransferableDataOnFile), flag),
        handle,
        ua.Variant(bool(made.IsPartial), flag),
        ua.Variant(bool(made.IsSimulated), flag),
        ua.Variant(made.ResultState, number),
        *(ua.Variant(getattr(made, name), ua.VariantType.ExtensionObject) for name in _IDS),
        ua.Variant(made.CreationTime, moment),
        ua.Variant(made.ProcessingTimes, ua.VariantType.ExtensionObject),
        ua.Variant(made.ResultContent or [], ua.VariantType.Variant),
    ]


def state_of(event: InspectionEvent) -> int:
    """Return the standard's state of a result: an invalid picture failed, whatever is judged is completed."""
    return _FAILED if event.verdict == "invalid" else _COMPLETED


def job_id(job: Job) -> Any:
    """Return the name of a job."""
    return ua.JobIdDataType(Id=job.id)


def internal_recipe(name: str) -> Any:
    """Return the station's own name of a recipe."""
    return ua.RecipeIdInternalDataType(Id=name)


def external_recipe(name: str) -> Any:
    """Return a client's name of a recipe."""
    return ua.RecipeIdExternalDataType(Id=name)


def inspection(event: InspectionEvent) -> Any:
    """Return what is said of the whole picture."""
    position, size = event.position, event.size_px or (0, 0)
    return ua.InspectionType(
        Camera=event.camera,
        Sequence=event.sequence,
        Event=event.event,
        Verdict=event.verdict,
        Reason=event.reason,
        Late=event.late,
        LatencyMs=event.latency_ms,
        Model=event.origin.model,
        Coil=position.coil if position else "",
        Order=event.job,
        PositionMm=[position.mm] if position else [],
        WidthPx=size[0],
        HeightPx=size[1],
    )


def _defect(one: DefectRecord) -> Any:
    return ua.DefectType(
        Label=one.label,
        Confidence=one.confidence,
        BoxPx=list(one.box_px),
        AreaPx=one.area_px,
        Depth=one.depth,
        Novelty=_known(one.novelty),
        BoxMm=list(one.box_mm or ()),
        AreaMm2=_known(one.area_mm2),
        PositionMm=list(one.position_mm or ()),
        GoesOn=one.goes_on,
        FoundBy=one.found_by,
        Score=one.score,
    )


def _known(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _configuration(event: InspectionEvent) -> Any:
    return ua.ConfigurationIdDataType(Id=event.origin.config)


def _times(event: InspectionEvent) -> Any:
    took = timedelta(milliseconds=event.latency_ms)
    begun = _time(event.captured_ns)
    return ua.ProcessingTimesDataType(
        StartTime=begun,
        EndTime=begun + took,
        AcquisitionDuration=0.0,
        ProcessingDuration=event.latency_ms,
    )


def _time(utc_ns: int) -> datetime:
    return datetime.fromtimestamp(utc_ns / 1e9, UTC)
