"""Strata: who belongs where, against a plain selection of rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.metrics import Comparison, ModelOutput
from stages.dti.evaluation.strata import stratify

CONFIG = EvaluateConfig(
    bootstrap_samples=100,
    confidence=0.95,
    seed=0,
    calibration_bins=10,
    similarity_edges=[0.0, 0.3, 0.5, 0.7, 1.0],
    robustness_pairs=0,
    pretrained={},
)


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    """300 pairs; no unseen target beside an unseen drug, no drug below 0.3."""
    random = np.random.default_rng(0)
    drug_seen = random.random(300) < 0.7
    return pd.DataFrame(
        {
            "label": (random.random(300) < 0.3).astype(np.int8),
            "drug_seen": drug_seen,
            "target_seen": (random.random(300) < 0.8) | ~drug_seen,
            "drug_similarity": np.where(drug_seen, 1.0, random.uniform(0.3, 0.7, 300)),
        }
    )


@pytest.fixture(scope="module")
def outputs(pairs: pd.DataFrame) -> dict[str, ModelOutput]:
    random = np.random.default_rng(1)
    made = {}
    for name, signal in (("candidate", 0.3), ("base_rate", 0.0)):
        scores = np.clip(0.3 + signal * pairs["label"] + 0.2 * random.normal(size=300), 0, 1)
        made[name] = ModelOutput(scores.to_numpy(), scores.to_numpy(), 0.5)
    return made


@pytest.fixture(scope="module")
def strata(pairs: pd.DataFrame, outputs: dict[str, ModelOutput]) -> dict[str, Any]:
    return stratify(pairs, outputs, CONFIG).plain()


def test_each_kind_of_strata_holds_every_pair_once(strata: dict[str, Any]) -> None:
    for kind in ("seen", "drug_similarity"):
        assert sum(stratum["n"] for stratum in strata[kind]) == 300


def test_strata_by_what_was_seen_equal_a_plain_selection(
    strata: dict[str, Any], pairs: pd.DataFrame, outputs: dict[str, ModelOutput]
) -> None:
    for stratum in strata["seen"][:3]:
        inside = (pairs["drug_seen"] == stratum["drug_seen"]) & (
            pairs["target_seen"] == stratum["target_seen"]
        )
        labels = pairs["label"][inside]
        assert stratum["n"] == inside.sum()
        assert stratum["prevalence"] == pytest.approx(labels.mean(), abs=1e-6)
        for name, output in outputs.items():
            made = stratum["models"][name]
            auroc = roc_auc_score(labels, output.scores[inside])
            auprc = average_precision_score(labels, output.scores[inside])
            assert made["auroc"]["value"] == pytest.approx(auroc, abs=1e-6)
            assert made["auprc"]["value"] == pytest.approx(auprc, abs=1e-6)
            assert made["auroc"]["low"] < made["auroc"]["value"] < made["auroc"]["high"]


def test_an_empty_stratum_says_so(strata: dict[str, Any]) -> None:
    unseen = strata["seen"][3]
    assert unseen["name"] == "drug unseen, target unseen"
    assert (unseen["n"], unseen["prevalence"]) == (0, None)
    assert unseen["reason"] == "no test pair belongs here"
    assert unseen["models"]["candidate"]["auroc"] == {"value": None, "low": None, "high": None}


def test_similarity_bins_hold_their_lower_edge_and_the_last_one_also_1() -> None:
    similarity = np.array([0.0, 0.29, 0.3, 0.5, 0.69, 0.7, 1.0, 1.0], dtype=np.float32)
    pairs = pd.DataFrame(
        {"label": 0, "drug_seen": True, "target_seen": True, "drug_similarity": similarity}
    )
    scores = np.zeros(8)
    made = stratify(pairs, {"candidate": ModelOutput(scores, scores, 0.5)}, CONFIG).plain()
    assert [stratum["n"] for stratum in made["drug_similarity"]] == [2, 1, 2, 3]
    assert [stratum["name"] for stratum in made["drug_similarity"]] == [
        "0 to below 0.3",
        "0.3 to below 0.5",
        "0.5 to below 0.7",
        "0.7 to 1",
    ]


def test_a_small_or_one_sided_stratum_is_counted_but_not_measured(
    pairs: pd.DataFrame, outputs: dict[str, ModelOutput]
) -> None:
    changed = pairs.assign(drug_similarity=1.0, label=1)
    changed.loc[:8, "drug_similarity"] = 0.1
    changed.loc[9:30, "label"] = 0
    made = stratify(changed, outputs, CONFIG).plain()["drug_similarity"]
    assert made[0]["n"] == 9
    assert made[0]["prevalence"] == 1
    assert made[0]["reason"].startswith("9 positive and 0 negative pairs")
    assert made[0]["models"]["base_rate"]["auprc"]["value"] is None
    assert "reason" not in made[3]


def test_one_stratum_of_all_pairs_equals_the_whole(
    pairs: pd.DataFrame, outputs: dict[str, ModelOutput]
) -> None:
    strata = stratify(pairs.assign(drug_similarity=1.0), outputs, CONFIG)
    everything = strata.drug_similarity[3].models["candidate"]
    whole = Comparison(pairs["label"], outputs, CONFIG).metrics("candidate")
    assert everything.auroc == whole["auroc"]
    assert everything.auprc == whole["auprc"]


def test_strata_are_plain_json(strata: dict[str, Any]) -> None:
    assert json.loads(json.dumps(strata, allow_nan=False)) == strata
    assert strata["minimum"] == {"pairs": 10, "per_class": 5}
