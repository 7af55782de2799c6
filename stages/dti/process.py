"""What a process must settle before it imports the native libraries."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os

LIBRARY_SETTINGS = {
    # OpenMP threads spin at each barrier; by default so long that one other busy process on the
    # machine makes training several times slower.
    "GOMP_SPINCOUNT": "1000",
    # oneDNN keeps what it prepared for each shape of a product, by default for 1,024 of them. The
    # rare ones cost half a gigabyte and save a twentieth of a training step's time.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
}

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""


def prepare_process() -> None:
    """Set what the environment leaves open; call it before torch or LightGBM is imported."""
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)
    _keep_freed_memory()
    # At its end Python looks through all objects for garbage: half a second once torch is imported.
    atexit.register(gc.freeze)


def _keep_freed_memory() -> None:
    """Let the allocator keep what is freed, up to a gigabyte at once, for the next array.

    By default glibc hands large arrays back to the system and has them filled with zeros when it
    asks again: a tenth of a training step's time. Elsewhere than on glibc nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
