"""A screen takes more candidates until every top is certain, and then it is the exact one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from stages.dti.paths import CACHE, PROMOTED, ROOT, SAMPLE, SCREENING, SCREENING_METRICS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from stages.dti.screening.chunks import Chunk, ChunkSettings
from stages.dti.screening.job import Job, complete, score_locally
from stages.dti.screening.library import read_library, read_targets
from stages.dti.screening.results import Screening, gather, rank_exactly
from stages.dti.screening.widening import screen_until_certain
from stages.screen import run
from tests.support.rough_models import Coarse, Flat, Rounded, with_matrix_of
from tests.support.screened_model import screen_section, screening_page_of, write_promoted
from tests.support.written_files import files_below

TOP_K = 5
DRUGS = 150


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A promoted model, and a library of which the last rows repeat the first."""
    root = tmp_path_factory.mktemp("inputs")
    write_promoted(root)
    drugs = pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=DRUGS)
    repeated = drugs.head(20).assign(drug_id=[f"AGAIN{row}" for row in range(20)])
    pd.concat([drugs, repeated]).to_csv(root / "library.csv", index=False)
    return root


def job_of(inputs: Path, kind: type[Rounded], margin: int = 2) -> Job:
    predictor = with_matrix_of(kind, Predictor.load(inputs / PROMOTED))
    section = screen_section(margin=margin, chunk_drugs=64)
    return Job.prepare(
        inputs / PROMOTED,
        predictor,
        read_library(section.library, section.columns, inputs),
        read_targets("all", predictor, inputs),
        ChunkSettings(
            precision="bf16", candidates=TOP_K + margin, keep_scores=False, threads=section.threads
        ),
        section.chunk_drugs,
    )


@pytest.fixture(scope="module")
def exact(inputs: Path) -> pd.DataFrame:
    """The top of each target by the scores of all its pairs."""
    predictor = Predictor.load(inputs / PROMOTED)
    targets = predictor.content.reference.targets
    tops = []
    drugs = predictor.prepare_drugs(pd.read_csv(inputs / "library.csv")["smiles"].tolist()).texts
    for target_id in targets.loc[targets["in_train"], "target_id"]:
        answers = predictor.predict([Pair(smiles, target_id=target_id) for smiles in drugs])
        table = pd.DataFrame(
            {
                "target_id": target_id,
                "smiles": drugs,
                "score": [answer.score for answer in answers],
                "probability": [answer.probability for answer in answers],
            }
        )
        tops.append(table.sort_values(["score", "smiles"], ascending=[False, True]).head(TOP_K))
    return pd.concat(tops, ignore_index=True)


def ranking_of(found: Screening, exact: pd.DataFrame) -> pd.DataFrame:
    return found.ranking[exact.columns.tolist()].astype({"target_id": object})


@pytest.mark.parametrize("kind", [Coarse, Flat])
def test_the_top_is_that_of_scoring_every_pair(
    inputs: Path, exact: pd.DataFrame, tmp_path: Path, kind: type[Rounded]
) -> None:
    """Rounding leaves drugs of the top out at first."""
    job = job_of(inputs, kind)
    complete(job, score_locally, tmp_path)
    first = rank_exactly(job, gather(job, tmp_path, None), TOP_K)
    tables = pd.concat(first.tables.values(), ignore_index=True)
    assert first.uncertain
    assert tables["smiles"].tolist() != exact["smiles"].tolist()

    found = screen_until_certain(job, score_locally, tmp_path, TOP_K, None)
    pd.testing.assert_frame_equal(ranking_of(found, exact), exact)
    assert found.metrics["targets_widened"] == len(first.uncertain)
    assert found.metrics["ranked"] == TOP_K * found.metrics["targets"] == len(exact)
    assert found.metrics["drugs_duplicate"] == len(found.rejected) >= 20


