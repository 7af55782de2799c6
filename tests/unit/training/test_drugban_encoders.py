"""DrugBAN of other parts than the published ones, from features to predictions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from sklearn.metrics import roc_auc_score

from stages import featurize
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.features import EmbeddingConfig, FeaturesConfig, FeaturizeConfig
from stages.dti.config.model import DrugBANConfig
from stages.dti.errors import ConfigError, ModelError
from stages.dti.features import embeddings
from stages.dti.features.store import FeatureStore
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.paths import CACHE, CANDIDATE, FEATURES, TARGETS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from stages.dti.runtime.compose import compose
from stages.dti.training.drugban import fit_drugban
from stages.dti.training.export import finish, load_training_data
from tests.support.drugban_fits import context_at, trainer
from tests.support.language_models import write_esm
from tests.support.prepared_tables import (
    DEFAULTS,
    FEATURE_PARAMETERS,
    STANDARDISE,
    section,
    write_tables,
)
from tests.support.sample_pairs import sample_pairs, take

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def parts(*options: str) -> DrugBANConfig:
    """DrugBAN as conf/ has it with ``options``, but narrow where it is wide."""
    narrow = compose([*options, "model.mlp_hidden_dim=16", "model.mlp_out_dim=8"]).model
    return DrugBANConfig.model_validate(OmegaConf.to_container(narrow))


def test_the_earlier_system_learns_a_small_set_by_heart(tmp_path: Path) -> None:
    few = take(sample_pairs(), slice(0, 48))
    context, epochs = context_at(tmp_path)
    settings = trainer(max_epochs=25, patience_epochs=25, learning_rate=0.01)
    config = parts("model=drugban_fingerprint", "model.interaction.dim=32")
    model = fit_drugban(config, settings, few, few, context)
    assert model.network.drug_encoder.width == 512  # the bits of these features
    assert model.network.drug_encoder.dim == 512
    assert model.network.target_encoder.dim == 1024
    assert few.labels is not None
    assert epochs[-1]["train_loss"] < 0.5 * epochs[0]["train_loss"]
    assert roc_auc_score(few.labels, model.score(few)) > 0.97


@pytest.mark.parametrize("option", ["model/drug=gin", "model/drug=gatv2", "model/drug=descriptors"])
def test_two_fits_give_the_same_weights(option: str, tmp_path: Path) -> None:
    pairs = sample_pairs()
    train, validation = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    config = parts(option, "model.target.filters=[8,8,8]", "model.interaction.dim=8")
    states = []
    for name in ("a", "b"):
        context, _ = context_at(tmp_path / name)
        model = fit_drugban(config, trainer(max_epochs=1), train, validation, context)
        states.append(model.network.state_dict())
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name


def test_a_model_of_embeddings_needs_embeddings(tmp_path: Path) -> None:
    few = take(sample_pairs(), slice(0, 48))
    config = parts("features=esm2", "model/target=embedding")
    with pytest.raises(ConfigError, match=r"the features have no embeddings; .* features=esm2"):
        fit_drugban(config, trainer(max_epochs=1), few, few, context_at(tmp_path)[0])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a model that reads the embeddings of a tiny language model."""
    write_tables(tmp_path)
    embedding = EmbeddingConfig(
        model=str(write_esm(tmp_path / "esm")),
        revision="main",
        layer=-1,
        pooling="mean",
        window_residues=400,
    )
    paths = Paths(tmp_path, tmp_path)
    featurize.run(
        paths,
        features=FeaturesConfig(**FEATURE_PARAMETERS.model_dump() | {"embedding": embedding}),
        featurize=FeaturizeConfig(export_csv=False),
    )
    config = parts(
        "features=esm2", "model=drugban_fingerprint", "model/target=embedding",
        "model.interaction.dim=16",
    )  # fmt: skip
    data = load_training_data(paths)
    settings = trainer(max_epochs=1)
    model = fit_drugban(config, settings, data.train, data.validation, context_at(tmp_path)[0])
    (tmp_path / CANDIDATE).mkdir(parents=True)
    folder = finish(
        model, config, data, section(CalibrationConfig, "calibration"), STANDARDISE, seed=0
    )
    folder.save(tmp_path / CANDIDATE)
    monkeypatch.setattr("stages.dti.features.targets.ROOT", tmp_path)
    return tmp_path


def test_a_model_of_embeddings_needs_its_language_model_for_new_targets_alone(root: Path) -> None:
    store = FeatureStore.open(root / FEATURES)
    predictor = Predictor.load(root / CANDIDATE)
    model = predictor.content.model
    assert isinstance(model, DrugBAN)
    assert model.network.target_encoder.width == 16
    pinned = predictor.content.features.embedding
    assert pinned is not None
    assert pinned.sha256 is not None
    target_ids = pd.read_parquet(root / TARGETS)["target_id"]
    known = [Pair("CCOc1ccccc1", target_id=target) for target in target_ids]
    new = Pair("CCOc1ccccc1", sequence=UBIQUITIN)

    # A new target is embedded once, and kept.
    (key,) = (root / CACHE / "embeddings").iterdir()
    assert len(list(key.iterdir())) == len(target_ids)
    (answer,) = predictor.predict([new])
    assert answer.status == "ok"
    assert len(list(key.iterdir())) == len(target_ids) + 1

    # The language model is gone: what was embedded before still is answered.
    shutil.rmtree(root / "esm")
    embeddings._loaded.cache_clear()
    assert predictor.predict([new]) == [answer]
    assert {answer.status for answer in predictor.predict(known)} == {"ok"}
    ready = predictor.featurize(known).targets.embeddings
    assert ready.tobytes() == store.targets.embeddings.tobytes()
    with pytest.raises(ModelError, match=r"features\.embedding\.model: .* neither a folder"):
        predictor.predict([Pair("CCO", sequence=UBIQUITIN[::-1])])


def test_conf_has_no_language_model_unless_asked() -> None:
    assert DEFAULTS["features"]["embedding"] is None
