"""Dividing the pairs, and proving the division."""
