"""The feature store: one row per unique drug and per unique target, memory-mapped, no pickle.

Ragged data (atoms, bonds, residues, embeddings) is concatenated; ``*_offsets`` of length ``n + 1``
say where each drug or target begins and ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.errors import ModelError
from stages.dti.files import write_json

FEATURE_VERSION = 2
"""Raised whenever a featurizer's output changes; a model refuses features of another version."""

ATOM_DIM = 74
"""Width of the atom features (``features/drugs.py`` names each column)."""

PADDING_TOKEN = 0
RESIDUE_TOKENS = 26
"""Number of residue tokens: 0 pads, 1–25 are the letters that ``features/targets.py`` knows."""


@dataclass(frozen=True)
class DrugFeatures:
    """Features of ``n`` unique drugs.

    Attributes:
        atoms: int8 ``(total_atoms, ATOM_DIM)``.
        atom_offsets: int64 ``(n + 1,)``.
        bonds: int32 ``(total_bonds, 2)``; atom numbers within the molecule, each bond once.
        bond_offsets: int64 ``(n + 1,)``.
        fingerprints: uint8 ``(n, bits / 8)``, Morgan bits packed by ``numpy.packbits``.
        descriptors: float32 ``(n, descriptors)``, unscaled; ``(n, 0)`` if they were left out.
    """

    atoms: NDArray[np.int8]
    atom_offsets: NDArray[np.int64]
    bonds: NDArray[np.int32]
    bond_offsets: NDArray[np.int64]
    fingerprints: NDArray[np.uint8]
    descriptors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.atom_offsets) - 1


@dataclass(frozen=True)
class TargetFeatures:
    """Features of ``n`` unique targets.

    Attributes:
        residues: uint8 ``(total_residues,)``, tokens 1–25.
        residue_offsets: int64 ``(n + 1,)``.
        descriptors: float32 ``(n, descriptors)``, unscaled sequence descriptors.
        embeddings: float32 ``(total_rows, dim)``, of a protein language model: one row per target
            or one per residue (``features.embedding.pooling``); ``(0, 0)`` without one.
        embedding_offsets: int64 ``(n + 1,)``, rows of ``embeddings``; all 0 without one.
    """

    residues: NDArray[np.uint8]
    residue_offsets: NDArray[np.int64]
    descriptors: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    embedding_offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.residue_offsets) - 1


@dataclass(frozen=True)
class Scaler:
    """Standardisation fitted on the drugs or targets of train: ``(x - mean) / scale``.

    Attributes:
        mean: float32 ``(columns,)``.
        scale: float32 ``(columns,)``; 1 where a column is constant in train.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, rows: NDArray[np.float32]) -> Scaler:
        """Fit on ``rows`` of shape ``(n, columns)``."""
        wide = np.asarray(rows, dtype=np.float64)
        mean, scale = wide.mean(axis=0), wide.std(axis=0)
        # A constant column can have a deviation of a rounding error, relative to its size.
        scale[scale < 1e-9 * np.maximum(1, np.abs(mean))] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def transform(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``rows`` scaled, float32, same shape."""
        return (np.asarray(rows, dtype=np.float32) - self.mean) / self.scale


