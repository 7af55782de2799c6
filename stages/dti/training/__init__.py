"""Batching and the Lightning training loop."""
