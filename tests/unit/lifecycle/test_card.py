"""The model card says what the reports say, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from stages.dti.artifacts.measured import CountedShare
from stages.dti.config.dataset import Columns, DatasetConfig, LabelRule, Source, SourceFile
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import EnsembleConfig, LogisticRegressionConfig, MemberConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.features.store import PairData, Scaler, Scalers
from stages.dti.lifecycle.card import Measured, model_card
from stages.dti.lifecycle.gates import decide
from stages.dti.models.base import FitContext, Model
from stages.dti.prediction.folder import ModelFolder, Reference
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.calibration import Calibration
from stages.dti.uncertainty.conformal import ConformalSets
from tests.support.artifacts import (
    COVERAGE,
    VALIDATED,
    leakage,
    measure,
    metrics,
    prepared,
    strata,
    table,
    trained,
    validated,
)
from tests.support.prepared_tables import STANDARDISE


class Silent(Model):
    """A model that a card is written of; it is never asked."""

    @classmethod
    def fit(cls, config: Any, train: PairData, validation: PairData, context: FitContext) -> Silent:
        raise AssertionError

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        raise AssertionError

    def save(self, folder: Path) -> None:
        raise AssertionError

    @classmethod
    def load(cls, config: Any, folder: Path) -> Silent:
        raise AssertionError


def share(n: int, value: float, low: float, high: float) -> CountedShare:
    return CountedShare(n=n, value=value, low=low, high=high)


CONFORMAL = COVERAGE.model_copy(
    update={
        "coverage_interacts": share(25, 0.92, 0.74, 0.99),
        "coverage_no_interaction": share(75, 0.88, 0.78, 0.944),
        "both_fraction": 0.21,
    }
)


def of(value: float, **changes: Any) -> dict[str, Any]:
    """One model's metrics, each of them ``value``, as JSON."""
    entry = measure(value, value - 0.05, value + 0.05)
    return table(entry, n=100, prevalence=0.25, conformal=CONFORMAL, **changes)


DIFFERENCE = measure(0.3, 0.2, 0.4)
METRICS = metrics(
    of(0.8, model="logistic_regression"),
    {"base_rate": of(0.5)},
    {"base_rate": DIFFERENCE},
    n=100,
    prevalence=0.25,
    drugs=50,
    targets=12,
)


@pytest.fixture
def measured() -> Measured:
    scaler = Scaler(np.zeros(1, np.float32), np.ones(1, np.float32))
    targets = [f"T{number}" for number in range(12)]
    model = ModelFolder(
        config=LogisticRegressionConfig(
            name="logistic_regression", inverse_regularisation=0.01, max_iterations=123
        ),
        model=Silent(),
        scalers=Scalers(scaler, scaler),
        features=FeaturesConfig(
            fingerprint_radius=2, fingerprint_bits=64, max_residues=1200, kmer_bins=0
        ),
        standardise=STANDARDISE,
        calibration=Calibration(method="platt", slope=1.0, intercept=0.0),
        member_calibrations=(),
        threshold=0.375,
        threshold_metric="mcc",
        conformal=ConformalSets(
            coverage=0.9, positives=50, negatives=50, active_from=0.4, inactive_to=0.5
        ),
        domain=ApplicabilityDomain(drug_limit=0.4, target_limit=0.3),
        reference=Reference(
            drugs=pd.DataFrame(
                {"drug_id": ["D1", "D2"], "drug_name": None, "smiles": ["CCO", "CCN"]}
            ),
            fingerprints=np.zeros((2, 8), np.uint8),
            targets=pd.DataFrame(
                {
                    "target_id": targets,
                    "target_name": None,
                    "organism": None,
                    "target_class": None,
                    "sequence": targets,
                    "in_train": True,
                }
            ),
            # 12 targets: ten with two pairs, two with one: the ten hold 20 of 22.
            pairs=np.array(
                [(d, t) for t in range(12) for d in range(2 if t < 10 else 1)], np.int32
            ),
        ),
        seed=3,
        dataset="kiba",
        data_sha256={"data/interim/interactions.parquet": "e" * 64},
        validation_metrics=VALIDATED,
    )
    source = Source(
        format="pairs",
        files={"pairs": SourceFile(url="pairs.csv")},
        columns=Columns(affinity="kd_nm"),
        label=LabelRule(
            rule="threshold",
            unit="nM",
            stronger="lower",
            positive_threshold=100,
            negative_threshold=10000,
        ),
        licence="CC BY-SA | 3.0",
        homepage="https://example.org",
    )
    decision = decide(
        METRICS,
        "f" * 64,
        None,
        PromoteConfig(
            metric="auroc",
            floor=0.7,
            must_beat=["base_rate"],
            must_beat_margin=0,
            max_loss_to_previous=0,
            golden_pairs=1,
        ),
        EnvironmentConfig(name="dev", alias="production", promotion="automatic"),
    )
    return Measured(
        model=model,
        dataset=DatasetConfig(sources={"assays": source}),
        prepare=prepared(),
        leakage=leakage(),
        validation=validated(),
        training=trained(),
        metrics=METRICS,
        strata=strata(),
        confidence=0.9,
        decision=decision,
    )


