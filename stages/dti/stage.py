"""How a stage becomes a process: Hydra, typed sections, time limit, execution record, exit code.

A stage script defines ``run(paths, *, dataset: DatasetConfig, …)`` and ends with ``main(run)``.
The keyword names are the sections of ``params.yaml`` that the stage reads, and it is given no
others: what dvc.yaml must declare can be read off the signature, and a test does.
"""

from __future__ import annotations

import inspect
import logging
import signal
import sys
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel

from stages.dti.atomic import write_json
from stages.dti.config.base import build
from stages.dti.config.execution import ExecutionConfig
from stages.dti.errors import ConfigError, DtiError, StageTimeoutError, nearest
from stages.dti.paths import EXECUTIONS, ROOT, Paths
from stages.dti.process import prepare_process, start_log

SECTIONS = (
    "acquire",
    "adaptation",
    "baselines",
    "benchmark",
    "dataset",
    "environment",
    "evaluate",
    "execution",
    "features",
    "featurize",
    "model",
    "prepare",
    "promote",
    "report",
    "screen",
    "serve",
    "split",
    "standardise",
    "tracking",
    "train",
    "trainer",
    "validate",
)
"""Every section of params.yaml."""

SIDE_CHANNELS = ("execution", "tracking")
"""Sections that say where a run is logged and how long it may last, never what it computes.

They are the only sections that a stage may read without declaring them in dvc.yaml, so that a
change of tracking server or time limit rebuilds nothing.
"""

DVC_CONFIG_NAME = "params"

logger = logging.getLogger(__name__)


def sections_of(run: Callable[..., Any]) -> dict[str, type[BaseModel]]:
    """Return the sections that a stage's ``run`` reads: keyword name → section class."""
    hints = typing.get_type_hints(run)
    keywords = inspect.signature(run).parameters.values()
    return {
        parameter.name: hints[parameter.name]
        for parameter in keywords
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def typed_sections(run: Callable[..., Any], config: DictConfig) -> dict[str, BaseModel]:
    """Check the configuration and return the sections that ``run`` reads.

    Raises:
        ConfigError: an unknown section or key, a wrong type, a value out of range.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    for name in map(str, plain):
        if name not in SECTIONS:
            raise ConfigError(f"{name}: unknown section{nearest(name, SECTIONS)}")
    typed = {}
    for name, kind in sections_of(run).items():
        if name not in plain:
            raise ConfigError(f"section {name} is missing; run `make params` to compose it anew")
        typed[name] = build(kind, plain[name], name)
    return typed


@contextmanager
def time_limit(seconds: float, stage: str) -> Iterator[None]:
    """Raise StageTimeoutError in the main thread after ``seconds``."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise StageTimeoutError(
            f"stage {stage} ran past its limit of {seconds:g} s; "
            f"raise execution.timeout_s.{stage}, or give it less to do"
        )

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def main(run: Callable[..., None]) -> None:
    """Run a stage as a process; the exit code is 0 only if it finished."""
    stage = Path(inspect.getfile(run)).stem
    prepare_process()

    @hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
    def job(config: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        under_dvc = hydra_config.job.config_name == DVC_CONFIG_NAME
        outputs = ROOT if under_dvc else Path(hydra_config.runtime.output_dir)
        started = time.monotonic()
        record: dict[str, Any] = {"stage": stage, "started_unix_s": int(time.time())}
        try:
            start_log()
            plain = OmegaConf.to_container(config, resolve=True)
            assert isinstance(plain, dict)
            execution = build(ExecutionConfig, plain.get("execution"), "execution")
            sections = typed_sections(run, config)
            with time_limit(execution.limit_s(stage), stage):
                run(Paths(inputs=ROOT, outputs=outputs), **sections)
            record["status"] = "succeeded"
        except DtiError as error:
            record |= {"status": "failed", "reason": str(error)}
            print(f"error in stage {stage}: {error}", file=sys.stderr)
            sys.exit(1)
        except BaseException as error:
            record |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
            raise
        finally:
            record["wall_time_s"] = round(time.monotonic() - started, 3)
            record.setdefault("status", "failed")
            write_json(outputs / EXECUTIONS / f"{stage}.json", record)
        if not under_dvc:
            logger.info("written below %s", outputs)

    job()
