"""Calibration of a camera: the folder of calibrations and its flat field."""

from calibration.flat_field import FlatField
from calibration.record import Binding, Kind, Record
from calibration.store import CalibrationStore

__all__ = ["Binding", "CalibrationStore", "FlatField", "Kind", "Record"]
