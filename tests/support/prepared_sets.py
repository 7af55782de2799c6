"""Whole data sets, acquired and prepared by the stages themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from stages import acquire
from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.paths import DRUGS, INTERACTIONS, PREPARE_METRICS, REJECTED, ROOT, TARGETS, Paths
from stages.dti.runtime.compose import compose
from stages.prepare import run

INTERIM = (DRUGS, TARGETS, INTERACTIONS, REJECTED)


def prepare(folder: Path, *overrides: str, inputs: Path = ROOT) -> dict[str, pd.DataFrame]:
    """Acquire and prepare a data set below ``folder``; return the interim tables by name."""
    plain = OmegaConf.to_container(compose(overrides))
    assert isinstance(plain, dict)
    dataset = build(DatasetConfig, plain["dataset"], "dataset")
    limits = AcquireConfig(timeout_s=5, attempts=1, retry_wait_s=0)
    acquire.run(Paths(inputs, folder), dataset=dataset, acquire=limits)
    run(
        Paths(folder, folder),
        dataset=dataset,
        prepare=build(PrepareConfig, plain["prepare"], "prepare"),
        standardise=build(StandardiseConfig, plain["standardise"], "standardise"),
    )
    return {path.stem: pd.read_parquet(folder / path) for path in INTERIM}


def metrics(folder: Path) -> dict[str, int | float | dict[str, int]]:
    loaded: dict[str, int | float | dict[str, int]] = json.loads(
        (folder / PREPARE_METRICS).read_text(encoding="utf-8")
    )
    return loaded
