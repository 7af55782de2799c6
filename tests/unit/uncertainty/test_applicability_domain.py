"""The applicability domain: limits from train, and distances in units of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from stages.dti.chemistry.kmers import SequenceReference
from stages.dti.paths import ROOT, SAMPLE
from stages.dti.uncertainty import applicability_domain as module
from stages.dti.uncertainty.applicability_domain import MAX_LIMIT, ApplicabilityDomain

SMILES = pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=60)["smiles"].tolist()
SEQUENCES = pd.read_csv(ROOT / SAMPLE / "targets.csv", nrows=40)["sequence"].tolist()


def fingerprints() -> NDArray[np.uint8]:
    generator = GetMorganGenerator(radius=2, fpSize=1024)
    bits = [generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in SMILES]
    return np.packbits(np.array(bits), axis=1)


def nearest_other_drugs() -> list[float]:
    generator = GetMorganGenerator(radius=2, fpSize=1024)
    made = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in SMILES]
    return [
        max(DataStructs.BulkTanimotoSimilarity(one, made[:row] + made[row + 1 :]))
        for row, one in enumerate(made)
    ]


def test_the_drug_limit_is_the_fifth_percentile_of_the_nearest_other() -> None:
    nearest = sorted(nearest_other_drugs())
    found = ApplicabilityDomain.fit(fingerprints(), SEQUENCES)
    assert found.drug_limit == pytest.approx(nearest[int(0.05 * (len(nearest) - 1))], abs=1e-6)


def test_all_but_a_twentieth_of_train_would_be_inside_if_it_were_new() -> None:
    found = ApplicabilityDomain.fit(fingerprints(), SEQUENCES)
    drug = np.array(nearest_other_drugs(), dtype=np.float32)
    inside = found.distance(drug, np.ones(len(drug), dtype=np.float32)) <= 1
    assert 0.9 <= inside.mean() <= 1
    target = np.array(
        [
            SequenceReference.fit(SEQUENCES[:row] + SEQUENCES[row + 1 :]).nearest([one])[0]
            for row, one in enumerate(SEQUENCES)
        ]
    )
    inside = found.distance(np.ones(len(target), dtype=np.float32), target) <= 1
    assert 0.9 <= inside.mean() <= 1


def test_the_farther_side_decides_and_the_limit_is_at_one() -> None:
    found = ApplicabilityDomain(drug_limit=0.5, target_limit=0.2)
    drug = np.array([1.0, 0.5, 0.75, 1.0, 0.0], dtype=np.float32)
    target = np.array([1.0, 1.0, 0.2, 0.0, 1.0], dtype=np.float32)
    np.testing.assert_allclose(found.distance(drug, target), [0, 1, 1, 1.25, 2], rtol=1e-6)


def test_a_train_set_of_copies_does_not_exclude_all_others() -> None:
    copies = np.repeat(fingerprints()[:1], 5, axis=0)
    assert ApplicabilityDomain.fit(copies, SEQUENCES[:1] * 3).drug_limit == MAX_LIMIT
    assert ApplicabilityDomain.fit(copies, SEQUENCES[:1] * 3).target_limit == MAX_LIMIT


def test_one_drug_and_one_target_have_no_neighbours_to_ask() -> None:
    found = ApplicabilityDomain.fit(fingerprints()[:1], SEQUENCES[:1])
    assert found == ApplicabilityDomain(drug_limit=0.0, target_limit=0.0)


def test_a_large_train_set_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ApplicabilityDomain.fit(fingerprints(), SEQUENCES)
    monkeypatch.setattr(module, "SAMPLED", 30)
    sampled = ApplicabilityDomain.fit(fingerprints(), SEQUENCES)
    assert sampled.drug_limit == pytest.approx(whole.drug_limit, abs=0.15)
