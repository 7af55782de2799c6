"""The engine measured against the padded per-pair form, both in one run on one machine."""
