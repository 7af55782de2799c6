"""Section ``model``: one of the registered models, told apart by ``name``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel

from stages.dti.config.base import Section


class DrugBANConfig(Section):
    """DrugBAN (Bai et al., Nature Machine Intelligence 2023)."""

    name: Literal["drugban"]
    graph_dim: int = Field(ge=1, description="atom embedding and GCN width")
    graph_layers: int = Field(ge=1, le=16)
    residue_dim: int = Field(ge=1, description="residue embedding width")
    cnn_filters: list[int] = Field(min_length=1)
    cnn_kernels: list[int] = Field(min_length=1)
    ban_heads: int = Field(ge=1)
    ban_dim: int = Field(ge=1, description="width of the joint representation")
    ban_pooling: int = Field(ge=1, description="sum-pooling factor of the low-rank attention")
    mlp_hidden_dim: int = Field(ge=1)
    mlp_out_dim: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)


class BaseRateConfig(Section):
    """The share of positives in train, for every pair."""

    name: Literal["base_rate"]


class NearestNeighbourConfig(Section):
    """Similarity-weighted labels of the most similar train pairs.

    ``nearest_neighbour`` is the field's plain baseline, the label of the most similar train pair;
    ``similarity_vote`` is the same model tuned, a far stronger one.
    """

    name: Literal["nearest_neighbour", "similarity_vote"]
    neighbours: int = Field(ge=1, description="train pairs that vote; ties with the last one too")
    sharpness: int = Field(ge=1, le=16, description="votes weigh similarity ** sharpness")


class LogisticRegressionConfig(Section):
    """Logistic regression on fingerprint bits and scaled descriptors."""

    name: Literal["logistic_regression"]
    inverse_regularisation: float = Field(gt=0, description="scikit-learn's C")
    max_iterations: int = Field(ge=1)


class GradientBoostingConfig(Section):
    """LightGBM on fingerprint bits, drug descriptors and sequence descriptors."""

    name: Literal["gradient_boosting"]
    trees: int = Field(ge=1, description="upper bound; early stopping on validation")
    learning_rate: float = Field(gt=0, le=1)
    leaves: int = Field(ge=2)
    bins: int = Field(ge=3, le=65535, description="of a descriptor; fewer are quicker")
    min_leaf_rows: int = Field(ge=1)
    row_fraction: float = Field(gt=0, le=1)
    feature_fraction: float = Field(gt=0, le=1)
    early_stopping_rounds: int = Field(ge=1)


AnyModel = (
    DrugBANConfig
    | BaseRateConfig
    | NearestNeighbourConfig
    | LogisticRegressionConfig
    | GradientBoostingConfig
)


class ModelConfig(RootModel[Annotated[AnyModel, Field(discriminator="name")]]):
    """The one model that is trained as candidate."""


class BaselinesConfig(RootModel[dict[str, ModelConfig]]):
    """Section ``baselines``: the models that stand beside the candidate in every table."""
