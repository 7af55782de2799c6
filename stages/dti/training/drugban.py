"""Fitting DrugBAN: Lightning trainer, early stopping, the best epoch's weights."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Literal

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, EarlyStopping, TQDMProgressBar
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext
from stages.dti.models.drugban.batch import PairBatch, pair_batch
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.lightning_module import DrugBANModule
from stages.dti.training.sampling import GroupedBatches

STATISTICS_BATCHES = 16
"""Batches over which batch-norm statistics are computed before each validation."""

BEST_WEIGHTS = "best.safetensors"


class _Rows(Dataset[int]):
    """Row numbers; the collate function turns a batch of them into tensors."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> int:
        return row


class BestWeights(Callback):
    """Keep the weights of the best epoch as safetensors, and report every epoch."""

    def __init__(self, context: FitContext, monitor: str) -> None:
        self.context = context
        self.monitor = monitor
        self.best_value = -np.inf
        self.best_epoch = -1

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Compare the monitored metric with the best so far."""
        assert isinstance(module, DrugBANModule)
        metrics = module.epoch_metrics
        value = metrics[f"val_{self.monitor}"] * (-1 if self.monitor == "loss" else 1)
        if value > self.best_value:
            self.best_value, self.best_epoch = value, trainer.current_epoch
            save_file(
                {k: v.contiguous() for k, v in module.network.state_dict().items()},
                self.context.workdir / BEST_WEIGHTS,
            )
        self.context.on_epoch({"epoch": float(trainer.current_epoch), **metrics})


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


def fit_drugban(
    config: DrugBANConfig,
    settings: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
) -> DrugBAN:
    """Train DrugBAN and return the epoch that was best on validation.

    Raises:
        ValueError: validation holds one class only, so that no epoch can be chosen.
    """
    _quiet_lightning()
    torch.set_num_threads(context.threads)
    pl.seed_everything(context.seed, verbose=False)
    network = DrugBANNetwork(config)
    batches = GroupedBatches(
        train.target_index, settings.batch_size, settings.pairs_per_target, context.seed
    )
    crops = np.random.default_rng([context.seed, 1])
    gap = network.target_encoder.gap

    def collate_train(rows: list[int]) -> PairBatch:
        return pair_batch(train, _array(rows), gap, settings.crop_residues, crops)

    def collate_validation(rows: list[int]) -> PairBatch:
        return pair_batch(validation, _array(rows), gap)

    statistics_rows = np.array_split(
        np.random.default_rng([context.seed, 2]).permutation(len(train)), len(batches)
    )[:STATISTICS_BATCHES]
    module = DrugBANModule(
        network,
        settings,
        total_steps=_optimizer_steps(len(batches), settings),
        statistics_batches=[pair_batch(train, rows, gap) for rows in statistics_rows],
    )
    best = BestWeights(context, settings.monitor)
    trainer = pl.Trainer(
        accelerator=settings.accelerator,
        devices=1,
        max_epochs=settings.max_epochs,
        precision=precision_here(settings.precision, settings.accelerator),
        gradient_clip_val=settings.gradient_clip_norm or None,
        accumulate_grad_batches=settings.accumulate_batches,
        deterministic=True,
        callbacks=[
            best,
            EarlyStopping(
                monitor=f"val_{settings.monitor}",
                mode="min" if settings.monitor == "loss" else "max",
                patience=settings.patience_epochs,
            ),
            *([TQDMProgressBar()] if sys.stderr.isatty() else []),
        ],
        enable_progress_bar=sys.stderr.isatty(),
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        num_sanity_val_steps=0,
        default_root_dir=context.workdir,
    )
    order = np.argsort(validation.target_index, kind="stable")
    validation_batches = np.array_split(order, max(1, len(order) // settings.batch_size))
    trainer.fit(
        module,
        DataLoader(_Rows(len(train)), batch_sampler=batches, collate_fn=collate_train),  # type: ignore[arg-type]
        DataLoader(
            _Rows(len(validation)),
            batch_sampler=validation_batches,  # type: ignore[arg-type]
            collate_fn=collate_validation,
        ),
    )
    network.load_state_dict(load_file(context.workdir / BEST_WEIGHTS))
    return DrugBAN(network.cpu())


def _array(rows: list[int]) -> NDArray[np.int64]:
    return np.asarray(rows, dtype=np.int64)


def _optimizer_steps(batches: int, settings: TrainerConfig) -> int:
    return -(-batches // settings.accumulate_batches) * settings.max_epochs


def _quiet_lightning() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for pattern in (".*does not have many workers.*", ".*logging interval.*", ".*treespec.*"):
        warnings.filterwarnings("ignore", pattern)
