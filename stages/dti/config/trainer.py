"""Section ``trainer``: how models are fitted, neural ones above all."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import LearningRate, Section


class TrainerConfig(Section):
    """The training loop of neural models."""

    max_epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(
        ge=2, le=1_000_000, description="pairs; batch norm has no variance of one"
    )
    pairs_per_target: int = Field(
        ge=1, le=1_000_000, description="pairs of one target kept together in a batch"
    )
    optimizer: Literal["adam", "adamw"]
    learning_rate: LearningRate
    weight_decay: float = Field(ge=0, le=100)
    schedule: Literal["one_cycle", "cosine", "cyclic_cosine", "reduce_on_plateau", "constant"]
    warmup_fraction: float = Field(ge=0, le=0.95)
    cycles: int = Field(
        ge=1, le=10_000, description="cyclic_cosine: warm restarts of max_epochs / cycles each"
    )
    ema_decay: float = Field(
        ge=0, lt=1, description="moving average of the weights, kept and validated; 0: none"
    )
    gradient_clip_val: float = Field(ge=0, le=1_000_000, description="0: no clipping")
    accumulate_grad_batches: int = Field(ge=1, le=10_000)
    accelerator: Literal["cpu", "gpu", "auto"]
    strategy: Literal["auto", "ddp"]
    devices: int = Field(
        ge=1, le=64, description="ddp: processes of this machine; they share threads"
    )
    precision: Literal["auto", "32-true", "bf16-mixed"]
    class_weight: Literal["none", "balanced"] = Field(
        description="balanced: pairs of the rarer class count for more when a model is fitted"
    )
    monitor: Literal["auroc", "auprc", "loss"] = Field(description="on validation")
    patience_epochs: int = Field(ge=1, le=10_000, description="early stopping")
    crop_residues: int = Field(
        ge=0, le=1_000_000, description="random crop of long sequences; 0: none"
    )

    @model_validator(mode="after")
    def _grouping_fits(self) -> Self:
        if self.pairs_per_target > self.batch_size:
            raise ValueError("pairs_per_target is above batch_size")
        return self

    @model_validator(mode="after")
    def _cycles_are_whole(self) -> Self:
        if self.schedule == "cyclic_cosine" and self.max_epochs % self.cycles:
            raise ValueError(f"max_epochs {self.max_epochs} is no multiple of cycles {self.cycles}")
        return self

    @model_validator(mode="after")
    def _devices_fit(self) -> Self:
        if self.strategy == "auto" and self.devices > 1:
            raise ValueError(f"{self.devices} devices need strategy ddp (trainer=ddp)")
        if self.devices > self.batch_size:
            raise ValueError("devices is above batch_size")
        return self
