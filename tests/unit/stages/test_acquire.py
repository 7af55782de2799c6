"""The stage `acquire`, and the data sets as `conf/` composes them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import compose_and_dump
from omegaconf import OmegaConf

from stages.acquire import run
from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.data.sources.formats import read_records
from stages.dti.errors import ConfigError, DataError
from stages.dti.paths import RAW, ROOT, SAMPLE, Paths
from stages.dti.runtime.compose import compose

ACQUIRE = AcquireConfig(timeout_s=5, attempts=1, retry_wait_s=0)
TABLE = (
    "SMILES,Protein,Y,part\nCCO,MKTAYIAKQRQISFVKSHFSRQ,1,train\nCCN,MKTAYIAKQRQISFVKSHFSRQ,0,test\n"
)

CUSTOM = [
    "dataset=custom",
    "dataset.sources.custom.files.pairs.url=my.csv",
    "dataset.sources.custom.columns.smiles=SMILES",
    "dataset.sources.custom.columns.sequence=Protein",
    "dataset.sources.custom.columns.label=Y",
]
AFFINITIES = [
    "dataset.sources.custom.columns.affinity=Kd_nM",
    "dataset.sources.custom.label.rule=threshold",
    "dataset.sources.custom.label.unit=nM",
    "dataset.sources.custom.label.stronger=lower",
    "dataset.sources.custom.label.positive_threshold=100",
    "dataset.sources.custom.label.negative_threshold=10000",
]


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DTI_MIRROR", raising=False)
    monkeypatch.setenv("DTI_CACHE", str(tmp_path / "cache"))


def section(*overrides: str) -> dict[str, Any]:
    plain = OmegaConf.to_container(compose(overrides).dataset)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def dataset(*overrides: str) -> DatasetConfig:
    return build(DatasetConfig, section(*overrides), "dataset")


def pairs(url: str = "my.csv", digest: str | None = None, name: str = "mine") -> DatasetConfig:
    source = {
        "format": "pairs",
        "files": {"pairs": {"url": url, "sha256": digest}},
        "columns": {"smiles": "SMILES", "sequence": "Protein", "label": "Y"},
        "label": {"rule": "given"},
    }
    return build(DatasetConfig, {"sources": {name: source}}, "dataset")


def test_the_embedded_sample_is_what_is_pinned(tmp_path: Path) -> None:
    run(Paths(inputs=ROOT, outputs=tmp_path), dataset=dataset(), acquire=ACQUIRE)
    manifest = json.loads((tmp_path / RAW / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["kiba_sample"]["drugs"] == {
        "file": "kiba_sample/drugs.csv",
        "url": "data/sample/drugs.csv",
        "sha256": sha256((ROOT / SAMPLE / "drugs.csv").read_bytes()).hexdigest(),
        "bytes": (ROOT / SAMPLE / "drugs.csv").stat().st_size,
    }
    files = sorted(path for path in (tmp_path / RAW).rglob("*") if path.is_file())
    names = [path.relative_to(tmp_path / RAW).as_posix() for path in files]
    assert names == [
        "kiba_sample/drugs.csv",
        "kiba_sample/interactions.csv",
        "kiba_sample/targets.csv",
        "manifest.json",
    ]
    assert not any(path.is_symlink() for path in files)
    records = read_records(dataset(), tmp_path / RAW)
    assert len(records) == 5000
    assert records[["smiles", "sequence", "affinity", "published_split"]].notna().all(axis=None)


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text(TABLE, encoding="utf-8")
    contents = []
    for _ in range(2):
        run(Paths(tmp_path, tmp_path), dataset=pairs(), acquire=ACQUIRE)
        files = sorted((tmp_path / RAW).rglob("*.*"))
        contents.append([(path, path.read_bytes()) for path in files])
    assert contents[0] == contents[1]


def test_another_data_set_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text(TABLE, encoding="utf-8")
    paths = Paths(tmp_path, tmp_path)
    run(paths, dataset=pairs(name="before"), acquire=ACQUIRE)
    run(paths, dataset=pairs(name="after"), acquire=ACQUIRE)
    assert sorted(path.name for path in (tmp_path / RAW).iterdir()) == ["after", "manifest.json"]


@pytest.mark.parametrize(
    ("url", "digest"), [("gone.csv", None), ("my.csv", "0" * 64), ("empty.csv", None)]
)
def test_a_failure_leaves_what_was_there(tmp_path: Path, url: str, digest: str | None) -> None:
    (tmp_path / "my.csv").write_text(TABLE, encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    paths = Paths(tmp_path, tmp_path)
    run(paths, dataset=pairs(name="before"), acquire=ACQUIRE)
    with pytest.raises(DataError):
        run(paths, dataset=pairs(url, digest, name="after"), acquire=ACQUIRE)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["raw"]
    assert (tmp_path / RAW / "before" / "pairs.csv").is_file()
    assert not (tmp_path / RAW / "after").exists()


@pytest.mark.parametrize("option", ["sample", "human", "biosnap", "bindingdb", "kiba", "davis"])
def test_each_published_data_set_composes(option: str) -> None:
    config = dataset(f"dataset={option}")
    for source in config.sources.values():
        for file in source.files.values():
            assert file.url.startswith(("https://", "data/sample/"))


def test_sources_are_merged_by_naming_several(tmp_path: Path) -> None:
    merged = dataset("dataset=[human,biosnap]")
    assert merged.name == "human+biosnap"
    assert merged.sources == {
        **dataset("dataset=human").sources,
        **dataset("dataset=biosnap").sources,
    }
    # As `dvc exp run -S 'dataset=[human,biosnap]'` composes it.
    for overrides in (["dataset=[human,biosnap]"], ["dataset=human"]):
        params = tmp_path / "params.yaml"
        compose_and_dump(str(params), str(ROOT / "conf"), None, "config", str(tmp_path), overrides)
        composed = OmegaConf.to_container(OmegaConf.load(params)["dataset"])
        assert composed == section(*overrides)


def test_custom_data_on_the_command_line() -> None:
    source = dataset(*CUSTOM).sources["custom"]
    assert list(source.files) == ["pairs"]
    assert source.label.rule == "given"
    measured = dataset(*CUSTOM, *AFFINITIES).sources["custom"]
    assert (measured.columns.affinity, measured.label.positive_threshold) == ("Kd_nM", 100)
    with_split = dataset(*CUSTOM, "dataset.sources.custom.columns.split=part").sources["custom"]
    assert with_split.columns.split == "part"
    parts = [f"dataset.sources.custom.files.{part}.url={part}.csv" for part in ("train", "test")]
    assert list(dataset("dataset=custom", *parts).sources["custom"].files) == ["train", "test"]


def test_custom_tables_on_the_command_line() -> None:
    roles = ("drugs", "targets", "interactions")
    source = dataset(
        "dataset=custom",
        "dataset.sources.custom.format=tables",
        *(f"dataset.sources.custom.files.{role}.url={role}.csv" for role in roles),
        "dataset.sources.custom.columns.drug_id=drug",
        "dataset.sources.custom.columns.target_id=target",
    ).sources["custom"]
    assert set(source.files) == set(roles)


def test_custom_data_through_the_stage(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text(TABLE, encoding="utf-8")
    config = dataset(*CUSTOM, "dataset.sources.custom.columns.split=part")
    run(Paths(tmp_path, tmp_path), dataset=config, acquire=ACQUIRE)
    records = read_records(config, tmp_path / RAW)
    assert records["label"].tolist() == [1, 0]
    assert records["published_split"].tolist() == ["train", "test"]


@pytest.mark.parametrize(
    ("option", "role"),
    [("bindingdb_dump", "dump"), ("custom", "pairs"), ("[human,custom]", "pairs")],
)
def test_a_file_that_must_be_given_is_asked_for(option: str, role: str) -> None:
    with pytest.raises(ConfigError, match=rf"files.*set files\.{role}\.url to a path or URL"):
        dataset(f"dataset={option}")


def test_the_dump_is_given_on_the_command_line() -> None:
    url = "BindingDB_All_202411_tsv.zip"
    config = dataset(
        "dataset=bindingdb_dump", f"dataset.sources.bindingdb_dump.files.dump.url={url}"
    )
    source = config.sources["bindingdb_dump"]
    assert source.files["dump"].url == url
    assert (source.label.positive_threshold, source.label.negative_threshold) == (100, 10000)


@pytest.mark.parametrize(
    ("option", "rows", "splits"),
    [
        ("human", 5997, {"train": 4197, "val": 600, "test": 1200}),
        ("biosnap", None, {"val": 2748, "test": 5497}),
        ("kiba", 118254, {"train": 78836, "val": 19709, "test": 19709}),
    ],
)
def test_published_files_hold_the_published_rows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mirror: Path,
    option: str,
    rows: int | None,
    splits: dict[str, int],
) -> None:
    monkeypatch.setenv("DTI_MIRROR", str(mirror))
    config = dataset(f"dataset={option}")
    run(Paths(ROOT, tmp_path), dataset=config, acquire=ACQUIRE)
    assert str(mirror) not in (tmp_path / RAW / "manifest.json").read_text(encoding="utf-8")
    records = read_records(config, tmp_path / RAW)
    assert rows is None or len(records) == rows
    counts = records["published_split"].value_counts()
    assert {part: counts[part] for part in splits} == splits
    assert records["smiles"].notna().all()
    assert records["sequence"].notna().all()
    if option == "kiba":
        assert (records["drug_id"].nunique(), records["target_id"].nunique()) == (2111, 229)
        assert records["affinity"].notna().all()
    else:
        assert records["label"].isin((0, 1)).all()


def test_the_published_part_of_bindingdb_through_custom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Path
) -> None:
    monkeypatch.setenv("DTI_MIRROR", str(mirror))
    url = dataset("dataset=bindingdb").sources["bindingdb"].files["val"].url
    config = dataset(*CUSTOM, f"dataset.sources.custom.files.pairs.url={url}")
    run(Paths(ROOT, tmp_path), dataset=config, acquire=ACQUIRE)
    records = read_records(config, tmp_path / RAW)
    assert len(records) == 4920
    assert records["label"].isin((0, 1)).all()
