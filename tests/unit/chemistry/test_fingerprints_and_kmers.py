"""Tanimoto against RDKit; 4-mer similarity against plain sets and against alignment identity."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from scipy.stats import spearmanr

from stages.dti.chemistry.fingerprints import (
    ECFP4_BITS,
    ECFP4_RADIUS,
    morgan_fingerprints,
    nearest_tanimoto,
    tanimoto,
)
from stages.dti.chemistry.kmers import (
    KMER_LENGTH,
    SequenceReference,
    nearest_sequence_similarity,
    sequence_kmers,
)
from tests.support.split_tables import SAMPLE, smiles_and_sequences

SMILES, SEQUENCES = smiles_and_sequences(60, 40)

FAMILIES = {
    "MAPK": ("O15264", "P27361", "P28482", "P53778", "Q16539"),
    "CDK": ("P06493", "P24941", "Q00535", "P11802", "P50613"),
    "CK1": ("P48729", "P48730", "Q9HCP0"),
    "PKA": ("P17612", "P22694"),
    "others": ("O14965", "P11309", "P68400"),
}

AMINO_ACIDS = "ARNDCQEGHILKMFPSTWYV"
BLOSUM62 = np.loadtxt(
    """\
     4 -1 -2 -2  0 -1 -1  0 -2 -1 -1 -1 -1 -2 -1  1  0 -3 -2  0
    -1  5  0 -2 -3  1  0 -2  0 -3 -2  2 -1 -3 -2 -1 -1 -3 -2 -3
    -2  0  6  1 -3  0  0  0  1 -3 -3  0 -2 -3 -2  1  0 -4 -2 -3
    -2 -2  1  6 -3  0  2 -1 -1 -3 -4 -1 -3 -3 -1  0 -1 -4 -3 -3
     0 -3 -3 -3  9 -3 -4 -3 -3 -1 -1 -3 -1 -2 -3 -1 -1 -2 -2 -1
    -1  1  0  0 -3  5  2 -2  0 -3 -2  1  0 -3 -1  0 -1 -2 -1 -2
    -1  0  0  2 -4  2  5 -2  0 -3 -3  1 -2 -3 -1  0 -1 -3 -2 -2
     0 -2  0 -1 -3 -2 -2  6 -2 -4 -4 -2 -3 -3 -2  0 -2 -2 -3 -3
    -2  0  1 -1 -3  0  0 -2  8 -3 -3 -1 -2 -1 -2 -1 -2 -2  2 -3
    -1 -3 -3 -3 -1 -3 -3 -4 -3  4  2 -3  1  0 -3 -2 -1 -3 -1  3
    -1 -2 -3 -4 -1 -2 -3 -4 -3  2  4 -2  2  0 -3 -2 -1 -2 -1  1
    -1  2  0 -1 -3  1  1 -2 -1 -3 -2  5 -1 -3 -1  0 -1 -3 -2 -2
    -1 -1 -2 -3 -1  0 -2 -3 -2  1  2 -1  5  0 -2 -1 -1 -1 -1  1
    -2 -3 -3 -3 -2 -3 -3 -3 -1  0  0 -3  0  6 -4 -2 -2  1  3 -1
    -1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4  7 -1 -1 -4 -3 -2
     1 -1  1  0 -1  0  0  0 -1 -2 -2  0 -1 -2 -1  4  1 -3 -2 -2
     0 -1  0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1  1  5 -2 -2  0
    -3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1  1 -4 -3 -2 11  2 -3
    -2 -2 -2 -3 -2 -1 -2 -3  2 -1 -1 -2 -1  3 -3 -2 -2  2  7 -1
     0 -3 -3 -3 -1 -2 -2 -3 -3  3  1 -2  1 -1 -2 -2  0 -3 -1  4
    """.splitlines(),
    dtype=int,
)


@pytest.fixture(scope="module")
def fingerprints() -> np.ndarray:
    return morgan_fingerprints(SMILES, ECFP4_RADIUS, ECFP4_BITS)


def random_bits(rows: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, width), dtype=np.uint8)


def plain_similarity(a: str, b: str) -> float:
    """The definition, by sets."""
    first = {a[i : i + KMER_LENGTH] for i in range(len(a) - KMER_LENGTH + 1)}
    second = {b[i : i + KMER_LENGTH] for i in range(len(b) - KMER_LENGTH + 1)}
    return (2 * len(first & second) / (len(first) + len(second))) ** 0.25


def global_identity(a: str, b: str) -> float:
    """Needleman-Wunsch with affine gaps (10 to open, 1 to extend): matches / alignment length."""
    score = BLOSUM62[
        np.array([AMINO_ACIDS.index(letter) for letter in a])[:, None],
        np.array([AMINO_ACIDS.index(letter) for letter in b])[None, :],
    ]
    opening, extending = 10, 1
    columns = np.arange(len(b) + 1)
    best = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    down = np.full_like(best, -(10**6))
    across = np.full_like(best, -(10**6))
    best[0, 1:] = across[0, 1:] = -opening - extending * (columns[1:] - 1)
    for i in range(1, len(a) + 1):
        down[i] = np.maximum(best[i - 1] - opening, down[i - 1] - extending)
        unshifted = np.maximum(down[i], np.r_[down[i, 0], best[i - 1, :-1] + score[i - 1]])
        # A gap opened anywhere to the left; one opened inside another is never better.
        reach = np.maximum.accumulate(unshifted + extending * columns)
        across[i, 1:] = reach[:-1] - opening - extending * (columns[1:] - 1)
        best[i] = np.maximum(unshifted, across[i])
    i, j, matches, length = len(a), len(b), 0, 0
    while i or j:
        if i and j and best[i, j] == best[i - 1, j - 1] + score[i - 1, j - 1]:
            i, j, length, matches = i - 1, j - 1, length + 1, matches + (a[i - 1] == b[j - 1])
        elif i and best[i, j] == down[i, j]:
            while i > 1 and down[i, j] != best[i - 1, j] - opening:
                i, length = i - 1, length + 1
            i, length = i - 1, length + 1
        else:
            while j > 1 and across[i, j] != best[i, j - 1] - opening:
                j, length = j - 1, length + 1
            j, length = j - 1, length + 1
    return matches / length


def test_tanimoto_is_rdkits(fingerprints: np.ndarray) -> None:
    generator = GetMorganGenerator(radius=ECFP4_RADIUS, fpSize=ECFP4_BITS)
    vectors = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in SMILES]
    expected = [DataStructs.BulkTanimotoSimilarity(vector, vectors) for vector in vectors]
    np.testing.assert_array_equal(
        tanimoto(fingerprints, fingerprints), np.array(expected, dtype=np.float32)
    )


@pytest.mark.parametrize("width", [1, 8, 9, 33])
def test_tanimoto_counts_bits_of_any_width(width: int) -> None:
    a, b = random_bits(7, width), random_bits(5, width, seed=1)
    first, second = (np.unpackbits(rows, axis=1).astype(bool) for rows in (a, b))
    expected = [[(x & y).sum() / (x | y).sum() for y in second] for x in first]
    np.testing.assert_array_equal(tanimoto(a, b), np.array(expected, dtype=np.float32))


def test_tanimoto_of_empty_fingerprints_is_zero_as_in_rdkit() -> None:
    empty = np.zeros((2, 8), dtype=np.uint8)
    vector = DataStructs.ExplicitBitVect(64)
    assert tanimoto(empty, empty).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert DataStructs.TanimotoSimilarity(vector, vector) == 0.0


def test_tanimoto_refuses_fingerprints_of_different_width() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        tanimoto(random_bits(2, 8), random_bits(2, 16))


def test_nearest_tanimoto_is_the_highest(fingerprints: np.ndarray) -> None:
    queries, references = fingerprints[:20], fingerprints[20:]
    nearest = nearest_tanimoto(queries, references)
    np.testing.assert_array_equal(nearest, tanimoto(queries, references).max(axis=1))
    assert nearest.dtype == np.float32
    assert nearest_tanimoto(fingerprints, fingerprints).tolist() == [1.0] * len(fingerprints)


def test_nearest_tanimoto_does_not_depend_on_neighbours_or_chunks(
    fingerprints: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = nearest_tanimoto(fingerprints, fingerprints[::3])
    alone = [nearest_tanimoto(row[None], fingerprints[::3])[0] for row in fingerprints]
    assert np.array(alone, dtype=np.float32).tobytes() == together.tobytes()
    monkeypatch.setattr("stages.dti.chemistry.fingerprints._BLOCK_VALUES", 50)
    assert nearest_tanimoto(fingerprints, fingerprints[::3]).tobytes() == together.tobytes()


def test_nearest_without_reference_or_query(fingerprints: np.ndarray) -> None:
    assert nearest_tanimoto(fingerprints[:2], fingerprints[:0]).tolist() == [0.0, 0.0]
    assert nearest_tanimoto(fingerprints[:0], fingerprints).shape == (0,)
    assert nearest_sequence_similarity(SEQUENCES[:2], []).tolist() == [0.0, 0.0]
    assert nearest_sequence_similarity([], SEQUENCES).shape == (0,)


def test_nearest_tanimoto_needs_bounded_memory() -> None:
    queries, references = random_bits(3000, 256), random_bits(3000, 256, seed=1)
    tracemalloc.start()
    nearest_tanimoto(queries, references)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 30e6  # the whole matrix of 64-bit words would take 2.3 GB


def test_kmers_are_the_set_of_substrings() -> None:
    for sequence in SEQUENCES[:5]:
        plain = {sequence[i : i + KMER_LENGTH] for i in range(len(sequence) - KMER_LENGTH + 1)}
        codes = sequence_kmers(sequence)
        assert len(codes) == len(plain)
        assert (np.diff(codes) > 0).all()


@pytest.mark.parametrize(
    ("sequence", "count"),
    [("", 0), ("MKV", 0), ("MKVL", 1), ("AAAAAA", 1), ("MKVLXMKVL", 1), ("XXXXXXXX", 0)],
)
def test_kmers_of_short_and_unknown_stretches(sequence: str, count: int) -> None:
    assert len(sequence_kmers(sequence)) == count


def test_kmers_with_anything_but_letters_are_left_out() -> None:
    assert sequence_kmers("MKVL-MKVI").tolist() == sorted(
        [*sequence_kmers("MKVL"), *sequence_kmers("MKVI")]
    )
    assert len(sequence_kmers("MKé*LL")) == 0


def test_sequence_similarity_is_its_definition() -> None:
    reference = SequenceReference.fit(SEQUENCES)
    for query in SEQUENCES[:10]:
        expected = [plain_similarity(query, sequence) for sequence in SEQUENCES]
        np.testing.assert_allclose(reference.similarities(query), expected, rtol=1e-6)


def test_sequence_similarity_is_symmetric_and_one_only_with_itself() -> None:
    reference = SequenceReference.fit(SEQUENCES)
    matrix = np.stack([reference.similarities(query) for query in SEQUENCES])
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), np.ones(len(SEQUENCES), dtype=np.float32))
    assert matrix[~np.eye(len(SEQUENCES), dtype=bool)].max() < 1


def test_sequences_without_kmers_are_alike_only_if_the_same() -> None:
    reference = SequenceReference.fit(["XXXXXX", "MKV", SEQUENCES[0]])
    assert reference.similarities("MKV").tolist() == [0, 1, 0]
    assert reference.similarities("XXXXXX").tolist() == [1, 0, 0]
    assert reference.similarities(SEQUENCES[0]).tolist() == [0, 0, 1]


def test_nearest_sequence_does_not_depend_on_neighbours() -> None:
    reference = SequenceReference.fit(SEQUENCES[10:])
    together = reference.nearest(SEQUENCES)
    alone = [reference.nearest([query])[0] for query in SEQUENCES]
    assert np.array(alone, dtype=np.float32).tobytes() == together.tobytes()
    assert nearest_sequence_similarity(SEQUENCES, SEQUENCES[10:]).tobytes() == together.tobytes()
    reversed_reference = SequenceReference.fit(SEQUENCES[:9:-1])
    assert reversed_reference.nearest(SEQUENCES).tobytes() == together.tobytes()


def test_a_fragment_stays_similar_to_its_whole() -> None:
    """A kinase domain deposited alone is not an unseen target."""
    whole = max(SEQUENCES, key=len)
    fragment = whole[len(whole) // 3 : 2 * len(whole) // 3]
    assert nearest_sequence_similarity([fragment], [whole])[0] > 0.75


def test_sequence_similarity_follows_alignment_identity() -> None:
    """Why four residues: real kinases, 153 pairs, from 10 to 90 % global identity."""
    sequences = pd.read_csv(SAMPLE / "targets.csv").set_index("target_id")["sequence"]
    chosen = [sequences[name] for family in FAMILIES.values() for name in family]
    pairs = list(combinations(chosen, 2))
    identity = np.array([global_identity(a, b) for a, b in pairs])
    similar = np.array([nearest_sequence_similarity([a], [b])[0] for a, b in pairs])
    related = identity >= 0.3
    assert related.sum() > 20
    assert spearmanr(identity[related], similar[related]).statistic > 0.85
    # The default of split.cluster_target_similarity is 0.5.
    assert (similar[identity >= 0.4] > 0.5).all()
    assert (similar[identity < 0.25] < 0.5).all()
