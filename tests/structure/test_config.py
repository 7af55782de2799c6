"""The configuration: every option composes and is valid; params.yaml, dvc.yaml and code agree."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump
from omegaconf import OmegaConf

from stages.dti.commands.compose import main
from stages.dti.config.base import build, field_names
from stages.dti.config.execution import ExecutionConfig, Timeouts
from stages.dti.config.schema import Configuration, check
from stages.dti.errors import ConfigError
from stages.dti.runtime.compose import PARAMS, compose
from stages.dti.runtime.stage import SIDE_CHANNELS, sections_of, typed_sections

REPOSITORY = Path(__file__).resolve().parents[2]
PIPELINE: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]


def options() -> list[str]:
    """Every option of every group, as the override that chooses it."""
    conf = REPOSITORY / "conf"
    return [
        f"{path.parent.relative_to(conf)}={path.stem}"
        for path in sorted(conf.glob("*/**/*.yaml"))
        if not path.stem.startswith("_")
    ]


def plain(overrides: list[str]) -> dict[str, Any]:
    container = OmegaConf.to_container(compose(overrides))
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def test_params_yaml_is_the_default_composition() -> None:
    committed = yaml.safe_load((REPOSITORY / PARAMS).read_text())
    assert committed == plain([]), "params.yaml differs from conf/; run `make params`, then commit"


def test_params_yaml_is_what_dvc_itself_composes(tmp_path: Path) -> None:
    compose_and_dump(
        tmp_path / PARAMS, str(REPOSITORY / "conf"), None, "config", str(REPOSITORY), []
    )
    assert (tmp_path / PARAMS).read_text() == (REPOSITORY / PARAMS).read_text()


MANDATORY = {
    "adaptation=cdan": ["split=cluster", "split.adapt_fraction=0.5"],
    "dataset=bindingdb_dump": ["dataset.sources.bindingdb_dump.files.dump.url=dump.tsv"],
    "dataset=custom": ["dataset.sources.custom.files.pairs.url=pairs.csv"],
    "model/target=embedding": ["features=esm2"],
    "model=ensemble_snapshots": ["trainer.schedule=cyclic_cosine"],
}
"""Options that name a file which only the user knows, or that need another option."""


@pytest.mark.parametrize("option", options())
def test_every_option_composes_and_is_valid(option: str) -> None:
    check(plain([option, *MANDATORY.get(option, [])]))


def test_the_sections_composed_are_the_sections_checked() -> None:
    assert sorted(plain([])) == field_names(Configuration)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"split\.sede: unknown key; did you mean 'seed'"):
        check(plain(["+split.sede=3"]))
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        compose(["split.sede=3"])


def test_an_unknown_section_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"modle: unknown key; did you mean 'model'"):
        check(plain(["+modle.name=drugban"]))


def test_an_unknown_key_of_a_union_member_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown key; did you mean 'dropout'"):
        check(plain(["+model.dropuot=0.3"]))


def test_a_pretrained_model_may_have_to_be_beaten() -> None:
    old = f"+evaluate.pretrained.old={{source: m, sha256: {'0' * 64}}}"
    check(plain([old, "promote.must_beat=[base_rate,old]"]))
    with pytest.raises(ConfigError, match="'old' is no baseline"):
        check(plain(["promote.must_beat=[base_rate,old]"]))


def test_compose_writes_nothing_when_the_configuration_is_bad(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (REPOSITORY / PARAMS).read_bytes()
    assert main(["split.train_fraction=0.9"]) == 1
    assert "must sum to 1" in capsys.readouterr().err
    assert (REPOSITORY / PARAMS).read_bytes() == before


@pytest.mark.parametrize("stage", PIPELINE)
def test_declared_params_are_the_sections_that_the_stage_reads(stage: str) -> None:
    run = importlib.import_module(f"stages.{stage}").run
    read = set(sections_of(run)) - set(SIDE_CHANNELS)
    assert set(PIPELINE[stage]["params"]) == read


def test_a_stage_is_given_only_its_sections() -> None:
    run = importlib.import_module("stages.split").run
    assert set(typed_sections(run, compose())) == {"split"}


@pytest.mark.parametrize("model", ["drugban", "drugban_fingerprint"])
def test_a_model_that_reads_embeddings_needs_a_language_model(model: str) -> None:
    reads = [f"model={model}", "model/target=embedding"]
    with pytest.raises(ConfigError, match=r"features\.embedding is null; choose a language model"):
        check(plain(reads))
    check(plain([*reads, "features=protbert"]))


def test_the_members_of_an_ensemble_need_their_features_too() -> None:
    reads = ["model=ensemble_seeds", "model/target@model.members.drugban.config.target=embedding"]
    with pytest.raises(ConfigError, match=r"features\.embedding is null"):
        check(plain(reads))
    check(plain([*reads, "features=esm2"]))


def test_the_earlier_system() -> None:
    model = plain(["model=drugban_fingerprint"])["model"]
    assert model["drug"] == {"name": "fingerprint", "hidden_dim": 512}
    assert model["target"] == {"name": "descriptors", "hidden_dim": 1024}
    assert (model["interaction"]["heads"], model["interaction"]["dim"]) == (8, 512)
    assert model["dropout"] == 0.1


def test_a_missing_section_says_how_to_compose() -> None:
    run = importlib.import_module("stages.split").run
    config = OmegaConf.create({"model": {"name": "base_rate"}})
    with pytest.raises(ConfigError, match="make params"):
        typed_sections(run, config)


def test_the_time_limits_are_those_of_the_stages() -> None:
    files = {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__"}
    assert set(field_names(Timeouts)) == files | {"default"}


def test_a_limit_of_its_own_or_the_default() -> None:
    execution = build(ExecutionConfig, {"timeout_s": {"default": 5, "validate": 7}}, "execution")
    assert (execution.limit_s("validate"), execution.limit_s("train")) == (7, 5)
