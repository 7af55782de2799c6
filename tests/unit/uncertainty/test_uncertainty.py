"""What a trained model folder says of its own uncertainty, from the train stage to Predictor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.dti.artifacts.model_files import FILES, seal
from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError, DataError, ModelError
from stages.dti.evaluation.applicability import applicability_report
from stages.dti.evaluation.metrics import ModelOutput
from stages.dti.evaluation.scoring import load_models, score
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.models.base import FitContext
from stages.dti.paths import BASELINES, CANDIDATE, Paths
from stages.dti.prediction.folder import FORMAT_VERSION
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.pyfunc import PredictorModel
from stages.dti.prediction.types import Pair
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data
from stages.dti.training.train import train_model
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.calibration import Calibration
from tests.support.prepared_tables import (
    DEFAULTS,
    STANDARDISE,
    section,
    write_features,
    write_tables,
)

CALIBRATION = section(CalibrationConfig, "calibration")
EVALUATE = section(EvaluateConfig, "evaluate", bootstrap_samples=100)
LINEAR = DEFAULTS["baselines"]["logistic_regression"]
ENSEMBLE = {
    "name": "ensemble",
    "combine": "stacked",
    "inverse_regularisation": 1.0,
    "members": {
        "boosted": {
            "config": DEFAULTS["baselines"]["gradient_boosting"] | {"trees": 20},
            "seeds": 2,
            "snapshots": 1,
        },
        "linear": {"config": LINEAR, "seeds": 1, "snapshots": 1},
    },
}


def train(root: Path, plain: dict[str, Any], folder: Path, workdir: Path, **changes: Any) -> None:
    settings = CALIBRATION.model_copy(update=changes)
    data = load_training_data(Paths(root, root), settings.conformal_fraction)
    config = build(ModelConfig, plain, "model").root
    context = FitContext(seed=0, threads=1, workdir=workdir, on_epoch=lambda _: None)
    trainer = section(TrainerConfig, "trainer")
    model = train_model(config, trainer, data.train, data.validation, context).model
    folder.mkdir(parents=True)
    finish(model, config, data, settings, STANDARDISE, seed=0).save(folder)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble as candidate beside a single model."""
    root = tmp_path_factory.mktemp("root")
    write_tables(root)
    write_features(root)
    train(root, ENSEMBLE, root / CANDIDATE, tmp_path_factory.mktemp("a"))
    train(root, LINEAR, root / BASELINES / "linear", tmp_path_factory.mktemp("b"))
    return root


@pytest.fixture(scope="module")
def pairs(root: Path) -> list[Pair]:
    test = read_test_pairs(Paths(root, root))
    return [Pair(*row) for row in test[["smiles", "sequence"]].itertuples(index=False)]


def test_spread_is_the_deviation_of_the_members_calibrated_probabilities(
    root: Path, pairs: list[Pair]
) -> None:
    predictor = Predictor.load(root / CANDIDATE)
    featurized = predictor.featurize(pairs)
    found = predictor.outputs(featurized)
    assert found.spread is not None
    data = load_training_data(Paths(root, root), CALIBRATION.conformal_fraction)
    assert data.validation.labels is not None
    for position, own in enumerate(predictor.content.model.member_scores(data.validation)):
        expected = Calibration.fit(CALIBRATION.method, own, data.validation.labels)
        assert predictor.content.member_calibrations[position] == expected
    members = predictor.content.model.member_scores(
        replace(
            data.validation,
            drugs=featurized.drugs,
            targets=featurized.targets,
            drug_index=featurized.drug_index,
            target_index=featurized.target_index,
            labels=None,
        )
    )
    made = zip(predictor.content.member_calibrations, members, strict=True)
    rows = [calibration.apply(own) for calibration, own in made]
    assert len(rows) == 3
    np.testing.assert_allclose(found.spread, np.std(rows, axis=0), rtol=1e-9, atol=1e-12)
    assert found.spread.max() > 0.01


def test_a_single_model_has_no_spread(root: Path, pairs: list[Pair]) -> None:
    answers = Predictor.load(root / BASELINES / "linear").predict(pairs[:5])
    assert [answer.spread for answer in answers] == [None] * 5
    assert all(answer.in_domain is not None for answer in answers)


def test_no_number_depends_on_the_pairs_beside_it(root: Path, pairs: list[Pair]) -> None:
    predictor = Predictor.load(root / CANDIDATE)
    together = predictor.predict(pairs)
    for row in range(0, len(pairs), 9):
        assert predictor.predict([pairs[row]]) == [together[row]]


def test_sets_and_domain_follow_from_the_stored_limits(root: Path, pairs: list[Pair]) -> None:
    predictor = Predictor.load(root / CANDIDATE)
    content = predictor.content
    assert predictor.info.conformal_coverage == CALIBRATION.conformal_coverage
    answers = predictor.predict(pairs)
    for answer in answers:
        probability = answer.probability
        assert probability is not None
        active = probability >= content.conformal.active_from
        inactive = probability <= content.conformal.inactive_to
        words = {
            (True, False): "interacts",
            (False, True): "no_interaction",
            (True, True): "either",
            (False, False): "neither",
        }
        assert answer.prediction_set == words[active, inactive]
        assert answer.in_domain == (
            answer.drug_similarity >= np.float32(content.domain.drug_limit)
            and answer.target_similarity >= np.float32(content.domain.target_limit)
        )
    assert {answer.in_domain for answer in answers} == {True, False}


