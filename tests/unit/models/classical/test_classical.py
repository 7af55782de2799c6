"""The classical models on real pairs: what they learn, and that a score is its pair's alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rdkit import DataStructs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from stages.dti.chemistry.kmers import nearest_sequence_similarity
from stages.dti.config.base import build
from stages.dti.config.model import AnyModel, BaselinesConfig, ModelConfig
from stages.dti.errors import ModelError
from stages.dti.features.store import PairData
from stages.dti.features.targets import sequences_of, target_descriptor_names
from stages.dti.models.base import FitContext, Model
from stages.dti.models.classical.gradient_boosting import GradientBoosting
from stages.dti.models.classical.logistic_regression import SCALED_LIMIT, WEIGHTS
from stages.dti.models.classical.nearest_neighbour import NearestNeighbour
from stages.dti.models.classical.pair_matrix import PairMatrix
from stages.dti.models.registry import load_model
from stages.dti.paths import ROOT
from stages.dti.training.classical import fit_classical
from tests.support.sample_pairs import alone, sample_pairs, take

CONF = ROOT / "conf"
# One thread: on a busy machine a team of them waits for its slowest at every small step.
QUICK = {"gradient_boosting": {"trees": 40, "early_stopping_rounds": 10}}
CONFIGS: dict[str, AnyModel] = {
    name: build(
        ModelConfig,
        yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text()) | QUICK.get(name, {}),
        "model",
    ).root
    for name in (
        "base_rate",
        "nearest_neighbour",
        "similarity_vote",
        "logistic_regression",
        "gradient_boosting",
    )
}
TRAIN, VALIDATION, TEST = slice(0, 450), slice(450, 540), slice(540, None)

Fit = Callable[[str], Model]


def fit_model(name: str, folder: Path, config: AnyModel | None = None) -> Model:
    pairs = sample_pairs()
    context = FitContext(seed=0, threads=1, workdir=folder, on_epoch=lambda metrics: None)
    return fit_classical(
        config or CONFIGS[name], take(pairs, TRAIN), take(pairs, VALIDATION), context
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    models: dict[str, Model] = {}

    def of(name: str) -> Model:
        if name not in models:
            models[name] = fit_model(name, tmp_path_factory.mktemp("work"))
        return models[name]

    return of


@pytest.fixture
def test_pairs() -> PairData:
    return take(sample_pairs(), TEST)


def test_these_are_the_default_baselines() -> None:
    lines = (CONF / "baselines" / "default.yaml").read_text()
    assert all(f"/model@{name}: {name}" in lines for name in CONFIGS)
    assert set(BaselinesConfig.model_validate({n: c.model_dump() for n, c in CONFIGS.items()}).root)


@pytest.mark.parametrize("name", CONFIGS)
class TestEveryModel:
    def test_scores_lie_in_0_to_1(self, name: str, fitted: Fit, test_pairs: PairData) -> None:
        scores = fitted(name).score(test_pairs)
        assert scores.dtype == np.float64
        assert scores.shape == (len(test_pairs),)
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_a_score_does_not_depend_on_the_other_pairs(
        self, name: str, fitted: Fit, test_pairs: PairData
    ) -> None:
        model = fitted(name)
        whole = model.score(test_pairs)
        generator = np.random.default_rng(1)
        for size in (1, 2, 3, 17, 64, len(test_pairs)):
            rows = generator.permutation(len(test_pairs))[:size]
            assert np.array_equal(model.score(take(test_pairs, rows)), whole[rows])
        rows = np.repeat(np.arange(len(test_pairs)), 50)
        assert np.array_equal(model.score(take(test_pairs, rows)), whole[rows])

    def test_a_score_does_not_depend_on_the_other_drugs_and_targets(
        self, name: str, fitted: Fit, test_pairs: PairData
    ) -> None:
        model = fitted(name)
        whole = model.score(test_pairs)
        for row in range(0, len(test_pairs), 7):
            assert model.score(alone(test_pairs, row)) == whole[row]

    def test_a_loaded_model_scores_bit_for_bit_alike(
        self, name: str, fitted: Fit, test_pairs: PairData, tmp_path: Path
    ) -> None:
        fitted(name).save(tmp_path)
        loaded = load_model(CONFIGS[name], tmp_path)
        assert np.array_equal(loaded.score(test_pairs), fitted(name).score(test_pairs))

    def test_two_fits_are_the_same_bytes(self, name: str, fitted: Fit, tmp_path: Path) -> None:
        for part, model in (("a", fitted(name)), ("b", fit_model(name, tmp_path))):
            (tmp_path / part).mkdir()
            model.save(tmp_path / part)
        (file,) = (tmp_path / "a").iterdir()
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()

    def test_no_pairs_give_no_scores(self, name: str, fitted: Fit, test_pairs: PairData) -> None:
        assert fitted(name).score(take(test_pairs, slice(0, 0))).shape == (0,)


@pytest.mark.parametrize(
    ("name", "least"),
    [("similarity_vote", 0.8), ("logistic_regression", 0.7), ("gradient_boosting", 0.75)],
)
def test_models_learn(name: str, least: float, fitted: Fit, test_pairs: PairData) -> None:
    assert roc_auc_score(test_pairs.labels, fitted(name).score(test_pairs)) > least


def test_base_rate_is_the_share_of_positives_in_train(fitted: Fit, test_pairs: PairData) -> None:
    labels = take(sample_pairs(), TRAIN).labels
    assert labels is not None
    assert set(fitted("base_rate").score(test_pairs)) == {int(labels.sum()) / 450}


def test_nearest_neighbour_is_its_definition(fitted: Fit, test_pairs: PairData) -> None:
    """Against plain loops, with RDKit's Tanimoto."""
    train = take(sample_pairs(), TRAIN)
    assert train.labels is not None
    config = CONFIGS["similarity_vote"]
    scores = fitted("similarity_vote").score(test_pairs)
    vectors = []
    for row in np.unpackbits(train.drugs.fingerprints, axis=1):
        vectors.append(DataStructs.CreateFromBitString("".join(map(str, row))))
    sequences = sequences_of(train.targets.residues, train.targets.residue_offsets)
    for row in range(0, len(test_pairs), 15):
        votes = []
        drug, target = vectors[test_pairs.drug_index[row]], test_pairs.target_index[row]
        for neighbour in range(len(train)):
            of_drug = DataStructs.TanimotoSimilarity(drug, vectors[train.drug_index[neighbour]])
            of_target = nearest_sequence_similarity(
                [sequences[target]], [sequences[train.target_index[neighbour]]]
            )[0]
            weight = (of_drug * float(of_target)) ** config.sharpness  # type: ignore[union-attr]
            votes.append((weight, train.labels[neighbour]))
        votes.sort(reverse=True)
        last = votes[config.neighbours - 1][0]  # type: ignore[union-attr]
        votes = [vote for vote in votes if vote[0] >= last * (1 - 1e-6)]
        expected = sum(w * y for w, y in votes) / sum(w for w, _ in votes)
        assert scores[row] == pytest.approx(expected, rel=1e-5)


