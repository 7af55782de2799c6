"""Encoders: from what is stored of each drug and each target to rows that can interact."""
