"""Between encoding a drug or target and scoring pairs there is a seam, and no score shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.dti.config.base import build
from stages.dti.config.model import AnyModel, EnsembleConfig, ModelConfig
from stages.dti.errors import InvalidInputError
from stages.dti.models.base import Model
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.models.ensemble import Combination, Ensemble
from stages.dti.paths import PROMOTED, ROOT, SAMPLE
from stages.dti.prediction import predictor as predictor_module
from stages.dti.prediction.encoding import EncodedDrug, EncodedTarget
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.rows import join, one_row
from stages.dti.prediction.types import Pair, Target
from tests.support.drugban_sizes import drugban_of
from tests.support.screened_model import write_promoted

SMILES = list(pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=12)["smiles"])
SEQUENCES = list(pd.read_csv(ROOT / SAMPLE / "targets.csv", nrows=12)["sequence"])
PAIRS = [Pair(SMILES[(7 * row) % 12], SEQUENCES[(5 * row) % 11]) for row in range(40)]


def with_model(made: Predictor, model: Model, config: AnyModel) -> Predictor:
    """The same folder's content around another model, which need not be good."""
    return Predictor(replace(made.content, model=model, config=config), made.info.sha256)


@pytest.fixture(scope="module")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Predictor]:
    """One that encodes nothing, DrugBAN, and an ensemble of both."""
    root = tmp_path_factory.mktemp("promoted")
    write_promoted(root, "gradient_boosting")
    boosted = Predictor.load(root / PROMOTED)
    torch.manual_seed(1)
    config = drugban_of()
    network = DrugBAN(DrugBANNetwork(config))
    members = {
        name: {"config": own.model_dump(), "seeds": 1, "snapshots": 1}
        for name, own in (("boosted", boosted.content.config), ("drugban", config))
    }
    both = build(
        ModelConfig,
        {
            "name": "ensemble",
            "combine": "mean",
            "inverse_regularisation": 1.0,
            "members": members,
        },
        "model",
    ).root
    assert isinstance(both, EnsembleConfig)
    ensemble = Ensemble(
        both,
        {"boosted": [boosted.content.model], "drugban": [network]},
        Combination(np.array([0.5, 0.5])),
    )
    return {
        "boosted": boosted,
        "drugban": with_model(boosted, network, config),
        "both": with_model(boosted, ensemble, both),
    }


MODELS = ["boosted", "drugban", "both"]


def encoded(made: Predictor) -> tuple[dict[str, EncodedDrug], dict[str, EncodedTarget]]:
    """Everything that PAIRS need, each encoded alone and kept by its key, the last one first."""
    drugs, targets = {}, {}
    for pair in reversed(PAIRS):
        smiles = made.keys.drug(pair.smiles)
        (drug,) = made.encoder.drugs([smiles])
        assert isinstance(drug, EncodedDrug)
        drugs[smiles] = drug
        sequence = made.keys.target(Target(pair.sequence))
        (target,) = made.encoder.targets([sequence])
        assert isinstance(target, EncodedTarget)
        targets[sequence] = target
    return drugs, targets