@dataclass(frozen=True)
class Scalers:
    """One scaler per dense feature type."""

    drug_descriptors: Scaler
    target_descriptors: Scaler

    def save(self, path: Path) -> None:
        """Write ``path`` (safetensors)."""
        from safetensors.numpy import save_file

        arrays = {}
        for field in fields(self):
            scaler: Scaler = getattr(self, field.name)
            arrays[f"{field.name}.mean"] = np.ascontiguousarray(scaler.mean)
            arrays[f"{field.name}.scale"] = np.ascontiguousarray(scaler.scale)
        save_file(arrays, path)

    @classmethod
    def load(cls, path: Path) -> Scalers:
        """Read what ``save`` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(path)
        return cls(
            **{
                field.name: Scaler(arrays[f"{field.name}.mean"], arrays[f"{field.name}.scale"])
                for field in fields(cls)
            }
        )


@dataclass(frozen=True)
class PairData:
    """Pairs to train on or to score, as row numbers into unique drugs and targets.

    Attributes:
        drug_index: int64 ``(pairs,)``, rows of ``drugs``.
        target_index: int64 ``(pairs,)``, rows of ``targets``.
        labels: float32 ``(pairs,)`` of 0 and 1, or ``None`` when scoring.
        weights: float32 ``(pairs,)``, how much each pair counts when a model is fitted; ``None``:
            all the same.
    """

    drugs: DrugFeatures
    targets: TargetFeatures
    scalers: Scalers
    drug_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    labels: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.drug_index)


Features = TypeVar("Features", DrugFeatures, TargetFeatures)


@dataclass(frozen=True)
class FeatureStore:
    """What ``featurize`` writes and ``train`` reads.

    Attributes:
        drug_table: columns ``drug_key``, ``smiles``; row i belongs to row i of ``drugs``.
        target_table: columns ``target_key``, ``sequence``; likewise.
        metadata: feature version, parameters, column names, counts.
    """

    drugs: DrugFeatures
    targets: TargetFeatures
    scalers: Scalers
    drug_table: pd.DataFrame
    target_table: pd.DataFrame
    metadata: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write every array as its own ``.npy`` below an existing, empty ``folder``."""
        _save_arrays(self.drugs, folder / "drugs")
        _save_arrays(self.targets, folder / "targets")
        self.scalers.save(folder / "scalers.safetensors")
        self.drug_table.to_parquet(folder / "drugs.parquet", index=False)
        self.target_table.to_parquet(folder / "targets.parquet", index=False)
        write_json(folder / "metadata.json", self.metadata | {"feature_version": FEATURE_VERSION})

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Open a store; arrays are memory-mapped read-only.

        Raises:
            ModelError: the store was written by another feature version.
        """
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        if metadata["feature_version"] != FEATURE_VERSION:
            raise ModelError(
                f"{folder} holds feature version {metadata['feature_version']}, this code makes "
                f"{FEATURE_VERSION}; run `dvc repro featurize`"
            )
        return cls(
            drugs=_load_arrays(DrugFeatures, folder / "drugs"),
            targets=_load_arrays(TargetFeatures, folder / "targets"),
            scalers=Scalers.load(folder / "scalers.safetensors"),
            drug_table=pd.read_parquet(folder / "drugs.parquet"),
            target_table=pd.read_parquet(folder / "targets.parquet"),
            metadata=metadata,
        )

    def pairs(self, table: pd.DataFrame) -> PairData:
        """Return the pairs of ``table``, in order.

        Args:
            table: columns ``drug_key``, ``target_key`` and, unless there are none, ``label``.

        Raises:
            ModelError: a pair's drug or target has no features.
        """
        drug_index = pd.Index(self.drug_table["drug_key"]).get_indexer(table["drug_key"])
        target_index = pd.Index(self.target_table["target_key"]).get_indexer(table["target_key"])
        missing = int(((drug_index < 0) | (target_index < 0)).sum())
        if missing:
            raise ModelError(f"{missing} of {len(table)} pairs have no features; run `dvc repro`")
        return PairData(
            drugs=self.drugs,
            targets=self.targets,
            scalers=self.scalers,
            drug_index=drug_index.astype(np.int64),
            target_index=target_index.astype(np.int64),
            labels=table["label"].to_numpy(np.float32) if "label" in table else None,
        )


def _save_arrays(features: DrugFeatures | TargetFeatures, folder: Path) -> None:
    folder.mkdir(parents=True)
    for field in fields(features):
        np.save(folder / f"{field.name}.npy", getattr(features, field.name), allow_pickle=False)


def _load_arrays(kind: type[Features], folder: Path) -> Features:
    return kind(
        **{
            field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r", allow_pickle=False)
            for field in fields(kind)
        }
    )
