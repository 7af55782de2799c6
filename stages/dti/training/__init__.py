"""Fitting a model, and what makes it a candidate."""
