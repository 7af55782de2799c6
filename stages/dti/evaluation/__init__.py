"""Metrics with intervals, calibration and plots; no torch here."""