def test_an_interacting_pair_of_train_is_its_own_neighbour(tmp_path: Path) -> None:
    train = take(sample_pairs(), TRAIN)
    config = CONFIGS["similarity_vote"].model_copy(update={"neighbours": 1})
    model = fit_model("similarity_vote", tmp_path, config)
    assert train.labels is not None
    # Some kinases of the sample share one sequence, some drugs one fingerprint: ties may disagree.
    assert np.mean(model.score(train).round() == train.labels) > 0.98


def test_the_order_of_train_does_not_matter_to_nearest_neighbour(
    fitted: Fit, test_pairs: PairData, tmp_path: Path
) -> None:
    train = take(sample_pairs(), TRAIN)
    shuffled = take(train, np.random.default_rng(3).permutation(len(train)))
    context = FitContext(seed=0, threads=1, workdir=tmp_path, on_epoch=lambda metrics: None)
    model = NearestNeighbour.fit(
        CONFIGS["similarity_vote"], shuffled, take(sample_pairs(), VALIDATION), context
    )
    expected = fitted("similarity_vote").score(test_pairs)
    assert np.array_equal(model.score(test_pairs), expected)


def test_without_any_similar_pair_the_base_rate_answers(fitted: Fit, test_pairs: PairData) -> None:
    blank = replace(test_pairs.drugs, fingerprints=np.zeros_like(test_pairs.drugs.fingerprints))
    scores = fitted("similarity_vote").score(replace(test_pairs, drugs=blank))
    assert set(scores) == set(fitted("base_rate").score(test_pairs))


