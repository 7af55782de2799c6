"""A damaged or altered file of a model folder, of any kind: always one error, that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.dti.artifacts.model_files import FILES, seal, seal_export, verify_folder
from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import DrugBANConfig, ModelConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError, DamagedModelError, ModelError
from stages.dti.models.base import FitContext, Model
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.paths import Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.pyfunc import _load_pyfunc
from stages.dti.training.export import TrainingData, finish, load_training_data
from stages.dti.training.train import train_model
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import (
    DEFAULTS,
    STANDARDISE,
    section,
    write_features,
    write_tables,
)
from tests.support.written_files import files_below

BOOSTED = DEFAULTS["baselines"]["gradient_boosting"] | {"trees": 5}
CONFIGS: dict[str, dict[str, Any]] = DEFAULTS["baselines"] | {
    "gradient_boosting": BOOSTED,
    "drugban": drugban_of(graph_dim=8, residue_dim=8, ban_dim=8).model_dump(),
    "ensemble": {
        "name": "ensemble",
        "combine": "rank_average",
        "inverse_regularisation": 1.0,
        "members": {
            "boosted": {"config": BOOSTED, "seeds": 2, "snapshots": 1},
            "nearest": {
                "config": DEFAULTS["baselines"]["nearest_neighbour"],
                "seeds": 1,
                "snapshots": 1,
            },
        },
    },
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A sealed export of each kind, made when it is first asked for."""
    root = tmp_path_factory.mktemp("root")
    write_tables(root)
    write_features(root)
    data = load_training_data(Paths(root, root))
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = root / kind
            made[kind].mkdir()
            config = build(ModelConfig, CONFIGS[kind], "model").root
            model = _fitted(config, data, tmp_path_factory.mktemp("work"))
            settings = section(CalibrationConfig, "calibration")
            finish(model, config, data, settings, STANDARDISE, seed=0).save(made[kind])
            (made[kind] / "golden.json").write_text('{"pairs": []}\n')
            seal_export(made[kind], ["golden.json"])
        return made[kind]

    return folder


def _fitted(config: Any, data: TrainingData, workdir: Path) -> Model:
    if isinstance(config, DrugBANConfig):  # which need not be trained for this
        torch.manual_seed(0)
        return DrugBAN(DrugBANNetwork(config))
    context = FitContext(seed=0, threads=1, workdir=workdir, on_epoch=lambda _: None)
    trainer = section(TrainerConfig, "trainer")
    return train_model(config, trainer, data.train, data.validation, context).model


def damages(content: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Yield what a file may hold after an accident; ``None``: it is gone."""
    yield "gone", None
    for kept in sorted({0, 1, len(content) // 2, len(content) - 1}):
        yield f"truncated to {kept}", content[:kept]
    yield "longer", content + b"\n"
    random = np.random.default_rng(len(content))
    positions = {0, len(content) // 2, len(content) - 1, *random.integers(0, len(content), 5)}
    for position in sorted(positions):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(random.integers(8))
        yield f"bit of byte {position} flipped", bytes(flipped)
    yield "zeros", bytes(len(content))


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_damage_to_every_file_is_refused_and_named(
    kind: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folder_of(kind), tmp_path / "model"))
    identity = Predictor.load(folder).info.sha256
    wrong = []
    for name, content in files_below(folder).items():
        for damage, left in damages(content):
            (folder / name).unlink()
            if left is not None:
                (folder / name).write_bytes(left)
            try:
                Predictor.load(folder)
                wrong.append((name, damage, "loaded"))
            except ModelError as error:
                if Path(name).name not in str(error):
                    wrong.append((name, damage, str(error)))
            except Exception as error:
                wrong.append((name, damage, repr(error)))
            (folder / name).write_bytes(content)
        (folder / name).unlink()
        (folder / name).mkdir()
        with pytest.raises(ModelError, match=Path(name).name):
            Predictor.load(folder)
        (folder / name).rmdir()
        (folder / name).write_bytes(content)
    assert not wrong
    assert Predictor.load(folder).info.sha256 == identity


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_damaged_file_that_is_listed_anew_is_an_error_too_or_another_model(
    kind: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """As whoever forges the list would do; and as a library of another version would read it."""
    folder = Path(shutil.copytree(folder_of(kind), tmp_path / "model"))
    identity = Predictor.load(folder).info.sha256
    for name, content in files_below(folder).items():
        if name in (FILES, "golden.json"):
            continue
        for left in (b"", content[: len(content) // 2], b"{}", bytes(len(content))):
            (folder / name).write_bytes(left)
            seal(folder)
            with suppress(ModelError, ConfigError):
                assert Predictor.load(folder).info.sha256 != identity
        (folder / name).write_bytes(content)


def other_threshold(folder: Path) -> str:
    decision = json.loads((folder / "calibration.json").read_text())
    decision["threshold"] = 0.99
    (folder / "calibration.json").write_text(json.dumps(decision))
    return "calibration.json"


def shuffled_sequences(folder: Path) -> str:
    path = folder / "reference/targets.parquet"
    targets = pd.read_parquet(path)
    targets["sequence"] = targets["sequence"].to_numpy()[::-1]
    targets.to_parquet(path, index=False)
    return "targets.parquet"


def other_golden_predictions(folder: Path) -> str:
    (folder / "golden.json").write_text('{"pairs": [1]}\n')
    return "golden.json"


@pytest.mark.parametrize("alter", [other_threshold, shuffled_sequences, other_golden_predictions])
@pytest.mark.parametrize(
    "load", [Predictor.load, lambda path: Predictor.load_with_library(path, ["C"]), _load_pyfunc]
)
def test_an_altered_model_is_refused_by_every_door(
    load: Callable[[str], object],
    alter: Callable[[Path], str],
    folder_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(folder_of("nearest_neighbour"), tmp_path / "model"))
    load(str(folder))
    name = alter(folder)
    with pytest.raises(DamagedModelError, match=rf"{name} was altered or damaged.*dvc checkout"):
        load(str(folder))


def test_a_forged_list_shows_in_the_identity(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folder_of("base_rate"), tmp_path / "model"))
    before = verify_folder(folder)
    other_threshold(folder)
    seal(folder)
    assert verify_folder(folder) != before
    assert Predictor.load(folder).info.sha256 == verify_folder(folder)


def test_the_export_keeps_the_models_identity(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folder_of("base_rate"), tmp_path / "model"))
    before = verify_folder(folder)
    (folder / "metrics.json").write_text("{}")
    seal_export(folder, ["golden.json", "metrics.json"])
    (folder / "MLmodel").write_text("as the registry adds it")
    assert verify_folder(folder) == before


def test_a_folder_without_a_list_is_refused(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folder_of("base_rate"), tmp_path / "model"))
    (folder / FILES).unlink()
    with pytest.raises(ModelError, match=r"files\.json is missing.*dvc repro"):
        Predictor.load(folder)
