"""Fixtures that several test files share.

What makes them is imported by the fixture itself: the other test files need not wait for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.shared_folders import made_once

if TYPE_CHECKING:
    from stages.dti.config.tracking import TrackingConfig
    from tests.support.promotion_repository import Repository


@pytest.fixture(scope="session")
def evaluate_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``evaluate`` reads."""
    from tests.support.evaluated_models import write_inputs

    return made_once(tmp_path_factory, "evaluate_inputs", write_inputs)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingConfig]:
    """The section ``tracking`` for a store of the file's own."""
    from stages.dti.tracking.uri import URI_VARIABLE
    from tests.support.tracking_section import write_empty_store

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(URI_VARIABLE, raising=False)  # it would win over the section
        yield write_empty_store(tmp_path_factory.mktemp("mlflow") / "mlflow.db")


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``promote`` reads."""
    from tests.support.promotion_repository import write_pipeline

    return made_once(tmp_path_factory, "pipeline", write_pipeline)


@pytest.fixture
def repository(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A copy of the pipeline that a test may promote in."""
    from tests.support.promotion_repository import Repository

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Repository(Path(shutil.copytree(pipeline, tmp_path / "repository")))


@pytest.fixture(scope="session")
def screen_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``screen`` reads."""
    from tests.support.screened_model import write_inputs

    return made_once(tmp_path_factory, "screen_inputs", write_inputs)


@pytest.fixture(scope="session")
def screen_outputs(screen_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``screen`` writes, the scores too."""
    from stages.dti.paths import Paths
    from stages.screen import run
    from tests.support.screened_model import screen_section

    return made_once(
        tmp_path_factory,
        "screen_outputs",
        lambda root: run(Paths(screen_inputs, root), screen=screen_section(keep_scores=True)),
    )


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``report`` reads."""
    from tests.support.reported_results import write_results

    return made_once(tmp_path_factory, "results", write_results)


@pytest.fixture
def results_copy(results: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(results, tmp_path / "copy"))
