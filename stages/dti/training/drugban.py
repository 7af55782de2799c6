"""Fitting DrugBAN: the best epoch's weights, or the ends of the last cycles as snapshots."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, OnEpoch
from stages.dti.models.drugban.encoders import Widths
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.job import Job
from stages.dti.training.lightning_module import DrugBANModule
from stages.dti.training.loop import Loop, Progress
from stages.dti.training.processes import LocalProcesses, Process, together


def fit_drugban(
    config: DrugBANConfig,
    settings: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
    adaptation: DomainAdaptation | None = None,
) -> DrugBAN:
    """Train DrugBAN and return the epoch that was best on validation.

    Raises:
        ConfigError: the model reads embeddings, and the features have none.
        ValueError: validation holds one class only, so that no epoch can be chosen.
    """
    job = Job(config, settings, train, validation, adaptation, context.seed, context.checkpoint)
    return _model(job, _run(job, context).best)


def fit_drugban_snapshots(
    config: DrugBANConfig,
    settings: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
    snapshots: int,
    adaptation: DomainAdaptation | None = None,
) -> list[DrugBAN]:
    """Train DrugBAN once and return the ends of its last ``snapshots`` cycles.

    Raises:
        ConfigError: the schedule has no cycles, or fewer.
    """
    if settings.schedule != "cyclic_cosine" or settings.cycles < snapshots:
        raise ConfigError(
            f"{snapshots} snapshots need trainer.schedule=cyclic_cosine with at least as many "
            f"trainer.cycles; they are {settings.schedule} and {settings.cycles}"
        )
    job = Job(
        config,
        settings,
        train,
        validation,
        adaptation,
        context.seed,
        context.checkpoint,
        until_stale=False,
    )
    progress = _run(job, context)
    return [_model(job, weights) for weights in progress.snapshots[-snapshots:]]


def precision_here(
    choice: Literal["auto", "32-true", "bf16-mixed"], accelerator: str
) -> Literal["32-true", "bf16-mixed"]:
    """Resolve ``auto``: bf16 where the processor multiplies it natively, float32 elsewhere."""
    if choice != "auto":
        return choice
    native = (
        torch.cuda.is_bf16_supported()
        if accelerator != "cpu" and torch.cuda.is_available()
        else torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
    )
    return "bf16-mixed" if native else "32-true"


def _network(job: Job) -> DrugBANNetwork:
    widths = Widths.of(job.model, job.train.drugs, job.train.targets)
    return DrugBANNetwork(job.model, widths)


def _model(job: Job, weights: dict[str, Tensor]) -> DrugBAN:
    network = _network(job)
    network.load_state_dict(weights)
    return DrugBAN(network)


def _run(job: Job, context: FitContext) -> Progress:
    settings = job.settings
    gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    # The processes share what one would have.
    threads = max(1, context.threads // settings.devices)
    arguments = (job, threads, _ignore)
    with together(
        _train, arguments, settings.devices, "nccl" if gpu else "gloo", context.workdir
    ) as process:
        return _train(job, threads, context.on_epoch, process)


def _train(
    job: Job,
    threads: int,
    on_epoch: OnEpoch,
    process: Process,
) -> Progress:
    """Train in this process, as one of ``process.count``."""
    settings = job.settings
    with _reproducible(threads):
        torch.manual_seed(job.seed)
        module = DrugBANModule(_network(job), settings, job.total_steps, process, job.adaptation)
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=_strategy(job, process),
            precision=precision_here(settings.precision, settings.accelerator),
        )
        fabric.launch()
        return Loop(job, module, fabric, process, on_epoch).run()


def _strategy(job: Job, process: Process) -> DDPStrategy | Literal["auto"]:
    if process.count == 1:
        return "auto"
    return DDPStrategy(
        cluster_environment=LocalProcesses(process),
        forward_sync_buffers=False,  # each process has the statistics of all
        # The discriminator rests until the first epoch that adapts.
        find_unused_parameters=job.adaptation is not None and job.adaptation.config.start_epoch > 0,
    )


@contextmanager
def _reproducible(threads: int) -> Iterator[None]:
    """Fix what the order of sums depends on, and leave torch as it was."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    # Its one setting is a property, which the type checker does not see on a module.
    deterministic: Any = torch.utils.deterministic
    filled = deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # It would write each result twice, and finds only programs that read what they never wrote.
    deterministic.fill_uninitialized_memory = False
    for name in ("lightning_fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*lr_scheduler.step.*before.*optimizer.step.*")
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        deterministic.fill_uninitialized_memory = filled


def _ignore(_metrics: dict[str, float]) -> None:
    """Only the first process reports."""
