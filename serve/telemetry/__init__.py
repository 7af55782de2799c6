"""What the service tells of itself: logs to stderr (``logs.py``)."""
