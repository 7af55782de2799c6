"""One typed section per module."""
