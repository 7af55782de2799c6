"""Target features from the amino-acid sequence: residue tokens, sequence descriptors and, if the
configuration names a language model, its embeddings.

Each target is computed from its own sequence alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from Bio.Data.IUPACData import protein_weights
from Bio.SeqUtils.IsoelectricPoint import negative_pKs, positive_pKs
from Bio.SeqUtils.ProtParamData import kd as kyte_doolittle
from numpy.typing import NDArray

from stages.dti.config.features import FeaturesConfig
from stages.dti.errors import InvalidInputError
from stages.dti.features.embeddings import embed_sequences
from stages.dti.features.store import TargetFeatures
from stages.dti.paths import CACHE, ROOT
from stages.dti.runtime.progress import ProgressLog

RESIDUE_ALPHABET = "ACBEDGFIHKMLONQPSRUTWVYXZ"
"""Letter i has token i + 1: the published DrugBAN code's table, so that its numbers are ours."""

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 standard amino acids, in the order of the composition columns."""

# Average mass of each free amino acid, Da.
_MASS = {letter: protein_weights[letter] for letter in (*AMINO_ACIDS, "U", "O")}
_MASS |= {"B": (_MASS["D"] + _MASS["N"]) / 2, "Z": (_MASS["E"] + _MASS["Q"]) / 2}
_MASS |= {"X": sum(_MASS[letter] for letter in AMINO_ACIDS) / 20}
_WATER_MASS = 18.0153

# pKa of side chains and ends, Bjellqvist et al., Electrophoresis 14 (1993) 1023. Biopython's own
# N terminus has 7.5, and another pKa where certain residues stand there; here it is one of 7.7.
_POSITIVE_PKA = {letter: positive_pKs[letter] for letter in "KRH"}
_NEGATIVE_PKA = {letter: negative_pKs[letter] for letter in "DECY"}
_N_TERMINUS_PKA, _C_TERMINUS_PKA = 7.7, negative_pKs["Cterm"]

# The last three: formers of helix, sheet and turn, Chou and Fasman, Biochemistry 13 (1974) 222.
_GROUPS = {
    "tiny": "ACGST",
    "aliphatic": "ILV",
    "aromatic": "FWY",
    "polar": "DEHKNQRSTY",
    "positive": "HKR",
    "negative": "DE",
    "helix": "ALEMQKRH",
    "sheet": "VIYCWFT",
    "turn": "GNPSD",
}

PHYSICO_CHEMISTRY = (
    "residues",
    "log_residues",
    "molecular_weight_da",
    "charge_ph7",
    "isoelectric_point",
    "gravy",
    "aromaticity",
    "aliphatic_index",
    "extinction_280nm",
    "entropy_bits",
    "nonstandard_fraction",
    *(f"{name}_fraction" for name in _GROUPS),
)
"""Columns of the physico-chemical descriptors."""

_LETTERS = len(RESIDUE_ALPHABET)
_STANDARD_COLUMN = np.array(
    [AMINO_ACIDS.find(letter) for letter in " " + RESIDUE_ALPHABET], dtype=np.int64
)
_LETTER = np.frombuffer(f" {RESIDUE_ALPHABET}".encode("ascii"), dtype=np.uint8)
_TOKEN = np.zeros(128, dtype=np.uint8)
_TOKEN[[ord(letter) for letter in RESIDUE_ALPHABET]] = np.arange(1, _LETTERS + 1)


def target_descriptor_names(kmer_bins: int) -> tuple[str, ...]:
    """Return the columns of the target descriptors.

    Order: physico-chemistry, amino-acid fractions (20), dipeptide fractions (400), and for each
    of ``kmer_bins`` bins whether any of the sequence's 3-mers is hashed into it (0 or 1).
    """
    return (
        *PHYSICO_CHEMISTRY,
        *(f"fraction_{letter}" for letter in AMINO_ACIDS),
        *(f"dipeptide_{first}{second}" for first, second in product(AMINO_ACIDS, repeat=2)),
        *(f"kmer_bin_{number}" for number in range(kmer_bins)),
    )


def featurize_targets(
    sequences: Sequence[str],
    config: FeaturesConfig,
    *,
    cache: Path | None = None,
    threads: int | None = 1,
    progress: bool = False,
) -> tuple[TargetFeatures, dict[int, str]]:
    """Compute every target's features.

    Tokens and embeddings are of the first ``config.max_residues`` residues; descriptors are of the
    whole sequence.

    Args:
        sequences: upper-case one-letter codes (``chemistry/sequences.py`` cleans them).
        cache: where embeddings are kept; ``None``: ``data/cache`` of this repository.
        threads: how many sequences a language model embeds at a time; ``None``: one per
            processor. For all else there is too little to do.
        progress: log how far it is, if it takes long.

    Returns:
        The features of the valid targets, in order, and the reason for each other input position.
    """
    residues: list[NDArray[np.uint8]] = []
    kept: list[str] = []
    rows: list[NDArray[np.float32]] = []
    rejected: dict[int, str] = {}
    told = ProgressLog("targets featurized", len(sequences)) if progress else None
    for position, sequence in enumerate(sequences):
        if told:
            told.advance()
        try:
            tokens = residue_tokens(sequence)
        except InvalidInputError as error:
            rejected[position] = str(error)
            continue
        residues.append(tokens[: config.max_residues])
        kept.append(sequence[: config.max_residues])
        rows.append(descriptors(tokens, config.kmer_bins))
    embedded = [np.zeros((0, 0), np.float32)] * len(kept)
    if config.embedding is not None and kept:
        embedded = embed_sequences(
            kept,
            config.embedding,
            ROOT / CACHE if cache is None else cache,
            threads=threads,
            progress=progress,
        )
    features = TargetFeatures(
        residues=np.concatenate([np.zeros(0, np.uint8), *residues]),
        residue_offsets=_offsets(residues),
        descriptors=np.array(rows, dtype=np.float32).reshape(
            len(rows), len(target_descriptor_names(config.kmer_bins))
        ),
        embeddings=np.concatenate(embedded) if embedded else np.zeros((0, 0), np.float32),
        embedding_offsets=_offsets(embedded),
    )
    return features, rejected


def residue_tokens(sequence: str) -> NDArray[np.uint8]:
    """Return the whole sequence as tokens 1–25, uint8 ``(residues,)``.

    Raises:
        InvalidInputError: it is empty, or holds a letter outside ``RESIDUE_ALPHABET``.
    """
    if not isinstance(sequence, str) or not sequence:
        raise InvalidInputError("the sequence is empty")
    codes = np.frombuffer(sequence.encode("utf-32-le"), dtype=np.uint32)
    tokens = _TOKEN[np.minimum(codes, 127)]
    unknown = np.flatnonzero(tokens == 0)
    if len(unknown):
        first = int(unknown[0])
        raise InvalidInputError(
            f"{sequence[first]!r} at residue {first + 1} is no amino-acid letter; "
            f"known are {''.join(sorted(RESIDUE_ALPHABET))}"
        )
    return tokens


def sequences_of(residues: NDArray[np.uint8], offsets: NDArray[np.int64]) -> list[str]:
    """Return the residues of each target as letters: the inverse of ``residue_tokens``."""
    letters = _LETTER[residues]
    return [letters[start:end].tobytes().decode("ascii") for start, end in pairwise(offsets)]


def descriptors(tokens: NDArray[np.uint8], kmer_bins: int) -> NDArray[np.float32]:
    """Describe a whole sequence: float32, columns as ``target_descriptor_names`` has them."""
    counts = np.bincount(tokens, minlength=_LETTERS + 1)[1:]
    columns = _STANDARD_COLUMN[tokens]
    standard = np.bincount(columns[columns >= 0], minlength=20)
    first, second = columns[:-1], columns[1:]
    both = (first >= 0) & (second >= 0)
    dipeptides = np.bincount(first[both] * 20 + second[both], minlength=400)
    values = np.concatenate(
        [
            _physico_chemistry(dict(zip(RESIDUE_ALPHABET, counts.tolist(), strict=True))),
            standard / len(tokens),
            dipeptides / max(1, len(tokens) - 1),
            _hashed_kmers(tokens, kmer_bins),
        ]
    )
    return values.astype(np.float32)


def _offsets(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)


def _hashed_kmers(tokens: NDArray[np.uint8], bins: int) -> NDArray[np.bool_]:
    letters = tokens.astype(np.int64) - 1
    numbers = (letters[:-2] * _LETTERS + letters[1:-1]) * _LETTERS + letters[2:]
    # Knuth's multiplicative hash, scaled to the bins: the same on every machine and in every run.
    scattered = numbers * 2654435761 % 2**32
    occurs = np.zeros(bins, dtype=bool)
    if bins:
        occurs[scattered * bins >> 32] = True
    return occurs


def _physico_chemistry(counts: dict[str, int]) -> NDArray[np.float64]:
    total = sum(counts.values())
    standard = {letter: counts[letter] for letter in AMINO_ACIDS}
    known = max(1, sum(standard.values()))
    fractions = np.array([count / known for count in standard.values() if count])
    return np.array(
        [
            total,
            np.log(total),
            sum(counts[x] * (_MASS[x] - _WATER_MASS) for x in counts) + _WATER_MASS,
            _charge(counts, 7.0),
            _isoelectric_point(counts),
            sum(standard[x] * kyte_doolittle[x] for x in standard) / known,
            sum(counts[x] for x in "FWY") / total,
            100 * (counts["A"] + 2.9 * counts["V"] + 3.9 * (counts["I"] + counts["L"])) / total,
            counts["W"] * 5500 + counts["Y"] * 1490 + counts["C"] // 2 * 125,
            -(fractions * np.log2(fractions)).sum() if len(fractions) else 0.0,
            1 - sum(standard.values()) / total,
            *(sum(counts[x] for x in group) / total for group in _GROUPS.values()),
        ],
        dtype=np.float64,
    )


def _charge(counts: dict[str, int], ph: float) -> float:
    """Net charge in elementary charges (Henderson–Hasselbalch), both ends free."""
    positive = 1 / (1 + 10 ** (ph - _N_TERMINUS_PKA))
    negative = 1 / (1 + 10 ** (_C_TERMINUS_PKA - ph))
    positive += sum(counts[x] / (1 + 10 ** (ph - pka)) for x, pka in _POSITIVE_PKA.items())
    negative += sum(counts[x] / (1 + 10 ** (pka - ph)) for x, pka in _NEGATIVE_PKA.items())
    return positive - negative


def _isoelectric_point(counts: dict[str, int]) -> float:
    """The pH at which the net charge is 0, by bisection to 1e-4."""
    low, high = 0.0, 14.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if _charge(counts, middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
