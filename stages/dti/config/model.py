"""Section ``model``: one of the registered models, told apart by ``name``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, RootModel, model_validator

from stages.dti.config.base import Count, Dropout, LearningRate, Section, Width

ATTENTION_HEADS = 4
"""Heads of a ``gatv2`` layer; they share its width."""

Kernel = Annotated[int, Field(ge=1, le=255)]


class GraphConfig(Section):
    """Message passing on the molecular graph: one row per atom."""

    name: Literal["graph"]
    layer: Literal["gcn", "gin", "gatv2"] = Field(description="gcn is the published one")
    dim: Width = Field(description="atom embedding and layer width")
    layers: int = Field(ge=1, le=16)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.layer == "gatv2" and self.dim % ATTENTION_HEADS:
            raise ValueError(
                f"dim {self.dim} is no multiple of the {ATTENTION_HEADS} heads of layer gatv2"
            )
        return self


class FingerprintConfig(Section):
    """Morgan fingerprint, ``features.fingerprint_bits`` wide: one row per drug."""

    name: Literal["fingerprint"]
    hidden_dim: Width


class DescriptorsConfig(Section):
    """Scaled RDKit or sequence descriptors: one row per drug or target."""

    name: Literal["descriptors"]
    hidden_dim: Width


class SequenceConfig(Section):
    """Convolutions on the sequence: one row per residue."""

    name: Literal["sequence_cnn"]
    residue_dim: Width = Field(description="residue embedding width")
    filters: list[Width] = Field(min_length=1, max_length=16)
    kernels: list[Kernel] = Field(
        min_length=1, max_length=16, description="residues that one filter sees"
    )

    @model_validator(mode="after")
    def _one_kernel_per_layer(self) -> Self:
        if len(self.filters) != len(self.kernels):
            raise ValueError(
                f"{len(self.filters)} filters, but {len(self.kernels)} kernels; one of each per "
                "layer"
            )
        return self


class EmbeddingEncoderConfig(Section):
    """Embeddings of ``features.embedding``: one row per target, or per residue (its pooling)."""

    name: Literal["embedding"]
    hidden_dim: Width


class BanConfig(Section):
    """Bilinear attention between all rows of the drug and all rows of the target."""

    name: Literal["ban"]
    heads: int = Field(ge=1, le=256)
    dim: Width = Field(description="width of the joint representation")
    pooling: int = Field(ge=1, le=64, description="sum-pooling factor of the low-rank attention")


class ConcatConfig(Section):
    """The means of the drug's and of the target's rows, side by side, through one layer."""

    name: Literal["concat"]
    dim: Width = Field(description="width of the joint representation")


Code = Field(exclude=True, description="folder of stages/dti/models that an edit of retrains it")
"""``dvc.yaml`` makes it a dependency of stage ``train``; a stored model does without it."""


class DrugBANConfig(Section):
    """DrugBAN (Bai et al., Nature Machine Intelligence 2023), its parts exchangeable."""

    name: Literal["drugban"]
    code: Annotated[Literal["drugban"], Code] = "drugban"
    drug: Annotated[
        GraphConfig | FingerprintConfig | DescriptorsConfig, Field(discriminator="name")
    ]
    target: Annotated[
        SequenceConfig | DescriptorsConfig | EmbeddingEncoderConfig, Field(discriminator="name")
    ]
    interaction: Annotated[BanConfig | ConcatConfig, Field(discriminator="name")]
    mlp_hidden_dim: Width
    mlp_out_dim: Width
    dropout: Dropout = Field(description="of the encoders' rows")
    mlp_dropout: Dropout = Field(description="of the classifier's hidden layers")


class BaseRateConfig(Section):
    """The share of positives in train, for every pair."""

    name: Literal["base_rate"]
    code: Annotated[Literal["classical"], Code] = "classical"


class NearestNeighbourConfig(Section):
    """Similarity-weighted labels of the most similar train pairs.

    ``nearest_neighbour`` is the field's plain baseline, the label of the most similar train pair;
    ``similarity_vote`` is the same model tuned, a far stronger one.
    """

    name: Literal["nearest_neighbour", "similarity_vote"]
    code: Annotated[Literal["classical"], Code] = "classical"
    neighbours: Count = Field(description="train pairs that vote; ties with the last one too")
    sharpness: int = Field(ge=1, le=16, description="votes weigh similarity ** sharpness")


class LogisticRegressionConfig(Section):
    """Logistic regression on fingerprint bits and scaled descriptors."""

    name: Literal["logistic_regression"]
    code: Annotated[Literal["classical"], Code] = "classical"
    inverse_regularisation: float = Field(ge=1e-6, le=1_000_000, description="scikit-learn's C")
    max_iterations: Count


class GradientBoostingConfig(Section):
    """LightGBM on fingerprint bits, drug descriptors and sequence descriptors."""

    name: Literal["gradient_boosting"]
    code: Annotated[Literal["classical"], Code] = "classical"
    trees: int = Field(ge=1, le=100_000, description="upper bound; early stopping on validation")
    learning_rate: LearningRate
    leaves: int = Field(ge=2, le=16_384)
    bins: int = Field(ge=3, le=4096, description="of a descriptor; fewer are quicker")
    min_leaf_rows: Count
    row_fraction: float = Field(ge=0.001, le=1)
    feature_fraction: float = Field(ge=0.001, le=1)
    early_stopping_rounds: Count


SingleModel = (
    DrugBANConfig
    | BaseRateConfig
    | NearestNeighbourConfig
    | LogisticRegressionConfig
    | GradientBoostingConfig
)

MAX_MEMBERS = 6
"""With more, the grid of weights of ``rank_average`` grows beyond reason."""


class MemberConfig(Section):
    """One member of an ensemble: a model, fitted ``seeds`` times; its score is their mean."""

    config: Annotated[SingleModel, Field(discriminator="name")]
    seeds: int = Field(
        ge=1, le=100, description="fits, with seeds reproducibility.seed and the next"
    )
    snapshots: int = Field(ge=1, le=20, description="models kept of each fit; DrugBAN alone")

    @model_validator(mode="after")
    def _has_snapshots(self) -> Self:
        if self.snapshots > 1 and not isinstance(self.config, DrugBANConfig):
            raise ValueError(f"a model {self.config.name} has no snapshots; set snapshots to 1")
        return self


class EnsembleConfig(Section):
    """Several models that answer as one (``stages/dti/models/ensemble.py``)."""

    name: Literal["ensemble"]
    code: Annotated[Literal["."], Code] = "."
    combine: Literal["mean", "rank_average", "stacked"]
    inverse_regularisation: float = Field(
        ge=1e-6, le=1_000_000, description="of stacked; scikit-learn's C"
    )
    members: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], MemberConfig] = Field(
        min_length=1, max_length=MAX_MEMBERS
    )


AnyModel = SingleModel | EnsembleConfig


class ModelConfig(RootModel[Annotated[AnyModel, Field(discriminator="name")]]):
    """The one model that is trained as candidate."""


class BaselinesConfig(RootModel[dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], ModelConfig]]):
    """Section ``baselines``: the models that stand beside the candidate in every table."""

    @model_validator(mode="after")
    def _leaves_the_candidate_its_name(self) -> Self:
        if "candidate" in self.root:
            raise ValueError("'candidate' is the candidate's own name in every report; rename it")
        return self
