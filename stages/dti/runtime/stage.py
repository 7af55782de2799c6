"""How a stage becomes a process: Hydra, typed sections, time limit, execution record, exit code.

A stage script defines ``run(paths, *, dataset: DatasetConfig, …)`` and ends with ``main(run)``.
The keyword names are the sections of ``params.yaml`` that the stage reads, and it is given no
others: what dvc.yaml must declare can be read off the signature, and a test does.
"""

from __future__ import annotations

import faulthandler
import inspect
import logging
import os
import signal
import sys
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel
from yaml import YAMLError

from stages.dti.config.base import build
from stages.dti.config.execution import ExecutionConfig
from stages.dti.config.schema import check
from stages.dti.errors import ConfigError, DtiError, StageTimeoutError, StorageError
from stages.dti.files import write_json
from stages.dti.paths import EXECUTIONS, ROOT, Paths
from stages.dti.runtime.process import prepare_process, start_log

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
    """Check the whole configuration and return the sections that ``run`` reads.

    Raises:
        ConfigError: an unknown section or key, a wrong type, a value out of range, an interpolation
            that leads nowhere, or sections that contradict each other.
    """
    plain = resolved(config)
    check(plain)
    return {name: build(kind, plain[name], name) for name, kind in sections_of(run).items()}


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain mappings.

    Raises:
        ConfigError: an interpolation ``${…}`` leads nowhere.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{error.full_key}: {str(error).splitlines()[0]}; correct the `${{…}}` in its value"
        ) from error
    assert isinstance(plain, dict)
    return {str(name): section for name, section in plain.items()}


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
    faulthandler.enable()  # a native library that ends the process says where

    @hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
    def job(config: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        under_dvc = hydra_config.job.config_name == DVC_CONFIG_NAME
        outputs = ROOT if under_dvc else Path(hydra_config.runtime.output_dir)
        started = time.monotonic()
        record: dict[str, Any] = {"stage": stage, "started_unix_s": int(time.time())}
        try:
            start_log(os.environ)
            sections = typed_sections(run, config)
            execution = build(ExecutionConfig, resolved(config)["execution"], "execution")
            with time_limit(execution.limit_s(stage), stage):
                run(Paths(inputs=ROOT, outputs=outputs), **sections)
            record["status"] = "succeeded"
        except DtiError as error:
            record |= {"status": "failed", "reason": str(error)}
            _fail(stage, str(error))
        except BaseException as error:
            record |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
            raise
        finally:
            record["wall_time_s"] = round(time.monotonic() - started, 3)
            record.setdefault("status", "failed")
            try:
                write_json(outputs / EXECUTIONS / f"{stage}.json", record)
            except StorageError as error:
                logger.warning("the execution record is not kept: %s", error)
        if not under_dvc:
            logger.info("written below %s", outputs)

    # Else Hydra prints an error of its own, or a part of its traceback, and ends the process.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        _check_arguments(sys.argv[1:])
        job()
    except DtiError as error:
        _fail(stage, str(error))
    except (HydraException, OmegaConfBaseException) as error:
        _fail(stage, f"the configuration does not compose: {error}{_remedy()}")
    except ValueError as error:
        if HydraConfig.initialized():  # composed, so the stage itself raised it
            raise
        _fail(stage, f"the configuration does not compose: {error}{_remedy()}")
    except YAMLError as error:
        _fail(stage, f"the configuration is no YAML: {error}{_remedy()}")


def _fail(stage: str, reason: str) -> NoReturn:
    print(f"error in stage {stage}: {reason}", file=sys.stderr)
    sys.exit(1)


def _check_arguments(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"the argument {argument!a} is no UTF-8; write it in UTF-8, and check the "
                "terminal's locale"
            ) from None


def _remedy() -> str:
    """Return what mends a params.yaml that cannot be read; conf/ is mended where its error says."""
    if f"--config-name={DVC_CONFIG_NAME}" not in sys.argv:
        return ""
    return f"\n{DVC_CONFIG_NAME}.yaml is composed from conf/; run `make params` to compose it anew"
