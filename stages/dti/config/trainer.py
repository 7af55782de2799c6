"""Sections ``trainer`` (the loop) and ``train`` (the run)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Section


class TrainerConfig(Section):
    """The training loop of neural models."""

    max_epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    pairs_per_target: int = Field(ge=1, description="pairs of one target kept together in a batch")
    optimizer: Literal["adam", "adamw"]
    learning_rate: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    schedule: Literal["one_cycle", "cosine", "reduce_on_plateau", "constant"]
    warmup_fraction: float = Field(ge=0, lt=1)
    gradient_clip_norm: float = Field(ge=0, description="0: no clipping")
    accumulate_batches: int = Field(ge=1)
    accelerator: Literal["cpu", "gpu", "auto"]
    precision: Literal["auto", "32-true", "bf16-mixed"]
    monitor: Literal["auroc", "auprc", "loss"] = Field(description="on validation")
    patience_epochs: int = Field(ge=1, description="early stopping")
    crop_residues: int = Field(ge=0, description="random crop of long sequences; 0: none")

    @model_validator(mode="after")
    def _grouping_fits(self) -> Self:
        if self.pairs_per_target > self.batch_size:
            raise ValueError("pairs_per_target is above batch_size")
        return self


class TrainConfig(Section):
    """What is common to every model's training."""

    seed: int = Field(ge=0)
    threads: int = Field(ge=1, description="fixed, since the order of a sum depends on it")
    calibration: Literal["platt", "isotonic", "none"]
    threshold_metric: Literal["f1", "mcc", "youden"] = Field(
        description="the threshold maximises it on validation"
    )
