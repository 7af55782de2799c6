"""Whether this machine has what the trainer asks for.

The check of the configuration cannot know: params.yaml may be composed on another machine than
the one that trains.
"""

from __future__ import annotations

from stages.dti.config.model import AnyModel, DrugBANConfig, EnsembleConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError


def require_devices(trainer: TrainerConfig, config: AnyModel) -> None:
    """Refuse a trainer that this machine cannot serve; a classical model has none.

    Raises:
        ConfigError: a GPU is asked for, and there is none, or there are fewer than ``devices``.
    """
    members = config.members.values() if isinstance(config, EnsembleConfig) else []
    fitted = [config, *(member.config for member in members)]
    if not any(isinstance(single, DrugBANConfig) for single in fitted):
        return
    import torch

    found = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    if trainer.accelerator == "gpu" and not found:
        raise ConfigError(
            f"trainer.accelerator: gpu, but torch {torch.__version__} finds none on this machine; "
            "use trainer.accelerator=auto or cpu, or install torch's build for your GPU"
        )
    if trainer.accelerator != "cpu" and found and trainer.devices > found:
        raise ConfigError(
            f"trainer.devices: {trainer.devices}, but torch finds {found} GPU on this machine; "
            f"use at most {found}, or trainer.accelerator=cpu"
        )
