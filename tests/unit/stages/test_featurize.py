"""Stage featurize, on a handful of drugs and targets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.dti.config.features import EmbeddingConfig, FeaturesConfig, FeaturizeConfig
from stages.dti.errors import DataError
from stages.dti.features.drugs import DRUG_DESCRIPTORS
from stages.dti.features.store import FeatureStore, Scaler
from stages.dti.features.targets import featurize_targets
from stages.dti.paths import CACHE, DRUGS, FEATURES, FEATURIZE_METRICS, SPLITS, TARGETS, Paths
from stages.featurize import run
from tests.support.language_models import write_esm

CONFIG = FeaturesConfig(fingerprint_radius=2, fingerprint_bits=128, max_residues=30, kmer_bins=16)
QUIET = FeaturizeConfig(export_csv=False)
SMILES = ["CCO", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "CC(=O)Oc1ccccc1C(=O)O", "c1ccncc1"]
SEQUENCES = ["MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQ", "KVFGRCELAAAMKRHGLDNYRGYSLGNWVC"]


def interim(
    root: Path,
    smiles: list[str] = SMILES,
    sequences: list[str] = SEQUENCES,
    parts: tuple[str, ...] = ("train", "train", "val", "test"),
) -> Paths:
    """Write the stage's inputs: drug i is in part i, with every target."""
    drugs = pd.DataFrame({"drug_key": [f"D{i}" for i in range(len(smiles))], "smiles": smiles})
    targets = pd.DataFrame(
        {"target_key": [f"T{i}" for i in range(len(sequences))], "sequence": sequences}
    )
    splits = drugs[["drug_key"]].assign(split=parts[: len(drugs)])
    splits = splits.merge(targets[["target_key"]], how="cross")
    paths = Paths(inputs=root, outputs=root)
    for table, artefact in ((drugs, DRUGS), (targets, TARGETS), (splits, SPLITS)):
        table.to_parquet(paths.write(artefact), index=False)
    return paths


def test_store_metadata_and_metrics(tmp_path: Path) -> None:
    paths = interim(tmp_path)
    run(paths, features=CONFIG, featurize=QUIET)
    store = FeatureStore.open(paths.read(FEATURES))
    assert store.drug_table["drug_key"].tolist() == ["D0", "D1", "D2", "D3"]
    assert store.target_table["sequence"].tolist() == SEQUENCES
    assert store.drugs.fingerprints.shape == (4, 16)
    assert FeaturesConfig(**store.metadata["parameters"]) == CONFIG
    assert store.metadata["columns"]["drug_descriptors"] == list(DRUG_DESCRIPTORS)
    assert (
        len(store.metadata["columns"]["target_descriptors"]) == store.targets.descriptors.shape[1]
    )
    counts = json.loads(paths.read(FEATURIZE_METRICS).read_text())
    assert counts == {
        "drugs": 4,
        "drugs_rejected": 0,
        "drugs_in_train": 2,
        "atoms": 3 + 14 + 13 + 6,
        "bonds": 2 + 15 + 13 + 6,
        "targets": 2,
        "targets_rejected": 0,
        "targets_in_train": 2,
        "targets_cut": 1,
        "residues": 60,
    }
    assert not (paths.read(FEATURES) / "csv").exists()


def test_scalers_know_train_alone(tmp_path: Path) -> None:
    paths = interim(tmp_path)
    run(paths, features=CONFIG, featurize=QUIET)
    store = FeatureStore.open(paths.read(FEATURES))
    expected = Scaler.fit(np.asarray(store.drugs.descriptors[:2]))
    assert np.array_equal(store.scalers.drug_descriptors.mean, expected.mean)
    assert np.array_equal(store.scalers.drug_descriptors.scale, expected.scale)


def test_rejected_drugs_and_targets_have_a_reason_and_no_features(tmp_path: Path) -> None:
    smiles = [SMILES[0], "C1CC", *SMILES[2:]]
    paths = interim(tmp_path, smiles, [*SEQUENCES, "MKJV"])
    run(paths, features=CONFIG, featurize=QUIET)
    rejected = pd.read_parquet(paths.read(FEATURES) / "rejected.parquet")
    assert rejected[["key", "kind"]].to_numpy().tolist() == [["D1", "drug"], ["T2", "target"]]
    assert rejected["reason"].str.contains("C1CC|'J' at residue 3").all()
    store = FeatureStore.open(paths.read(FEATURES))
    assert store.drug_table["drug_key"].tolist() == ["D0", "D2", "D3"]
    assert len(store.drugs) == 3
    assert len(store.targets) == 2
    counts = json.loads(paths.read(FEATURIZE_METRICS).read_text())
    assert (counts["drugs_rejected"], counts["targets_rejected"]) == (1, 1)


