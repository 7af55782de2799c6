"""A model on disk, and the one way to predict with it."""
