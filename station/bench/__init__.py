"""Measurements of this computer: single steps and the whole line."""
