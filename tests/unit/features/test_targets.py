"""features/targets.py: tokens and sequence descriptors of real sequences."""

from __future__ import annotations

import numpy as np
import pytest

from stages.dti.config.features import FeaturesConfig
from stages.dti.errors import InvalidInputError
from stages.dti.features.store import TargetFeatures
from stages.dti.features.targets import (
    RESIDUE_ALPHABET,
    descriptors,
    featurize_targets,
    residue_tokens,
    sequences_of,
    target_descriptor_names,
)

LYSOZYME = (  # hen egg white, UniProt P00698, mature chain
    "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSSDI"
    "TASVNCAKKIVSDGNGMNAWVAWRNRCKGTDVQAWIRGCRL"
)
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def config(max_residues: int = 1200, kmer_bins: int = 1024) -> FeaturesConfig:
    return FeaturesConfig(
        fingerprint_radius=2,
        fingerprint_bits=2048,
        max_residues=max_residues,
        kmer_bins=kmer_bins,
    )


def named(sequence: str, kmer_bins: int = 16) -> dict[str, float]:
    features, rejected = featurize_targets([sequence], config(kmer_bins=kmer_bins))
    assert not rejected
    names = target_descriptor_names(kmer_bins)
    return dict(zip(names, features.descriptors[0].tolist(), strict=True))


def test_tokens_are_those_of_the_published_drugban_code() -> None:
    published = {  # CHARPROTSET in utils.py
        **{"A": 1, "C": 2, "B": 3, "E": 4, "D": 5, "G": 6, "F": 7, "I": 8, "H": 9, "K": 10},
        **{"M": 11, "L": 12, "O": 13, "N": 14, "Q": 15, "P": 16, "S": 17, "R": 18, "U": 19},
        **{"T": 20, "W": 21, "V": 22, "Y": 23, "X": 24, "Z": 25},
    }
    tokens = residue_tokens("".join(published))
    assert tokens.tolist() == list(published.values())
    assert tokens.dtype == np.uint8
    assert len(RESIDUE_ALPHABET) == 25


def test_a_long_sequence_is_cut_but_described_whole() -> None:
    features, _ = featurize_targets([LYSOZYME, UBIQUITIN], config(max_residues=100))
    assert features.residue_offsets.tolist() == [0, 100, 176]
    assert sequences_of(features.residues, features.residue_offsets) == [LYSOZYME[:100], UBIQUITIN]
    assert features.descriptors[0, 0] == 129


def test_lysozyme_as_protparam_has_it() -> None:
    values = named(LYSOZYME)
    # ExPASy ProtParam for P00698, 19-147.
    assert values["residues"] == 129
    assert values["molecular_weight_da"] == pytest.approx(14313.14, abs=0.3)
    assert values["isoelectric_point"] == pytest.approx(9.32, abs=0.01)
    assert values["gravy"] == pytest.approx(-0.472, abs=0.001)
    assert values["aliphatic_index"] == pytest.approx(65.12, abs=0.01)
    assert values["extinction_280nm"] == 37970
    assert values["aromaticity"] == pytest.approx(12 / 129)
    # 6 K + 11 R against 7 D + 2 E, and one half-charged H.
    assert values["charge_ph7"] == pytest.approx(8.0, abs=0.3)
    assert values["nonstandard_fraction"] == 0


def test_composition_and_dipeptides_are_fractions() -> None:
    values = named("ACACA")
    assert values["fraction_A"] == pytest.approx(3 / 5)
    assert values["fraction_C"] == pytest.approx(2 / 5)
    assert values["dipeptide_AC"] == values["dipeptide_CA"] == pytest.approx(1 / 2)
    assert sum(v for name, v in values.items() if name.startswith("dipeptide_")) == 1


def test_nonstandard_residues_are_counted_apart() -> None:
    values = named("AXAUA")
    assert values["nonstandard_fraction"] == pytest.approx(2 / 5)
    assert values["gravy"] == pytest.approx(1.8)  # of the three alanines
    assert not any(v for name, v in values.items() if name.startswith("dipeptide_"))


def test_the_hash_of_a_3_mer_never_changes() -> None:
    # MKV is number 10 * 625 + 9 * 25 + 21 = 6496; times 2654435761, modulo 2 ** 32, scaled to the
    # bins: 766. Written out, since a trained model would not survive a change of the hash.
    for kmer, expected in {"AAA": 0, "AAC": 632, "MKV": 766, "ZZZ": 166}.items():
        bins = descriptors(residue_tokens(kmer), 1024)[-1024:]
        assert np.flatnonzero(bins).tolist() == [expected]
        assert bins.max() == 1


def test_kmer_bins_say_whether_not_how_often() -> None:
    bins = descriptors(residue_tokens("A" * 50 + "C"), 1024)[-1024:]
    assert np.flatnonzero(bins).tolist() == [0, 632]
    assert bins.sum() == 2


def test_short_sequences_and_no_kmer_bins() -> None:
    for sequence in ("M", "MK", "X", "MKV"):
        features, rejected = featurize_targets([sequence], config(kmer_bins=0))
        assert not rejected
        assert features.descriptors.shape == (1, len(target_descriptor_names(0)))
        assert np.isfinite(features.descriptors).all()


def test_an_invalid_target_gets_a_reason_and_spares_its_neighbours() -> None:
    features, rejected = featurize_targets([LYSOZYME, "MKJV", "", UBIQUITIN, "MKé"], config())
    assert set(rejected) == {1, 2, 4}
    assert "'J' at residue 3" in rejected[1]
    assert rejected[2] == "the sequence is empty"
    alone, _ = featurize_targets([LYSOZYME, UBIQUITIN], config())
    assert np.array_equal(features.descriptors, alone.descriptors)
    assert np.array_equal(features.residues, alone.residues)


def test_lower_case_is_refused_not_guessed() -> None:
    with pytest.raises(InvalidInputError, match="'m' at residue 1"):
        residue_tokens("mkv")


def test_nothing_valid_gives_empty_features_of_the_right_shapes() -> None:
    features, rejected = featurize_targets([], config())
    assert not rejected
    assert isinstance(features, TargetFeatures)
    assert len(features) == 0
    assert features.residues.dtype == np.uint8
    assert features.descriptors.shape == (0, len(target_descriptor_names(1024)))
