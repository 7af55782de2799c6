"""Part ``adapt``: unlabelled pairs of the test domain, which no other part shares."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from stages.dti.config.base import build
from stages.dti.config.split import ADAPTABLE, SplitConfig
from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.errors import ConfigError, LeakageError
from tests.support.split_tables import KINDS, config, parts_of, sample, with_parts


@cache
def parts(kind: str, adapt_fraction: float) -> np.ndarray:
    return parts_of(sample(), config(kind, adapt_fraction=adapt_fraction))


def report(split: np.ndarray, kind: str, adapt_fraction: float) -> dict[str, Any]:
    return leakage_report(
        with_parts(sample(), split), *sample(), config(kind, adapt_fraction=adapt_fraction)
    ).plain()


@pytest.mark.parametrize("kind", ADAPTABLE)
def test_the_share_comes_out_of_test_and_of_nothing_else(kind: str) -> None:
    plain, adapting = parts(kind, 0.0), parts(kind, 0.6)
    adapt = adapting == "adapt"
    assert adapt.sum() == round(0.6 * (plain == "test").sum())
    assert (plain[adapt] == "test").all()
    assert (plain[~adapt] == adapting[~adapt]).all()


@pytest.mark.parametrize("kind", ADAPTABLE)
def test_the_report_counts_it_and_holds_it_to_the_claims_of_test(kind: str) -> None:
    found = report(parts(kind, 0.6), kind, 0.6)
    assert found["parts"]["adapt"]["pairs"] == (parts(kind, 0.6) == "adapt").sum()
    assert found["overlap"]["adapt_test"]["pairs"] == 0
    assert found["overlap"]["adapt_train"]["pairs"] == 0
    if kind in ("cold_pair", "cluster"):
        assert found["overlap"]["adapt_train"] == {"pairs": 0, "drugs": 0, "targets": 0}
    assert {claim["name"] for claim in found["claims"]} > {"adapt_fraction", "parts_known"}
    assert sum(part["pairs"] for part in found["parts"].values()) == 5000


def test_similarities_to_train_are_those_of_the_test_pairs_alone() -> None:
    found = report(parts("cold_pair", 0.6), "cold_pair", 0.6)
    histogram = found["nearest_train_similarity"]["drug"]["histogram"]["pairs"]
    assert sum(histogram) == (parts("cold_pair", 0.6) == "test").sum()


def test_without_a_fraction_nothing_changes_in_the_report() -> None:
    found = report(parts("cold_pair", 0.0), "cold_pair", 0.0)
    assert "adapt" not in found["parts"]
    assert not [name for name in found["overlap"] if "adapt" in name]


def test_the_labels_play_no_part_in_the_choice() -> None:
    """Pairs of either class are as likely to be set aside."""
    label = sample().interactions["label"].to_numpy()
    shares = []
    for seed in range(20):
        split = parts_of(sample(), config("cold_drug", adapt_fraction=0.5, seed=seed))
        domain = np.isin(split, ["test", "adapt"])
        shares.append(label[split == "adapt"].mean() - label[domain].mean())
    assert abs(np.mean(shares)) < 3 * np.std(shares) / np.sqrt(20)
    assert np.std(shares) > 0.002  # a stratified choice would vary by rounding alone


def test_a_drug_of_train_among_the_pairs_to_adapt_to_breaks_the_claim() -> None:
    split = parts("cold_drug", 0.6).copy()
    split[np.flatnonzero(split == "train")[0]] = "adapt"
    with pytest.raises(LeakageError, match="drugs_disjoint"):
        report(split, "cold_drug", 0.6)


def test_one_too_many_breaks_the_claim() -> None:
    split = parts("cold_drug", 0.6).copy()
    split[np.flatnonzero(split == "test")[:2]] = "adapt"
    with pytest.raises(LeakageError, match="adapt_fraction"):
        report(split, "cold_drug", 0.6)


def test_pairs_to_adapt_to_are_unknown_where_none_were_asked_for() -> None:
    with pytest.raises(LeakageError, match="parts_known"):
        report(parts("cold_drug", 0.6), "cold_drug", 0.0)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(ADAPTABLE)))
def test_where_test_is_no_domain_of_its_own_it_is_refused(kind: str) -> None:
    values = config(kind).model_dump() | {"adapt_fraction": 0.5}
    with pytest.raises(ConfigError, match=f"test pairs of split {kind} are of no other domain"):
        build(SplitConfig, values, "split")