def test_logistic_regression_is_scikit_learns_on_the_dense_matrix(
    fitted: Fit, test_pairs: PairData
) -> None:
    def dense(pairs: PairData) -> np.ndarray:
        drugs = pairs.scalers.drug_descriptors.transform(pairs.drugs.descriptors)
        targets = pairs.scalers.target_descriptors.transform(pairs.targets.descriptors)
        bits = np.unpackbits(pairs.drugs.fingerprints, axis=1)
        return np.hstack(
            [
                bits[pairs.drug_index],
                drugs.clip(-SCALED_LIMIT, SCALED_LIMIT)[pairs.drug_index],
                targets.clip(-SCALED_LIMIT, SCALED_LIMIT)[pairs.target_index][
                    :, : len(target_descriptor_names(0))
                ],
            ]
        ).astype(np.float64)

    train = take(sample_pairs(), TRAIN)
    reference = LogisticRegression(C=0.1, solver="newton-cholesky", tol=1e-12)
    reference.fit(dense(train), train.labels)
    expected = reference.predict_proba(dense(test_pairs))[:, 1]
    assert fitted("logistic_regression").score(test_pairs) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kernel", ["Haswell", "Prescott"])
def test_logistic_regression_is_the_same_bytes_whatever_the_processor(
    kernel: str, fitted: Fit, tmp_path: Path
) -> None:
    """Other kernels of the linear algebra sum in another order; here another process uses them."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.models.classical.test_classical import fit_model\n"
        "folder = Path(sys.argv[1])\n"
        "fit_model('logistic_regression', folder).save(folder)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "OPENBLAS_CORETYPE": kernel,
            "OPENBLAS_NUM_THREADS": "1",
        },
        check=True,
    )
    own = tmp_path / "own"
    own.mkdir()
    fitted("logistic_regression").save(own)
    assert (tmp_path / WEIGHTS).read_bytes() == (own / WEIGHTS).read_bytes()


def test_logistic_regression_that_finds_no_minimum_says_so(tmp_path: Path) -> None:
    config = CONFIGS["logistic_regression"].model_copy(update={"max_iterations": 1})
    with pytest.raises(ModelError, match="not at its minimum after 1 steps; raise"):
        fit_model("logistic_regression", tmp_path, config)


def test_gradient_boosting_reports_and_stops_early(tmp_path: Path) -> None:
    pairs = sample_pairs()
    epochs: list[dict[str, float]] = []
    config = CONFIGS["gradient_boosting"].model_copy(
        update={"trees": 500, "early_stopping_rounds": 10}
    )
    context = FitContext(seed=0, threads=1, workdir=tmp_path, on_epoch=epochs.append)
    model = GradientBoosting.fit(config, take(pairs, TRAIN), take(pairs, VALIDATION), context)
    assert [epoch["epoch"] for epoch in epochs] == [10.0 * i + 9 for i in range(len(epochs))]
    assert 0 < len(epochs) < 50
    assert set(epochs[0]) == {"epoch", "train_loss", "val_loss", "val_auroc"}
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    model.save(tmp_path)
    text = (tmp_path / "model.txt").read_text()
    assert text.count("\nTree=") < 10 * len(epochs) + 10
    assert "morgan_bit_0 " in text


def test_gradient_boosting_learns_train_by_heart(tmp_path: Path) -> None:
    train = take(sample_pairs(), TRAIN)
    config = CONFIGS["gradient_boosting"].model_copy(
        update={"trees": 100, "early_stopping_rounds": 100}
    )
    context = FitContext(seed=0, threads=1, workdir=tmp_path, on_epoch=lambda metrics: None)
    model = GradientBoosting.fit(config, train, train, context)
    assert roc_auc_score(train.labels, model.score(train)) > 0.99


def test_pair_matrix_holds_each_pairs_own_features(test_pairs: PairData) -> None:
    matrix = PairMatrix(test_pairs)
    rows = matrix.rows(3, 9)
    assert rows.shape == (6, matrix.width)
    assert rows.dtype == np.float32
    assert len(matrix.names()) == matrix.width
    for row, pair in zip(rows, range(3, 9), strict=True):
        drug, target = test_pairs.drug_index[pair], test_pairs.target_index[pair]
        assert np.array_equal(row[:512], np.unpackbits(test_pairs.drugs.fingerprints[drug]))
        assert np.array_equal(
            row[512:],
            np.concatenate(
                [test_pairs.drugs.descriptors[drug], test_pairs.targets.descriptors[target]]
            ),
        )
    assert matrix.names()[512] == "drug_MolWt"
