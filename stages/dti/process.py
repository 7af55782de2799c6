"""Settings of native libraries that a process must make before it imports them."""

from __future__ import annotations

import os

LIBRARY_SETTINGS = {
    # OpenMP threads spin at each barrier; by default so long that one other busy process on the
    # machine makes training several times slower.
    "GOMP_SPINCOUNT": "1000",
}


def prepare_process() -> None:
    """Set what the environment leaves open; call it before torch or LightGBM is imported."""
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)
