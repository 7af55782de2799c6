"""What a process must settle before it starts: the native libraries' settings, and its log."""

from __future__ import annotations

import atexit
import gc
import logging
import os
from collections.abc import Mapping

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


LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def log_level(environment: Mapping[str, str]) -> str:
    """Return the level that the environment variable LOG_LEVEL asks for, else INFO.

    Raises:
        ConfigError: there is no such level.
    """
    given = environment.get("LOG_LEVEL") or "INFO"
    if given.upper() not in LOG_LEVELS:
        close = nearest(given.upper(), LOG_LEVELS)
        raise ConfigError(f"environment variable LOG_LEVEL={given!r}: no such level{close}")
    return given.upper()


def start_log(environment: Mapping[str, str]) -> None:
    """Log on standard error what our code says from ``LOG_LEVEL`` on, of libraries only warnings.

    Raises:
        ConfigError: ``LOG_LEVEL`` is no level.
    """
    level = logging.getLevelNamesMapping()[log_level(environment)]
    logging.basicConfig(
        level=max(level, logging.WARNING), format="%(levelname)s: %(message)s", force=True
    )
    # A stage's script is __main__.
    for ours in ("stages", "__main__"):
        logging.getLogger(ours).setLevel(level)
