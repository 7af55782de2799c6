"""Options of training, through DVC: two processes, and domain adaptation on a cold split."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml

from tests.support.tiny_repository import TinyRepository

pytestmark = pytest.mark.slow


def test_two_processes_train_through_dvc(tiny: TinyRepository) -> None:
    alone = json.loads((tiny.root / "reports/training_metrics.json").read_text())
    tiny.run("dvc", "exp", "run", "train", "-S", "trainer=ddp")
    lock = yaml.safe_load((tiny.root / "dvc.lock").read_text())
    assert lock["stages"]["train"]["params"]["params.yaml"]["trainer"]["devices"] == 2
    together = json.loads((tiny.root / "reports/training_metrics.json").read_text())
    assert together["epochs"] == alone["epochs"]
    assert not list((tiny.root / "data/cache/train").iterdir())


def test_adaptation_and_plain_training_stand_side_by_side(tiny: TinyRepository) -> None:
    """The command pair of the README: the same split, without and with adaptation."""
    split = ["-S", "split=cold_drug", "-S", "split.adapt_fraction=0.5"]
    measured = {}
    for name in ("none", "cdan"):
        chosen = ["-S", f"adaptation={name}"]
        if name == "cdan":
            chosen += ["-S", "adaptation.start_epoch=1"]
        tiny.run("dvc", "exp", "run", "evaluate", *split, *chosen)
        measured[name] = [
            json.loads((tiny.root / f"reports/{file}.json").read_text())
            for file in ("metrics", "training_metrics", "leakage")
        ]
    (plain, trained, leakage), (_, adapted, same) = measured["none"], measured["cdan"]
    assert leakage == same
    assert leakage["parts"]["adapt"]["pairs"] > 0
    assert plain["test"] == measured["cdan"][0]["test"]
    assert "adaptation" not in trained
    assert adapted["adaptation"]["pairs"] == leakage["parts"]["adapt"]["pairs"]
    splits = pd.read_parquet(tiny.root / "data/processed/splits.parquet")
    predictions = pd.read_parquet(tiny.root / "reports/evaluation/predictions.parquet")
    tested = predictions.merge(splits, on=["drug_key", "target_key"])
    assert set(tested["split"]) == {"test"}
    curve = pd.read_csv(tiny.root / "reports/plots/training/domain.csv")
    assert set(curve["metric"]) == {"domain_loss", "domain_accuracy"}