def test_card_states_what_was_measured(measured: Measured) -> None:
    card = model_card(measured)
    for fact in (
        "# Model card: logistic_regression",
        "| assays | CC BY-SA \\| 3.0 | https://example.org | "
        "interacts if ≤ 100 nM, does not if ≥ 10,000 nM |",
        "1,200 rows were read; 100 were merged as repeats of a pair and 100 refused "
        "(conflicting_labels 40, invalid_smiles 60)",
        "1,000 pairs of 500 drugs and 12 targets, 250 of them interacting (25.0%)",
        "99.5 of 100, 19 of 20 checks passed",
        "## Split: random, seed 5",
        "In brackets: 90% bootstrap intervals",
        "\n".join(f"| {part} | 80 | 40 | 12 | 20 |" for part in ("train", "val", "test")) + "\n\n",
        "Test shares 0 pairs, 33 drugs and 11 targets with train",
        "max_iterations 123",
        "not fitted step by step",
        "threshold (0.3750 on the probability, for the best mcc)",
        "77 validation pairs, where AUROC was 0.810",
        "| **logistic_regression (this model)** | 0.800 (0.750 to 0.850) |",
        "| base_rate | 0.500 (0.450 to 0.550) |",
        "Strongest baseline by AUROC: better than base_rate",
        "the truth for 90.0% of the pairs of either class. On the test set they do for 0.920 "
        "(0.740 to 0.990) of the interacting pairs and 0.880 (0.780 to 0.944) of the others: as "
        "promised. 21.0% of the sets hold both answers, 0.0% none.",
        "Weakest where measured: drug unseen, target seen, AUROC 0.600",
        "nothing is claimed: drug unseen, target unseen (no test pair belongs here)",
        "the 10 most frequent targets hold 91% of them",
        f"| model | `{'f' * 64}` |",
        f"| data/interim/interactions.parquet | `{'e' * 64}` |",
        "## Ethics",
        "## Intended use",
    ):
        assert fact in card


def test_an_ensemble_is_told_member_by_member(measured: Measured) -> None:
    single = measured.model.config
    assert isinstance(single, LogisticRegressionConfig)
    config = EnsembleConfig(
        name="ensemble",
        combine="mean",
        inverse_regularisation=1.0,
        members={"linear": MemberConfig(config=single, seeds=3, snapshots=1)},
    )
    members = {
        "linear": {"0": {"epochs": 0, "best_epoch": None}},
        "boosted": {
            "0": {"epochs": 40, "best_epoch": 29},
            "2": {"epochs": 20, "best_epoch": 9},
            "10": {"epochs": 30, "best_epoch": 19},
        },
    }
    model = replace(measured.model, config=config)
    card = model_card(replace(measured, model=model, training=trained(members=members)))
    assert "members.linear.config.max_iterations 123" in card
    assert "members.linear.seeds 3" in card
    assert (
        "boosted 0: 40 epochs or rounds, the best one number 29; "
        "boosted 2: 20 epochs or rounds, the best one number 9; "
        "boosted 10: 30 epochs or rounds, the best one number 19; "
        "linear 0: not fitted step by step." in card
    )


def test_tables_are_whole(measured: Measured) -> None:
    rows = [line for line in model_card(measured).splitlines() if line.startswith("|")]
    widths = {}
    for previous, line in zip(["", *rows], rows, strict=False):
        cells = line.replace("\\|", "").count("|")
        if set(line) <= set("| -"):
            widths[previous] = cells
            assert cells == previous.count("|")
    assert len(widths) == 6


def test_a_cold_split_makes_no_excuse_for_a_random_one(measured: Measured) -> None:
    cold = replace(measured, leakage=leakage(kind="cold_pair"))
    excuse = "say little about drugs or targets far from train"
    assert excuse in model_card(measured)
    assert excuse not in model_card(cold)


def test_a_published_split_is_no_better_excuse(measured: Measured) -> None:
    published = replace(measured, leakage=leakage(kind="published"))
    assert "The split is published: its results say little" in model_card(published)


def test_every_part_that_holds_pairs_is_told(measured: Measured) -> None:
    parts = measured.leakage.parts
    unused = parts["test"].model_copy(update={"pairs": 7})
    adapted = parts | {"adapt": parts["test"], "unused": unused}
    card = model_card(replace(measured, leakage=leakage(parts=adapted)))
    assert "| adapt | 80 | 40 | 12 | 20 |\n| unused | 7 | 40 | 12 | 20 |" in card


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inclusive": False}, "interacts if < 100 nM, does not if > 10,000 nM"),
        (
            {"stronger": "higher", "positive_threshold": 8, "negative_threshold": 5, "unit": "pKd"},
            "interacts if ≥ 8 pKd, does not if ≤ 5 pKd",
        ),
        ({"negative_threshold": 100, "inclusive": False}, "| interacts if < 100 nM |"),
    ],
)
def test_the_label_rule_in_words(measured: Measured, changes: dict[str, Any], words: str) -> None:
    source = measured.dataset.sources["assays"]
    rule = source.label.model_copy(update=changes)
    dataset = DatasetConfig(sources={"assays": source.model_copy(update={"label": rule})})
    assert words in model_card(replace(measured, dataset=dataset))


def test_a_baseline_that_is_the_model_or_was_tested_on_fewer_pairs_says_so(
    measured: Measured,
) -> None:
    baselines = {"base_rate": of(0.5), "linear": of(0.8), "before": of(0.7) | {"n": 60}}
    found = metrics(of(0.8), baselines, {}, ["linear"], n=100)
    card = model_card(replace(measured, metrics=found))
    assert "| linear (the same as this model) | 0.800" in card
    assert "| before (on 60 of the pairs) | 0.700" in card
    assert "| base_rate | 0.500" in card


def test_a_refusal_is_told_check_by_check(measured: Measured) -> None:
    check = measured.decision.checks[0].model_copy(update={"passed": False, "reason": "too low"})
    refused = measured.decision.model_copy(update={"checks": [check]})
    card = model_card(replace(measured, decision=refused))
    assert "| floor | failed | too low |" in card
    assert "| not worse than the promoted model | does not apply | no model was" in model_card(
        measured
    )


def test_the_same_facts_give_the_same_bytes(measured: Measured) -> None:
    assert model_card(measured) == model_card(measured)