@pytest.mark.parametrize("name", MODELS)
def test_what_was_kept_scores_as_what_is_new(
    predictors: dict[str, Predictor], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = predictors[name]
    expected = made.predict(PAIRS)
    assert len({answer.score for answer in expected}) > 20
    drugs, targets = encoded(made)
    for method in ("_drug", "_target"):  # nothing is encoded once more
        monkeypatch.setattr(DrugBAN, method, None)
    kept = [
        (drugs[made.keys.drug(pair.smiles)], targets[made.keys.target(Target(pair.sequence))])
        for pair in PAIRS
    ]
    assert made.score(kept) == expected
    assert made.score(kept[5:6]) == expected[5:6]


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_featurized_pairs(predictors: dict[str, Predictor], name: str) -> None:
    made = predictors[name]
    answers = made.predict(PAIRS)
    featurized = made.featurize(PAIRS)
    outputs, facts = made.outputs(featurized), made.reference_facts(featurized)
    assert [answer.score for answer in answers] == outputs.scores.tolist()
    assert [answer.probability for answer in answers] == outputs.probabilities.tolist()
    assert [answer.domain_distance for answer in answers] == facts.domain_distance.tolist()
    assert [answer.pair_seen for answer in answers] == facts.pair_seen.tolist()


@pytest.mark.parametrize("name", MODELS)
def test_few_targets_are_held_and_each_is_encoded_once(
    predictors: dict[str, Predictor], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = predictors[name]
    expected = made.predict(PAIRS)
    monkeypatch.setattr(predictor_module, "_TARGETS_AT_ONCE", 3)
    asked: list[list[str]] = []
    direct = made.encoder.targets

    def targets(keys: list[str]) -> list[EncodedTarget | str]:
        asked.append(keys)
        return direct(keys)

    monkeypatch.setattr(made.encoder, "targets", targets)
    assert made.predict(PAIRS) == expected
    assert all(len(set(keys)) <= 3 for keys in asked)
    different = [key for keys in asked for key in set(keys)]
    assert len(different) == len(set(different)) == 11


def test_a_drug_or_target_that_cannot_be_encoded_has_its_reason(
    predictors: dict[str, Predictor],
) -> None:
    made = predictors["drugban"]
    bad = InvalidInputError("no molecule")
    good = made.keys.drug(SMILES[0])
    first, second, third = made.encoder.drugs([good, bad, good])
    assert first is third
    assert second == "no molecule"
    answers = made.predict([Pair("C1CC", "MKT"), PAIRS[0], Pair("C1CC", SEQUENCES[0])])
    assert [answer.status for answer in answers] == ["invalid", "ok", "invalid"]
    assert answers[0].reason == f"{answers[2].reason}; 3 residues, fewer than 20"
    assert answers[1:2] == made.predict(PAIRS[:1])


KEYS = """
import json, sys
from pathlib import Path
import pandas as pd
from stages.dti.prediction.description import read_description
from stages.dti.prediction.encoding import CanonicalKeys
from stages.dti.prediction.known_targets import KnownTargets
from stages.dti.prediction.types import Target
folder = Path(sys.argv[1])
known = KnownTargets(pd.read_parquet(folder / "reference/targets.parquet"))
keys = CanonicalKeys(read_description(folder).standardise, known)
found = [keys.drug(sys.argv[2]), keys.target(Target(target_id="EGFR"))]
print(json.dumps([found, "torch" in sys.modules]))
"""


def test_keys_need_neither_weights_nor_torch(tmp_path: Path) -> None:
    write_promoted(tmp_path, "nearest_neighbour")
    made = Predictor.load(tmp_path / PROMOTED)
    for weights in (tmp_path / PROMOTED).glob("*.safetensors"):
        weights.unlink()
    done = subprocess.run(
        [sys.executable, "-c", KEYS, str(tmp_path / PROMOTED), SMILES[3]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [made.keys.drug(SMILES[3]), made.keys.target(Target(target_id="EGFR"))]
    assert json.loads(done.stdout) == [expected, False]
    answer, same = made.predict([Pair(SMILES[3], target_id="EGFR"), Pair(*expected)])
    assert answer == same
    assert answer.smiles == expected[0]


def test_rows_taken_apart_and_joined_are_the_table(predictors: dict[str, Predictor]) -> None:
    featurized = predictors["boosted"].featurize(PAIRS)
    for table in (featurized.drugs, featurized.targets):
        rows = [one_row(table, row) for row in range(len(table))]
        assert [len(row) for row in rows] == [1] * len(table)
        again = join(rows)
        for field in fields(table):
            values = getattr(table, field.name)
            np.testing.assert_array_equal(getattr(again, field.name), values)
            assert getattr(again, field.name).dtype == values.dtype
            assert not any(np.shares_memory(getattr(row, field.name), values) for row in rows)
