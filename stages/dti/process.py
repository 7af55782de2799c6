"""What a process must settle before it starts: the native libraries' settings, and its log."""

from __future__ import annotations

import atexit
import gc
import logging
import os

from stages.dti.errors import ConfigError, nearest

LIBRARY_SETTINGS = {
    # OpenMP threads spin at each barrier; by default so long that one other busy process on the
    # machine makes training several times slower.
    "GOMP_SPINCOUNT": "1000",
    # oneDNN keeps what it prepared for each shape of a product, by default for 1,024 of them. The
    # rare ones cost half a gigabyte and save a twentieth of a training step's time.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
}


def prepare_process() -> None:
    """Set what the environment leaves open; call it before torch or LightGBM is imported."""
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)
    # At its end Python looks through all objects for garbage: half a second once torch is imported.
    atexit.unregister(gc.freeze)  # Once is enough, however often this is called.
    atexit.register(gc.freeze)


LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def start_log() -> None:
    """Log on standard error what our code says from ``LOG_LEVEL`` on, of libraries only warnings.

    Raises:
        ConfigError: ``LOG_LEVEL`` is no level.
    """
    name = os.environ.get("LOG_LEVEL", "INFO").upper()
    if name not in LEVELS:
        raise ConfigError(f"LOG_LEVEL={name}: no such level{nearest(name, LEVELS)}")
    level = logging.getLevelNamesMapping()[name]
    logging.basicConfig(
        level=max(level, logging.WARNING), format="%(levelname)s: %(message)s", force=True
    )
    # A stage's script is __main__.
    for ours in ("stages", "__main__"):
        logging.getLogger(ours).setLevel(level)
