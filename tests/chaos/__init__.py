"""Faults under load, on the real parts: ``make chaos``."""
