"""Which defects are asked for: what a page's filters say, as it comes with a request. Pure."""

from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from station.console.strip.columns import Columns
from station.console.strip.tables import VERDICTS

__all__ = ["View", "Wanted"]

_Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Place = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
_Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Area = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_LEAST_PART: Final = 0.001


class Wanted(BaseModel):
    """What must fit; an empty list and an area of None let all pass. Labels and cameras are those of `strip_names`."""

    model_config = ConfigDict(frozen=True)

    labels: Annotated[list[_Number], Field(max_length=256)] = []
    cameras: Annotated[list[_Number], Field(max_length=256)] = []
    verdicts: Annotated[list[Literal["accept", "reject", "invalid"]], Field(max_length=3)] = []
    least_px: _Area | None = None
    most_px: _Area | None = None

    def fits(self, columns: Columns) -> NDArray[np.bool_]:
        """Return which rows fit."""
        fits = np.ones(len(columns), bool)
        for column, values in (
            (columns.label, self.labels),
            (columns.camera, self.cameras),
            (columns.verdict, [VERDICTS.index(verdict) for verdict in self.verdicts]),
        ):
            if values:
                fits &= np.isin(column, values)
        if self.least_px is not None:
            fits &= columns.area_px >= self.least_px
        if self.most_px is not None:
            fits &= columns.area_px <= self.most_px
        return fits

    def as_sql(self) -> tuple[str, list[Any]]:
        """Return the same as conditions on `strip_defects`, and their values."""
        tests, values = ["1"], list[Any]()
        verdicts = [VERDICTS.index(verdict) for verdict in self.verdicts]
        for column, wanted in (("label", self.labels), ("camera", self.cameras), ("verdict", verdicts)):
            if wanted:
                tests.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values += wanted
        for test, area in (("area_px >= ?", self.least_px), ("area_px <= ?", self.most_px)):
            if area is not None:
                tests.append(test)
                values.append(area)
        return " AND ".join(tests), values


class View(Wanted):
    """A stretch of a coil, and a part of the map across it, on so many pixels."""

    begin: _Place
    end: _Place
    top: _Part = 0.0
    bottom: _Part = 1.0
    """Parts of all cameras' bands, one below the other."""
    width: Annotated[int, Field(ge=16, le=16384)] = 1200
    height: Annotated[int, Field(ge=16, le=4096)] = 400

    @model_validator(mode="after")
    def _has_a_length(self) -> "View":
        if self.end <= self.begin:
            raise ValueError("end must lie behind begin")
        if self.bottom - self.top < _LEAST_PART:
            raise ValueError(f"bottom must lie {_LEAST_PART} below top at least")
        return self