@pytest.mark.parametrize(
    ("smiles", "sequences", "message"),
    [
        (["C1CC", "nonsense", "", "CX"], SEQUENCES, "none of the 4 drugs"),
        (SMILES, ["J", "1"], "none of the 2 targets"),
    ],
)
def test_nothing_valid_is_an_error_and_leaves_nothing_behind(
    smiles: list[str], sequences: list[str], message: str, tmp_path: Path
) -> None:
    paths = interim(tmp_path, smiles, sequences)
    with pytest.raises(DataError, match=message):
        run(paths, features=CONFIG, featurize=QUIET)
    assert not (tmp_path / FEATURES).exists()
    assert not (tmp_path / FEATURIZE_METRICS).exists()


def test_train_without_features_is_an_error(tmp_path: Path) -> None:
    paths = interim(tmp_path, parts=("val", "val", "test", "test"))
    with pytest.raises(DataError, match="of train has features"):
        run(paths, features=CONFIG, featurize=QUIET)


def test_csv_on_request_holds_the_same_numbers(tmp_path: Path) -> None:
    paths = interim(tmp_path)
    run(paths, features=CONFIG, featurize=FeaturizeConfig(export_csv=True))
    folder = paths.read(FEATURES)
    store = FeatureStore.open(folder)
    drugs = pd.read_csv(folder / "csv" / "drug_descriptors.csv")
    assert drugs["drug_key"].tolist() == ["D0", "D1", "D2", "D3"]
    assert np.array_equal(
        drugs[list(DRUG_DESCRIPTORS)].to_numpy(np.float32), store.drugs.descriptors
    )
    targets = pd.read_csv(folder / "csv" / "target_descriptors.csv")
    assert np.array_equal(
        targets.drop(columns="target_key").to_numpy(np.float32), store.targets.descriptors
    )
    fingerprints = pd.read_csv(folder / "csv" / "drug_fingerprints.csv")
    bits = [int(bit) for bit in fingerprints["set_bits"][1].split()]
    assert bits == np.flatnonzero(np.unpackbits(store.drugs.fingerprints[1])).tolist()


def test_embeddings_of_a_language_model_are_stored_and_pinned(tmp_path: Path) -> None:
    paths = interim(tmp_path)
    embedding = EmbeddingConfig(
        model=str(write_esm(tmp_path / "model")),
        revision="main",
        layer=-1,
        pooling="mean",
        window_residues=1022,
    )
    wanted = CONFIG.model_copy(update={"embedding": embedding})
    run(paths, features=wanted, featurize=QUIET)
    store = FeatureStore.open(paths.read(FEATURES))
    assert store.targets.embeddings.shape == (2, 16)
    assert store.targets.embedding_offsets.tolist() == [0, 1, 2]
    parameters = FeaturesConfig(**store.metadata["parameters"])
    assert parameters.embedding is not None
    assert parameters.embedding.sha256 is not None

    # What a server does with a target of the data set: the language model itself may be gone.
    shutil.rmtree(tmp_path / "model")
    served, _ = featurize_targets([SEQUENCES[1]], parameters, cache=tmp_path / CACHE)
    assert served.embeddings.tobytes() == store.targets.embeddings[1].tobytes()


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(interim(tmp_path / name), features=CONFIG, featurize=FeaturizeConfig(export_csv=True))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert FEATURES / "metadata.json" in files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_published_data_is_featurized_whole(mirror: Path, tmp_path: Path) -> None:
    folder = mirror / "peizhenbai/DrugBAN/main/datasets/human/random"
    table = pd.read_csv(folder / "val.csv")
    smiles, sequences = (table[column].unique()[:150].tolist() for column in ("SMILES", "Protein"))
    paths = interim(tmp_path, smiles, sequences, parts=("train",) * len(smiles))
    run(paths, features=CONFIG, featurize=QUIET)
    store = FeatureStore.open(paths.read(FEATURES))
    assert (len(store.drugs), len(store.targets)) == (len(smiles), len(sequences))
    assert np.isfinite(store.drugs.descriptors).all()
    assert np.isfinite(store.targets.descriptors).all()
