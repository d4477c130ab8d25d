"""Calibration of a camera: its flat field."""

from calibration.flat_field import FlatField, load_flat_field, save_flat_field

__all__ = ["FlatField", "load_flat_field", "save_flat_field"]