def test_an_invalid_pair_has_none_of_it(root: Path) -> None:
    (answer,) = Predictor.load(root / CANDIDATE).predict([Pair("C1CC", "MKT" * 20)])
    assert answer.status == "invalid"
    for field in ("prediction_set", "domain_distance", "in_domain", "spread"):
        assert getattr(answer, field) is None


def test_mlflow_gives_every_field(root: Path, pairs: list[Pair]) -> None:
    model = PredictorModel(Predictor.load(root / CANDIDATE))
    asked = pd.DataFrame({"smiles": [pairs[0].smiles], "sequence": [pairs[0].sequence]})
    (row,) = model.predict(asked).to_dict("records")
    assert row["prediction_set"] in ("interacts", "no_interaction", "either", "neither")
    assert row["spread"] >= 0
    assert row["in_domain"] in (True, False)


def test_pairs_set_aside_serve_conformal_prediction_alone(root: Path, tmp_path: Path) -> None:
    paths = Paths(root, root)
    shared = load_training_data(paths)
    assert shared.conformal is shared.validation
    apart = load_training_data(paths, 0.5)
    assert len(apart.validation) + len(apart.conformal) == len(shared.validation)
    assert 0.3 < len(apart.conformal) / len(shared.validation) < 0.7

    def keys(part: Any) -> set[tuple[int, int]]:
        return set(zip(part.drug_index.tolist(), part.target_index.tolist(), strict=True))

    assert not keys(apart.validation) & keys(apart.conformal)
    assert keys(apart.validation) | keys(apart.conformal) == keys(shared.validation)
    more = load_training_data(paths, 0.7)
    assert keys(apart.conformal) < keys(more.conformal)  # by a hash: no pair moves back

    train(root, LINEAR, tmp_path / "model", tmp_path, conformal_fraction=0.5)
    conformal = json.loads((tmp_path / "model/calibration.json").read_text())["conformal"]
    assert conformal["positives"] + conformal["negatives"] == len(apart.conformal)


def test_pairs_set_aside_must_hold_both_classes(root: Path) -> None:
    with pytest.raises(DataError, match="conformal part holds 0 pairs"):
        load_training_data(Paths(root, root), 1e-9)


@pytest.mark.parametrize("version", [1, FORMAT_VERSION + 1])
def test_a_folder_of_another_format_is_refused(version: int, root: Path, tmp_path: Path) -> None:
    train(root, LINEAR, tmp_path / "model", tmp_path)
    path = tmp_path / "model/model.json"
    facts = json.loads(path.read_text())
    facts["format_version"] = version
    if version == 1:
        del facts["format_version"]  # the first format did not name itself
    path.write_text(json.dumps(facts))
    if version == 1:
        (tmp_path / "model" / FILES).unlink()  # nor did it have a list of its files
    else:
        seal(tmp_path / "model")
    with pytest.raises(ModelError, match=f"written in format {version}, this code reads format"):
        Predictor.load(tmp_path / "model")


def test_an_ensembles_spread_is_judged_as_a_warning(root: Path) -> None:
    paths = Paths(root, root)
    test = read_test_pairs(paths)
    models = load_models(paths)
    nearness, outputs = score(models, test)
    domain = models["candidate"].content.domain
    found = applicability_report(
        test.join(nearness), outputs["candidate"], domain, EVALUATE
    ).plain()
    assert set(found["warnings"]) == {"domain_distance", "ambiguity", "spread"}
    assert outputs["linear"].spread is None


def test_a_warning_that_tells_errors_and_one_that_does_not() -> None:
    """Distances that say which answers are wrong, and a spread that says nothing."""
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    wrong = random.random(400) < 0.2
    probabilities = np.where(wrong, 1 - labels, labels) * 0.8 + 0.1
    pairs = pd.DataFrame(
        {
            "label": labels,
            "domain_distance": wrong + random.normal(size=400) * 0.3,
            "drug_seen": True,
            "target_seen": random.random(400) < 0.5,
            "scaffold_seen": ~wrong,
        }
    )
    output = ModelOutput(probabilities, probabilities, 0.5, np.full(400, 0.1))
    found = applicability_report(pairs, output, ApplicabilityDomain(0.4, 0.4), EVALUATE).plain()
    warnings = found["warnings"]
    assert warnings["domain_distance"]["wrong"]["low"] > 0.9
    assert warnings["spread"]["wrong"]["value"] == 0.5
    assert warnings["domain_distance"]["scaffold_unseen"]["value"] > 0.9
    nothing = warnings["domain_distance"]["drug_unseen"]
    assert (nothing["value"], nothing["reason"]) == (None, "the pairs hold one class")
    assert found["inside"]["n"] + found["outside"]["n"] == 400
    assert found["outside"]["value"] > found["inside"]["value"]


def test_an_ensemble_is_no_baseline() -> None:
    config = build(ModelConfig, ENSEMBLE, "model").root
    with pytest.raises(ConfigError, match="ensemble is no classical model"):
        fit_classical(config, None, None, None)  # type: ignore[arg-type]
