"""features/store.py: what is written is what is read, and nothing else is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.dti.config.features import FeaturesConfig
from stages.dti.errors import ModelError
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import FEATURE_VERSION, FeatureStore, Scaler, Scalers
from stages.dti.features.targets import featurize_targets

CONFIG = FeaturesConfig(fingerprint_radius=2, fingerprint_bits=64, max_residues=10, kmer_bins=8)
SMILES = ["CCO", "c1ccccc1O", "CC(=O)[O-]"]
SEQUENCES = ["MKVLAAGICQ", "ACDEFGHIKLMNPQRSTVWY"]


@pytest.fixture
def store() -> FeatureStore:
    drugs, _ = featurize_drugs(SMILES, CONFIG)
    targets, _ = featurize_targets(SEQUENCES, CONFIG)
    return FeatureStore(
        drugs=drugs,
        targets=targets,
        scalers=Scalers(Scaler.fit(drugs.descriptors), Scaler.fit(targets.descriptors)),
        drug_table=pd.DataFrame({"drug_key": ["D0", "D1", "D2"], "smiles": SMILES}),
        target_table=pd.DataFrame({"target_key": ["T0", "T1"], "sequence": SEQUENCES}),
        metadata={"parameters": CONFIG.model_dump()},
    )


def test_a_store_is_read_as_it_was_written(store: FeatureStore, tmp_path: Path) -> None:
    store.save(tmp_path)
    opened = FeatureStore.open(tmp_path)
    for part in ("drugs", "targets"):
        for name, array in vars(getattr(store, part)).items():
            read = getattr(getattr(opened, part), name)
            assert np.array_equal(read, array)
            assert read.dtype == array.dtype
    assert np.array_equal(
        opened.scalers.drug_descriptors.scale, store.scalers.drug_descriptors.scale
    )
    assert opened.drug_table.equals(store.drug_table)
    assert opened.metadata["parameters"] == CONFIG.model_dump()


def test_arrays_are_memory_mapped_and_read_only(store: FeatureStore, tmp_path: Path) -> None:
    store.save(tmp_path)
    atoms = FeatureStore.open(tmp_path).drugs.atoms
    assert isinstance(atoms, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        atoms[0, 0] = 1


def test_two_stores_of_the_same_features_are_the_same_bytes(
    store: FeatureStore, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store.save(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 10
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_store_of_another_feature_version_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    store.save(tmp_path)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    metadata["feature_version"] = FEATURE_VERSION + 1
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ModelError, match=f"feature version {FEATURE_VERSION + 1}"):
        FeatureStore.open(tmp_path)


def test_pairs_keep_the_order_of_the_table(store: FeatureStore) -> None:
    table = pd.DataFrame(
        {"drug_key": ["D2", "D0", "D2"], "target_key": ["T1", "T1", "T0"], "label": [1, 0, 1]}
    )
    pairs = store.pairs(table)
    assert pairs.drug_index.tolist() == [2, 0, 2]
    assert pairs.target_index.tolist() == [1, 1, 0]
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [1, 0, 1]


def test_a_pair_without_features_is_an_error(store: FeatureStore) -> None:
    table = pd.DataFrame({"drug_key": ["D0", "D9"], "target_key": ["T0", "T0"], "label": [1, 0]})
    with pytest.raises(ModelError, match="1 of 2 pairs have no features"):
        store.pairs(table)


def test_scaler_gives_mean_0_and_deviation_1() -> None:
    rows = np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32)
    scaler = Scaler.fit(rows)
    assert scaler.scale.tolist() == [1.0, 1.0]  # the second column is constant
    assert scaler.transform(rows).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert scaler.transform(rows).dtype == np.float32


def test_a_constant_column_is_not_scaled_by_its_rounding_error() -> None:
    rows = np.full((7, 1), 8631.7, dtype=np.float32)
    assert Scaler.fit(rows).scale.tolist() == [1.0]


def test_scalers_are_read_as_they_were_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scalers = Scalers(
        Scaler.fit(generator.normal(size=(5, 3)).astype(np.float32)),
        Scaler.fit(generator.normal(size=(4, 2)).astype(np.float32)),
    )
    scalers.save(tmp_path / "scalers.safetensors")
    read = Scalers.load(tmp_path / "scalers.safetensors")
    assert np.array_equal(read.drug_descriptors.mean, scalers.drug_descriptors.mean)
    assert np.array_equal(read.target_descriptors.scale, scalers.target_descriptors.scale)
