"""Fitting DrugBAN: the best epoch's weights, or the ends of the last cycles as snapshots."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies import DDPStrategy, Strategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, OnEpoch
from stages.dti.models.drugban.encoders import Widths
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.callbacks import STATE_FILE, KeptEpochs, in_order
from stages.dti.training.checkpoint_io import SafetensorsIO
from stages.dti.training.data import Job, loaders
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.lightning_module import DrugBANModule
from stages.dti.training.logger import EpochLogger
from stages.dti.training.processes import LocalProcesses, Process, together
from stages.dti.training.synchronised import synchronise

logger = logging.getLogger(__name__)


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
    kept = _run(job, context)
    return [_model(job, weights) for weights in kept.snapshots[-snapshots:]]


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


class CachingMixedPrecision(MixedPrecision):
    """bf16 that converts a weight once per step, however often the step reads it.

    Lightning turns autocast's cache off.
    """

    def autocast_context_manager(self) -> torch.autocast:
        """Return the context of a forward pass."""
        return torch.autocast(self.device, dtype=torch.bfloat16)


def _network(job: Job) -> DrugBANNetwork:
    widths = Widths.of(job.model, job.train.drugs, job.train.targets)
    return DrugBANNetwork(job.model, widths)


def _model(job: Job, weights: dict[str, Tensor]) -> DrugBAN:
    network = _network(job)
    network.load_state_dict(weights)
    return DrugBAN(network)


def _run(job: Job, context: FitContext) -> KeptEpochs:
    settings = job.settings
    gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    # The processes share what one would have.
    threads = max(1, context.threads // settings.devices)
    arguments = (job, threads, _ignore)
    with together(
        _train, arguments, settings.devices, "nccl" if gpu else "gloo", context.workdir
    ) as process:
        return _train(job, threads, context.on_epoch, process)


def _train(job: Job, threads: int, on_epoch: OnEpoch, process: Process) -> KeptEpochs:
    """Train in this process, as one of ``process.count``."""
    settings, labels = job.settings, job.validation.labels
    assert labels is not None
    with _reproducible(threads):
        torch.manual_seed(job.seed)
        kept = KeptEpochs(settings)
        network = _network(job)
        trainer = _trainer(job, process, kept, on_epoch)
        adaptation = None if job.adaptation is None else job.adaptation.config
        facts = {
            "seed": job.seed,
            "model": job.model.model_dump(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": str(trainer.strategy.root_device),
            "precision": trainer.precision,
        }
        module = DrugBANModule(network, settings, process, labels, adaptation, facts)
        if process.count > 1:
            synchronise(network)
        state = _resumable(job, facts, on_epoch)
        with _signals_passed_on():
            trainer.fit(module, *loaders(job, network, process), ckpt_path=state)
    return kept


def _trainer(job: Job, process: Process, kept: KeptEpochs, on_epoch: OnEpoch) -> pl.Trainer:
    settings = job.settings
    plugins: list[Any] = [SafetensorsIO()]
    precision = precision_here(settings.precision, settings.accelerator)
    if precision == "bf16-mixed":
        gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
        plugins.append(CachingMixedPrecision(precision, "cuda" if gpu else "cpu"))
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=_strategy(job, process),
        # A plugin takes the flag's place.
        precision="32-true" if precision == "32-true" else None,
        max_epochs=settings.max_epochs,
        gradient_clip_val=settings.gradient_clip_val,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        callbacks=[*in_order(job, process, kept)],
        logger=EpochLogger(on_epoch),
        plugins=plugins,
        deterministic=True,
        use_distributed_sampler=False,
        enable_checkpointing=job.checkpoint is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _resumable(job: Job, facts: dict[str, Any], on_epoch: OnEpoch) -> str | None:
    """Return the state that an interrupted run of this fit left, having reported its epochs."""
    if job.checkpoint is None or not (job.checkpoint / STATE_FILE).is_file():
        return None
    file = job.checkpoint / STATE_FILE
    state = SafetensorsIO().load_checkpoint(file)
    if state["facts"] != facts:
        logger.info("starting anew: %s was written by %s", file, state["facts"])
        return None
    for metrics in state["callbacks"][KeptEpochs.__qualname__]["curve"]:
        on_epoch(metrics)
    logger.info("resumed after epoch %d", state["epoch"])
    return str(file)


def _strategy(job: Job, process: Process) -> Strategy | Literal["auto"]:
    if job.settings.strategy == "auto" or process.count == 1:
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
    # It would write each result twice, and finds only programs that read what they never wrote.
    deterministic.fill_uninitialized_memory = False
    for name in ("lightning_fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for known in (
                ".*lr_scheduler.step.*before.*optimizer.step.*",
                ".*does not have many workers.*",
                ".*number of training batches .* is smaller than the logging interval.*",
                ".*Checkpoint directory .* exists and is not empty.*",
                ".*sync_dist=True.*",
                ".*treespec, LeafSpec.*",
            ):
                warnings.filterwarnings("ignore", known)
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        deterministic.fill_uninitialized_memory = filled


@contextmanager
def _signals_passed_on() -> Iterator[None]:
    """Leave it to the caller what Ctrl+C and SIGTERM end; Lightning makes both a ``sys.exit``."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        signal.raise_signal(signal.SIGTERM)  # to the handler that was there before
        raise
    except SystemExit as end:
        signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt from end


def _ignore(_metrics: dict[str, float]) -> None:
    """Only the first process reports."""
