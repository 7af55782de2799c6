"""Checks of the raw tables."""
