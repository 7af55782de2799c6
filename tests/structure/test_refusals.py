"""Wrong configurations, each refused before any work, with a message that says what to write."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from stages.dti.commands.compose import main
from stages.dti.config.schema import check
from stages.dti.errors import ConfigError
from stages.dti.runtime.compose import PARAMS, compose

REPOSITORY = Path(__file__).resolve().parents[2]

REFUSED = [
    # Sizes that a network cannot have.
    ("model.target.kernels=[3,0,9]", "model.target.kernels.1: must be at least 1 and at most 255"),
    ("model.target.kernels=[3,6,-9]", "model.target.kernels.2: must be at least 1"),
    ("model.target.filters=[0,128,128]", "model.target.filters.0: must be at least 1"),
    ("model.target.filters=[]", "model.target.filters: must have at least 1 entries"),
    ("model.drug.dim=0", "model.drug.dim: must be at least 1"),
    ("model.dropout=1.5", "model.dropout: must be at least 0 and at most 0.95, got 1.5"),
    ("features.max_residues=1", "features.max_residues: 1 is below standardise.min_residues"),
    ("trainer.crop_residues=5", "trainer.crop_residues: 5 is below standardise.min_residues"),
    # Time limits.
    ("execution.timeout_s.train=-5", "execution.timeout_s.train: must be at least 0.001"),
    ("execution.timeout_s.train=1e-9", "execution.timeout_s.train: must be at least 0.001"),
    ("~execution.timeout_s.default", "execution.timeout_s.default: required, but not given"),
    ("+execution.timeout_s.trian=5", "trian: unknown key; did you mean 'train'?"),
    # What a machine or a library cannot do.
    ("trainer={batch_size: 1, pairs_per_target: 1}", "trainer.batch_size: must be at least 2"),
    (
        "reproducibility.seed=18446744073709551616",
        "reproducibility.seed: must be at least 0 and at most 2147483547",
    ),
    ("split.seed=-1", "split.seed: must be at least 0"),
    (
        "reproducibility.threads=100000",
        "reproducibility.threads: must be at least 1 and at most 256, got 100000",
    ),
    ("trainer.devices=2", "need strategy ddp"),
    # Values of another type, which were coerced.
    ("trainer.max_epochs=true", "trainer.max_epochs: must be a whole number, got True"),
    ("trainer.max_epochs=3.5", "trainer.max_epochs: must be a whole number, got 3.5"),
    ("trainer.max_epochs='3'", "must be a whole number, got '3'; write it without quotes"),
    ("trainer.learning_rate='1e-3'", "must be a number, got '1e-3'; write it without quotes"),
    ("trainer.learning_rate=fast", "trainer.learning_rate: must be a number, got 'fast'"),
    ("trainer.learning_rate=nan", "trainer.learning_rate: must be a finite number"),
    ("featurize.export_csv=1", "featurize.export_csv: must be true or false, got 1"),
    ("report.title=3", "report.title: must be a text, got 3"),
    ("trainer=null", "must be a string or a list"),
    # Names.
    ("tracking.uri=nonsense", "tracking.uri: nonsense is a file path"),
    ("tracking.uri=ftp://user:word@host", "tracking.uri: unknown kind of tracking store 'ftp'"),
    ("tracking.experiment_prefix=../x", "tracking.experiment_prefix"),
    ("tracking.registered_model=a/b", "tracking.registered_model"),
    ("environment.alias=latest", "environment.alias: 'latest' is MLflow's own"),
    ("trainer.optimizer=adamv", "one of adam, adamw, got 'adamv'; did you mean 'adam'?"),
    ("model.name=drugbam", "model.name: must be one of drugban, base_rate"),
    ("+split.sede=3", "split.sede: unknown key; did you mean 'seed'?"),
    ("+model.dropuot=0.3", "model.dropuot: unknown key; did you mean 'dropout'?"),
    ("+modle.name=drugban", "modle: unknown key; did you mean 'model'?"),
    ("~serve", "serve: required, but not given"),
    ("screen.ray.address=nowhere", "screen.ray.address"),
    ("screen.targets=[P00533,P00533]", "screen.targets: a target is listed twice"),
    ("serve.batch_timeout_s=60", "batch_timeout_s must be below request_timeout_s"),
    # Fields of one section that contradict each other.
    ("split.train_fraction=0.9", "must sum to 1"),
    ("split.adapt_fraction=0.5", "of no other domain than train"),
    ("trainer.pairs_per_target=1000", "above batch_size"),
    ("trainer={schedule: cyclic_cosine, cycles: 6}", "no multiple of cycles 6"),
    ("evaluate.similarity_edges=[0.5,0.2]", "must increase"),
    ("standardise.min_residues=50000", "above max_residues"),
    # Sections that contradict each other.
    ("split.seed=5 adaptation=cdan", "adaptation.name: cdan needs unlabelled pairs"),
    (
        "adaptation=cdan split=cluster split.adapt_fraction=0.5 trainer.max_epochs=1",
        "adaptation.start_epoch: 2 is never reached",
    ),
    (
        "adaptation=cdan split=cluster split.adapt_fraction=0.5 model=ensemble_seeds",
        "adapts model drugban alone",
    ),
    ("model=ensemble_snapshots", "model.members.drugban.snapshots: 3 need trainer.schedule"),
    (
        "model=ensemble_snapshots trainer={schedule: cyclic_cosine, cycles: 2}",
        "they are cyclic_cosine and 2",
    ),
    ("model/target=embedding", "features.embedding is null"),
    ("promote.must_beat=[gradient_bosting]", "did you mean 'gradient_boosting'?"),
    (f"+evaluate.pretrained.base_rate={{source: m, sha256: {'0' * 64}}}", "another model has"),
    ("+evaluate.pretrained.old={source: models/old}", "old.sha256: required"),
    ("+evaluate.pretrained.old={source: models/old, sha256: abc}", "pattern"),
    ("promote.must_beat=[base_rate,base_rate]", "'base_rate' is named 2 times"),
    ("+baselines.candidate={name: base_rate}", "'candidate' is the candidate's own name"),
    ("+baselines.../x={name: base_rate}", "baselines"),
    ("+model@baselines.network=drugban", "baselines.network.name: drugban cannot be a baseline"),
    ("split=published dataset.sources.kiba_sample.columns.split=null", "no source of dataset"),
    # A data set of one's own.
    ("dataset=custom", "needs the file 'pairs'"),
    (
        "dataset=custom dataset.sources.custom.files.pairs.url=p.csv "
        "dataset.sources.custom.columns.sequence=smiles",
        "columns.smiles: 'smiles' is named for another column too",
    ),
    (
        "dataset=custom dataset.sources.custom.files.pairs.url=p.csv "
        f"dataset.sources.custom.files.test.sha256={'0' * 64}",
        "files.test.url: must be a text, got None",
    ),
]


def arguments(line: str) -> list[str]:
    """Split a line of overrides at the spaces between them, not at those within braces."""
    return re.split(r" (?![^{]*\})", line)


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[line for line, _ in REFUSED])
def test_refused_by_compose(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (REPOSITORY / PARAMS).read_bytes()
    assert main(arguments(line)) == 1
    shown = capsys.readouterr().err
    assert words in shown
    assert "pydantic" not in shown
    assert "Traceback" not in shown
    assert (REPOSITORY / PARAMS).read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        "trainer.learning_rate=1e-3",
        "trainer.weight_decay=1",  # a whole number where a number is wanted
        "execution.timeout_s={default: 500}",
        "execution.timeout_s.train=null",
        "reproducibility.seed=2147483547",
        "reproducibility.threads=256",
        "dataset=[human,biosnap] split=published",
        "screen.ray.address='[::1]:6379'",
        "tracking.uri=postgresql+psycopg2://user:word@host/mlflow",
    ],
)
def test_what_users_write_stays_valid(line: str) -> None:
    check(plain(arguments(line)))


def test_every_problem_has_a_line() -> None:
    config = plain([])
    config["trainer"]["batch_size"] = 0
    config["split"]["sede"] = 1
    del config["report"]["title"]
    with pytest.raises(ConfigError) as caught:
        check(config)
    lines = str(caught.value).splitlines()
    assert lines[0] == "invalid configuration:"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "  report.title", "  split.sede", "  trainer.batch_size",
    ]  # fmt: skip


def test_half_a_character_is_refused() -> None:
    config = plain([])
    config["report"]["title"] = "caf\udce9"
    with pytest.raises(
        ConfigError, match=r"report\.title: holds .* broken Unicode, got 'caf\\udce9'"
    ):
        check(config)


def test_the_check_changes_nothing() -> None:
    config = plain([])
    before = copy.deepcopy(config)
    check(config)
    assert config == before


def test_a_section_that_is_no_mapping_is_refused() -> None:
    config = plain([]) | {"trainer": None, "model": 3}
    with pytest.raises(ConfigError, match="trainer: must be a mapping of keys, got None"):
        check(config)


def test_every_value_of_conf_is_read() -> None:
    """A key more is refused wherever there are keys, so that no value of conf/ goes unread."""
    composed = plain([])
    for path in mappings(composed):
        if path in (["baselines"], ["dataset", "sources"]):
            continue  # their keys are names, and their values are checked
        config = copy.deepcopy(composed)
        inner: Any = config
        for part in path:
            inner = inner[part]
        inner["unread"] = 1
        with pytest.raises(ConfigError, match="unread"):
            check(config)


def plain(overrides: list[str]) -> dict[str, Any]:
    container = OmegaConf.to_container(compose(overrides))
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def mappings(value: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the path of every mapping, the whole included."""
    yield []
    for name, part in value.items():
        if isinstance(part, dict):
            for path in mappings(part):
                yield [name, *path]
