"""What changed inputs show: models that are found out, or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from sklearn.metrics import roc_auc_score

from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.evaluation.metrics import ModelOutput
from stages.dti.evaluation.robustness import (
    BROKEN,
    FALLS,
    NO_EFFECT,
    NOT_MEASURED,
    UNCHANGED,
    UNDECIDED,
    Answers,
    Ask,
    robustness_report,
    sample_rows,
)
from stages.dti.evaluation.scoring import asker
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.models.base import FitContext
from stages.dti.paths import CANDIDATE, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data
from tests.support.prepared_tables import (
    DEFAULTS,
    STANDARDISE,
    section,
    write_features,
    write_tables,
)
from tests.support.sample_texts import CARBON_TETRACHLORIDE, DRUGS, SEQUENCES, random

CONFIG = section(EvaluateConfig, "evaluate", bootstrap_samples=200, robustness_pairs=150)


@pytest.fixture(scope="module")
def labelled() -> pd.DataFrame:
    """Every drug against every target; a drug's and a target's part decide together."""
    rows = [
        (f"D{drug}", f"T{target}", DRUGS[drug], SEQUENCES[target])
        for drug in range(len(DRUGS))
        for target in range(len(SEQUENCES))
    ]
    table = pd.DataFrame(rows, columns=["drug_key", "target_key", "smiles", "sequence"])
    drug, target = parts(table["smiles"], table["sequence"])
    noise = random(5).normal(scale=0.3, size=len(table))
    return table.assign(label=(drug + target + noise > 0.8).astype(np.int8))


def parts(
    smiles: Sequence[str], sequences: Sequence[str]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """One number of each drug's molecule and each target's order of residues, spread out."""
    molecules = {text: Chem.MolFromSmiles(text.split(".")[-1]) for text in set(smiles)}
    weights = np.array([molecules[text].GetNumHeavyAtoms() for text in smiles], dtype=float)
    cleaned = ["".join(text.split()).upper() for text in sequences]
    first = np.array([np.mean([ord(letter) for letter in text[:40]]) for text in cleaned])
    return (weights - 30) / 6, (first - 75) / 1.0


def model(drug_share: float, target_share: float) -> Ask:
    def ask(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
        drug, target = parts(smiles, sequences)
        scores = drug_share * drug + target_share * target
        return Answers([None] * len(smiles), scores, 1 / (1 + np.exp(-scores)))

    return ask


def report(
    ask: Ask,
    test: pd.DataFrame,
    standardise: StandardiseConfig = STANDARDISE,
    config: EvaluateConfig = CONFIG,
) -> dict[str, dict[str, Any]]:
    said = ask(test["smiles"].tolist(), test["sequence"].tolist())
    output = ModelOutput(said.scores, said.probabilities, 0.5)
    found = robustness_report(test, output, ask, standardise, config).plain()
    return {entry["name"]: entry for entry in found["perturbations"]}


def test_a_model_that_reads_both_sides_is_not_accused(labelled: pd.DataFrame) -> None:
    found = report(model(1, 1), labelled)
    for name in ("smiles_rewritten", "salt_added", "sequence_rewritten"):
        assert found[name]["verdict"] == UNCHANGED
        assert found[name]["invariant"] is True
        assert found[name]["largest_change"] == 0.0
        assert found[name]["rank_correlation"] == 1.0
    for name in ("target_swapped", "drug_swapped", "sequence_shuffled"):
        assert found[name]["verdict"] == FALLS, found[name]["finding"]
        assert found[name]["auroc"]["value"] < found[name]["auroc_before"]["value"]
    steps = [found[f"residues_substituted_{share}"]["mean_change"] for share in (1, 5, 10)]
    assert steps == sorted(steps)
    assert steps[0] > 0


def test_a_model_that_ignores_the_target_is_found_out(labelled: pd.DataFrame) -> None:
    found = report(model(1, 0), labelled)
    for name, what in (("target_swapped", "the target"), ("sequence_shuffled", "the order")):
        assert found[name]["verdict"] == NO_EFFECT
        assert found[name]["changed"] == 0
        assert found[name]["auroc"] == found[name]["auroc_before"]
        assert f"the model does not read {what}" in found[name]["finding"]
    assert found["drug_swapped"]["verdict"] == FALLS


def test_a_target_that_moves_answers_but_helps_nothing_is_found_out(
    labelled: pd.DataFrame,
) -> None:
    drug, _ = parts(labelled["smiles"], labelled["sequence"])
    noise = random(6).normal(scale=0.5, size=len(labelled))
    by_drug = labelled.assign(label=(drug + noise > 0.2).astype(np.int8))
    found = report(model(1, 0.1), by_drug)["target_swapped"]
    assert found["changed"] > 0
    assert found["verdict"] == NO_EFFECT
    assert "gains nothing that can be shown from the target" in found["finding"]
    assert "ranks by the drug alone" in found["finding"]


def test_what_the_model_mostly_goes_by_is_told(labelled: pd.DataFrame) -> None:
    found = report(model(1, 0.3), labelled)["target_swapped"]
    assert found["verdict"] == FALLS
    assert "most of it does not come from the target" in found["finding"]


def test_a_model_no_better_than_chance_is_neither_accused_nor_cleared(
    labelled: pd.DataFrame,
) -> None:
    blind = labelled.assign(label=random(3).permutation(labelled["label"]))
    assert report(model(1, 1), blind)["target_swapped"]["verdict"] == UNDECIDED


def test_a_broken_invariance_is_reported(labelled: pd.DataFrame) -> None:
    def reads_the_text(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
        said = model(1, 1)(smiles, sequences)
        wrong = np.array([text[0] == "N" for text in smiles])
        return Answers(said.reasons, said.scores, np.where(wrong, 0.123, said.probabilities))

    found = report(reads_the_text, labelled)["smiles_rewritten"]
    assert found["invariant"] is False
    assert found["verdict"] == BROKEN
    assert found["largest_change"] > 0
    assert 0 < found["changed"] < found["n"]
    assert f"broken. {found['changed']} of {found['n']} answers changed" in found["finding"]


def test_the_smallest_change_of_a_score_breaks_it(labelled: pd.DataFrame) -> None:
    def rounds_otherwise(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
        said = model(1, 1)(smiles, sequences)
        lower = np.array([text.islower() for text in sequences])
        return Answers(
            said.reasons,
            np.where(lower, np.nextafter(said.scores, np.inf), said.scores),
            said.probabilities,
        )

    found = report(rounds_otherwise, labelled)["sequence_rewritten"]
    assert found["largest_change"] == 0.0
    assert found["invariant"] is False
    assert found["changed"] == found["n"]


def test_a_refusal_of_the_same_pair_breaks_it_too(labelled: pd.DataFrame) -> None:
    def refuses_salts(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
        said = model(1, 1)(smiles, sequences)
        reasons = ["a salt" if "." in text else None for text in smiles]
        return Answers(reasons, said.scores, said.probabilities)

    found = report(refuses_salts, labelled)["salt_added"]
    assert found["refused"] == {"a salt": 150}
    assert found["n"] == 0
    assert found["verdict"] == BROKEN
    assert "150 more were refused" in found["finding"]


def test_what_cannot_be_changed_is_counted_with_its_reason(labelled: pd.DataFrame) -> None:
    keeps_salts = STANDARDISE.model_copy(update={"keep_largest_fragment": False})
    tiny = labelled.assign(
        smiles=labelled["smiles"].where(labelled["drug_key"] != "D0", CARBON_TETRACHLORIDE)
    )
    everything = CONFIG.model_copy(update={"robustness_pairs": len(tiny)})
    found = report(model(1, 1), tiny, keeps_salts, everything)
    assert found["salt_added"]["verdict"] == NOT_MEASURED
    assert found["salt_added"]["invariant"] is None
    assert "a salt is another input" in found["salt_added"]["finding"]
    assert list(found["methyl_added"]["skipped"].values()) == [len(SEQUENCES)]
    assert found["methyl_added"]["n"] == len(tiny) - len(SEQUENCES)


def test_the_numbers_are_those_of_the_definitions(labelled: pd.DataFrame) -> None:
    asked: list[tuple[Sequence[str], Sequence[str]]] = []
    honest = model(1, 1)

    def remembers(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
        asked.append((smiles, sequences))
        return honest(smiles, sequences)

    found = report(remembers, labelled)["target_swapped"]
    rows = sample_rows(labelled, CONFIG)
    sample = labelled.iloc[rows]
    smiles, sequences = asked[-2]  # the swap of targets is the last but one
    assert list(smiles) == sample["smiles"].tolist()
    assert all(new != old for new, old in zip(sequences, sample["sequence"], strict=True))
    before, after = honest(sample["smiles"], sample["sequence"]), honest(smiles, sequences)
    change = np.abs(after.probabilities - before.probabilities)
    assert found["mean_change"] == pytest.approx(change.mean(), abs=1e-6)
    assert found["p95_change"] == pytest.approx(np.quantile(change, 0.95), abs=1e-6)
    flips = (after.probabilities >= 0.5) != (before.probabilities >= 0.5)
    assert found["flipped"] == pytest.approx(flips.mean(), abs=1e-6)
    for key, said in (("auroc_before", before), ("auroc", after)):
        expected = roc_auc_score(sample["label"], said.scores)
        assert found[key]["value"] == pytest.approx(expected, abs=1e-6)
        assert found[key]["low"] < expected < found[key]["high"]


def test_the_sample_keeps_both_classes_and_does_not_depend_on_the_order(
    labelled: pd.DataFrame,
) -> None:
    rare = labelled.assign(label=(np.arange(len(labelled)) % 90 == 0).astype(np.int8))
    sample = rare.iloc[sample_rows(rare, CONFIG)]
    assert len(sample) == 150
    assert sample["label"].sum() == 5  # 2 would give no interval
    mixed = rare.sample(frac=1, random_state=1)
    again = mixed.iloc[sample_rows(mixed, CONFIG)]
    assert set(again.index) == set(sample.index)
    usual = labelled.iloc[sample_rows(labelled, CONFIG)]["label"].mean()
    assert usual == pytest.approx(labelled["label"].mean(), abs=0.01)
    other = CONFIG.model_copy(update={"seed": CONFIG.seed + 1})
    assert set(rare.index[sample_rows(rare, other)]) != set(sample.index)


def test_none_are_tried_when_it_is_switched_off(labelled: pd.DataFrame) -> None:
    off = CONFIG.model_copy(update={"robustness_pairs": 0})
    output = ModelOutput(np.zeros(len(labelled)), np.zeros(len(labelled)), 0.5)
    found = robustness_report(labelled, output, model(1, 1), STANDARDISE, off).plain()
    assert found == {
        "n": 0,
        "prevalence": None,
        "n_test": len(labelled),
        "perturbations": [],
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, pd.DataFrame]:
    """A gradient boosting model of a few pairs, and its test pairs."""
    root = tmp_path_factory.mktemp("trained")
    write_tables(root)
    write_features(root)
    paths = Paths(inputs=root, outputs=root)
    data = load_training_data(paths)
    plain = DEFAULTS["baselines"]["gradient_boosting"] | {"trees": 30, "min_leaf_rows": 5}
    config = build(ModelConfig, plain, "model").root
    context = FitContext(seed=0, threads=1, workdir=root, on_epoch=lambda _: None)
    fitted = fit_classical(config, data.train, data.validation, context)
    folder = root / CANDIDATE
    folder.mkdir(parents=True)
    finish(
        fitted, config, data, section(CalibrationConfig, "calibration"), STANDARDISE, seed=0
    ).save(folder)
    return Predictor.load(folder), read_test_pairs(paths)


def test_a_real_model_answers_the_same_pair_alike(
    trained: tuple[Predictor, pd.DataFrame],
) -> None:
    predictor, test = trained
    few = CONFIG.model_copy(update={"robustness_pairs": 40})
    found = report(asker(predictor), test, config=few)
    for entry in found.values():
        assert entry["n"] + sum(entry["skipped"].values()) == 40
        assert not entry["refused"]
        if entry["expected"] == "none":
            assert entry["verdict"] == UNCHANGED, entry["finding"]
        else:
            assert entry["changed"] > 0
    assert found == report(asker(predictor), test, config=few)


def test_a_change_that_no_pair_allows_is_no_error(
    trained: tuple[Predictor, pd.DataFrame],
) -> None:
    predictor, test = trained
    one_target = test[test["target_key"] == test["target_key"].mode()[0]]
    found = report(asker(predictor), one_target)["target_swapped"]
    assert found["n"] == 0
    assert found["skipped"] == {"there is no other one to swap it with": len(one_target)}
    assert found["verdict"] == NOT_MEASURED
    assert "no other one to swap" in found["finding"]


def test_a_pair_that_the_predictor_refuses_has_no_number(
    trained: tuple[Predictor, pd.DataFrame],
) -> None:
    predictor, test = trained
    smiles, sequences = test["smiles"].tolist()[:3], test["sequence"].tolist()[:3]
    said = asker(predictor)(smiles, sequences)
    broken = asker(predictor)([smiles[0], "C1CC", smiles[2]], sequences)
    assert [reason is None for reason in broken.reasons] == [True, False, True]
    assert np.isnan(broken.scores[1])
    assert np.isnan(broken.probabilities[1])
    np.testing.assert_array_equal(broken.scores[[0, 2]], said.scores[[0, 2]])
    np.testing.assert_array_equal(broken.probabilities[[0, 2]], said.probabilities[[0, 2]])
