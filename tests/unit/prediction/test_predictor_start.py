"""What a model reads is all that is computed for it, and a new process does two things at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.dti.config.base import build
from stages.dti.config.model import ModelConfig
from stages.dti.errors import ModelError
from stages.dti.models.registry import reads_descriptors
from stages.dti.paths import PROMOTED, ROOT, SAMPLE
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair, Target
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import DEFAULTS
from tests.support.screened_model import NOT_DRUGS, write_promoted

SMILES: list[str] = pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=20)["smiles"].tolist()

RANK = """
import json, sys
from pathlib import Path
from stages.dti.prediction.types import Target
from stages.dti.prediction.predictor import Predictor
folder, target, smiles = json.loads(sys.stdin.read())
imported = [name for name in ("torch", "scipy", "sklearn") if name in sys.modules]
predictor, library = Predictor.load_with_library(Path(folder), smiles)
found = predictor.rank(library, Target(target_id=target), 5)
rows = [[row.rank, row.position, row.prediction.model_dump()] for row in found]
print(json.dumps([imported, rows]))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that reads no descriptors and one that does."""
    found = {}
    for name in ("nearest_neighbour", "logistic_regression"):
        root = tmp_path_factory.mktemp(name)
        write_promoted(root, name)
        found[name] = root / PROMOTED
    return found


def test_only_a_model_that_reads_descriptors_has_them_computed(folders: dict[str, Path]) -> None:
    widths = {
        name: Predictor.load(folder).prepare_drugs(SMILES[:2]).features.descriptors.shape[1]
        for name, folder in folders.items()
    }
    assert widths["nearest_neighbour"] == 0
    assert widths["logistic_regression"] > 0


def test_a_score_is_the_same_without_the_descriptors_that_the_model_does_not_read(
    folders: dict[str, Path],
) -> None:
    predictor = Predictor.load(folders["nearest_neighbour"])
    target_id = predictor.content.reference.targets["target_id"].iloc[0]
    pairs = [Pair(text, target_id=target_id) for text in SMILES]
    own, every = predictor.featurize(pairs, for_all=False), predictor.featurize(pairs)
    assert not own.drugs.descriptors.shape[1]
    assert every.drugs.descriptors.shape[1]
    np.testing.assert_array_equal(predictor.outputs(own).scores, predictor.outputs(every).scores)


def test_a_model_refuses_pairs_without_the_descriptors_that_it_reads(
    folders: dict[str, Path],
) -> None:
    reader = Predictor.load(folders["logistic_regression"])
    target_id = reader.content.reference.targets["target_id"].iloc[0]
    pairs = [Pair(SMILES[0], target_id=target_id)]
    others = Predictor.load(folders["nearest_neighbour"])
    with pytest.raises(ModelError, match="without the descriptors that model logistic_regression"):
        reader.outputs(others.featurize(pairs, for_all=False))
    assert len(reader.outputs(others.featurize(pairs)).scores) == 1


def test_an_ensemble_reads_what_one_of_its_members_does() -> None:
    def config(*members: str) -> Any:
        plain = {
            name: {"config": DEFAULTS["baselines"][name], "seeds": 1, "snapshots": 1}
            for name in members
        }
        settings = {"name": "ensemble", "combine": "mean", "inverse_regularisation": 1.0}
        return build(ModelConfig, settings | {"members": plain}, "model").root

    assert not reads_descriptors(config("nearest_neighbour", "base_rate"))
    assert reads_descriptors(config("nearest_neighbour", "gradient_boosting"))


def test_drugban_reads_descriptors_only_with_their_encoder() -> None:
    graph = drugban_of()
    assert not reads_descriptors(graph)
    plain = graph.model_dump() | {"drug": {"name": "descriptors", "hidden_dim": 4}}
    assert reads_descriptors(build(ModelConfig, plain, "model").root)


@pytest.mark.parametrize("name", ["nearest_neighbour", "logistic_regression"])
def test_a_model_and_a_library_made_ready_at_once_rank_as_one_after_the_other(
    folders: dict[str, Path], name: str
) -> None:
    predictor = Predictor.load(folders[name])
    library = [*SMILES, *NOT_DRUGS, SMILES[0]]
    target_id = predictor.content.reference.targets["target_id"].iloc[0]
    done = subprocess.run(
        [sys.executable, "-c", RANK],
        input=json.dumps([str(folders[name]), target_id, library]),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    imported, found = json.loads(done.stdout)
    assert imported == [], "the drugs wait for what only the model needs"
    wanted = predictor.rank(library, Target(target_id=target_id), 5)
    assert [found_row[:2] for found_row in found] == [[row.rank, row.position] for row in wanted]
    assert [found_row[2] for found_row in found] == [row.prediction.model_dump() for row in wanted]


def test_where_torch_runs_already_no_process_is_forked(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("forked")

    assert torch.get_num_threads()
    monkeypatch.setattr("stages.dti.prediction.predictor.ProcessPoolExecutor", refuse)
    predictor, library = Predictor.load_with_library(folders["nearest_neighbour"], SMILES)
    assert library.texts == predictor.prepare_drugs(SMILES).texts


def test_a_folder_without_a_model_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        Predictor.load_with_library(tmp_path, SMILES[:1])