def test_targets_that_are_certain_are_not_screened_again(
    inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Step by step fewer of them are, and none is if the margin is wide enough at once."""
    screened: list[tuple[int, int]] = []

    def counting(job: Job, chunks: Sequence[int]) -> Iterator[tuple[int, Chunk]]:
        screened.append((len(job.targets), job.settings.candidates))
        yield from score_locally(job, chunks)

    caplog.set_level(logging.INFO)
    job = job_of(inputs, Coarse)
    found = screen_until_certain(job, counting, tmp_path / "narrow", TOP_K, None)
    targets, candidates = zip(*screened, strict=True)
    assert targets[0] == found.metrics["targets"] > targets[1] == found.metrics["targets_widened"]
    assert list(candidates) == [(TOP_K + 2) * 2**step for step in range(len(screened))]
    assert list(targets) == sorted(targets, reverse=True)
    assert f"{targets[1]} of {targets[0]} targets are uncertain" in caplog.text

    screened.clear()
    wide = job_of(inputs, Coarse, margin=DRUGS)
    again = screen_until_certain(wide, counting, tmp_path / "wide", TOP_K, None)
    assert len(screened) == 1
    assert again.metrics == found.metrics | {"targets_widened": 0}
    pd.testing.assert_frame_equal(again.ranking, found.ranking)


def test_memory_is_bounded_without_a_trace_in_the_result(
    inputs: Path, exact: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few candidates at once: targets one by one, answers forgotten that no top needs."""
    whole = screen_until_certain(job_of(inputs, Flat), score_locally, tmp_path / "a", TOP_K, None)
    monkeypatch.setattr("stages.dti.screening.widening._CANDIDATES_AT_ONCE", 1)
    monkeypatch.setattr("stages.dti.screening.results._PAIRS_AT_ONCE", 7)
    folder = tmp_path / "b"
    found = screen_until_certain(job_of(inputs, Flat), score_locally, folder, TOP_K, None)
    pd.testing.assert_frame_equal(ranking_of(found, exact), exact)
    pd.testing.assert_frame_equal(found.ranking, whole.ranking)
    assert found.metrics == whole.metrics


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def equal_inputs(tmp_path_factory: pytest.TempPathFactory, inputs: Path) -> Path:
    """A promoted model that scores all drugs alike: only all of them are enough candidates."""
    root = tmp_path_factory.mktemp("equal")
    write_promoted(root, "base_rate")
    (root / "library.csv").write_bytes((inputs / "library.csv").read_bytes())
    return root


@pytest.fixture(scope="module")
def equal_outputs(tmp_path_factory: pytest.TempPathFactory, equal_inputs: Path) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    run(Paths(equal_inputs, root), screen=screen_section(keep_scores=True))
    return root


def test_the_stage_ranks_equal_drugs_by_their_smiles(
    equal_inputs: Path, equal_outputs: Path
) -> None:
    predictor = Predictor.load(equal_inputs / PROMOTED)
    library = pd.read_csv(equal_inputs / "library.csv")["smiles"].tolist()
    first = sorted(predictor.prepare_drugs(library).texts)[:TOP_K]
    ranking = pd.read_parquet(equal_outputs / SCREENING / "ranking.parquet")
    for _, table in ranking.groupby("target_id"):
        assert table["smiles"].tolist() == first
    metrics = json.loads((equal_outputs / SCREENING_METRICS).read_text())
    assert metrics["targets_widened"] == metrics["targets"] > 1
    assert len(list((equal_outputs / SCREENING / "scores").iterdir())) > 1
    assert not list((equal_outputs / CACHE / "screen").iterdir())
    assert f"For {metrics['targets']} of {metrics['targets']} targets" in screening_page_of(
        equal_outputs
    )


def test_a_run_that_stopped_while_widening_goes_on_there(
    equal_inputs: Path,
    equal_outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stopping(job: Job, missing: Sequence[int]) -> Iterator[tuple[int, Chunk]]:
        for done, result in enumerate(score_locally(job, missing)):
            if job.settings.candidates > 10 and done == 3:
                raise Stopped
            yield result

    section = screen_section(keep_scores=True)
    with monkeypatch.context() as patch:
        patch.setattr("stages.screen.score_locally", stopping)
        with pytest.raises(Stopped):
            run(Paths(equal_inputs, tmp_path), screen=section)
    assert not (tmp_path / SCREENING).exists()
    caplog.set_level(logging.INFO)
    run(Paths(equal_inputs, tmp_path), screen=section)
    kept = [line for line in caplog.messages if "were kept" in line]
    assert [line.split(" ")[0] for line in kept] == ["11", "3"]
    assert files_below(tmp_path) == files_below(equal_outputs)


@pytest.mark.slow
def test_ray_workers_widen_to_the_same_bytes(
    equal_inputs: Path, equal_outputs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    section = screen_section(keep_scores=True, engine="ray", ray={"address": None, "workers": 2})
    run(Paths(equal_inputs, tmp_path), screen=section)
    assert files_below(tmp_path) == files_below(equal_outputs)
