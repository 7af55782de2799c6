"""Molecules and sequences as such: no table, no file, no model."""
