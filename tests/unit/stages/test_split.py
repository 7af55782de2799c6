"""The stage ``split``: what it reads and writes, its configuration, and that it fails whole."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from stages.dti.config.base import build
from stages.dti.config.split import SplitConfig
from stages.dti.errors import ConfigError, DataError, LeakageError
from stages.dti.paths import DRUGS, INTERACTIONS, LEAKAGE, ROOT, SPLITS, TARGETS, Paths
from stages.split import run
from tests.support.split_tables import KINDS, Tables, config, sample


def prepared(root: Path, whole: Tables) -> Paths:
    """Write what ``prepare`` writes."""
    paths = Paths(inputs=root, outputs=root)
    for artefact, table in ((INTERACTIONS, whole.interactions), (DRUGS, whole.drugs)):
        table.to_parquet(paths.write(artefact), index=False)
    whole.targets.to_parquet(paths.write(TARGETS), index=False)
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_the_parts_and_the_report(kind: str, tmp_path: Path) -> None:
    paths = prepared(tmp_path, sample())
    run(paths, split=config(kind))
    splits = pd.read_parquet(tmp_path / SPLITS)
    assert splits.columns.tolist() == ["drug_key", "target_key", "split", "fold"]
    pd.testing.assert_frame_equal(
        splits[["drug_key", "target_key"]], sample().interactions[["drug_key", "target_key"]]
    )
    report = json.loads((tmp_path / LEAKAGE).read_text())
    assert report["kind"] == kind
    counted = splits["split"].value_counts()
    for part, counts in report["parts"].items():
        assert counts["pairs"] == counted.get(part, 0)


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        run(prepared(tmp_path / name, sample()), split=config("cluster"))
        written.append([(tmp_path / name / path).read_bytes() for path in (SPLITS, LEAKAGE)])
    assert written[0] == written[1]


def test_a_broken_claim_leaves_nothing_behind(tmp_path: Path) -> None:
    interactions = sample().interactions.copy()
    first_test = interactions.index[interactions["published_split"] == "test"][0]
    interactions.loc[first_test, "published_split"] = "train+test"
    whole = Tables(interactions, sample().drugs, sample().targets)
    paths = prepared(tmp_path, whole)
    with pytest.raises(LeakageError, match="overlap_fraction"):
        run(paths, split=config("published"))
    assert not (tmp_path / SPLITS).exists()
    assert not (tmp_path / LEAKAGE).exists()
    run(paths, split=config("published", max_overlap_fraction=0.001))
    assert (tmp_path / SPLITS).exists()


def test_a_missing_input_names_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"interactions\.parquet does not exist .*dvc repro"):
        run(Paths(inputs=tmp_path, outputs=tmp_path), split=config("random"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_the_group_composes(kind: str) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", overrides=[f"split={kind}"])
    changes = {"max_overlap_fraction": 0.01} if kind == "published" else {}
    assert build(SplitConfig, dict(composed["split"]), "split") == config(kind, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_fraction": 0.7}, "test_fraction must sum to 1, they sum to 0.9"),
        ({"test_fraction": 0}, "split.test_fraction"),
        ({"cluster_drug_similarity": 1.2}, "split.cluster_drug_similarity"),
        ({"kind": "cold"}, "split.kind"),
        ({"seeds": 3}, "split.seeds: unknown key; did you mean 'seed'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(SplitConfig, config("random").model_dump() | changes, "split")
