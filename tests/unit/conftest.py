"""Fixtures that several test files share; each file gets its own.

What makes them is imported by the fixture itself: the other test files need not wait for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stages.dti.config.tracking import TrackingConfig
    from tests.support.promotion_repository import Repository


@pytest.fixture(scope="module")
def evaluate_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``evaluate`` reads."""
    from tests.support.evaluated_models import write_inputs

    root = tmp_path_factory.mktemp("inputs")
    write_inputs(root)
    return root


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingConfig]:
    """The section ``tracking`` for a store of the file's own."""

    from stages.dti.tracking.uri import URI_VARIABLE
    from tests.support.tracking_section import tracking_at

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(URI_VARIABLE, raising=False)  # it would win over the section
        yield tracking_at(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``promote`` reads."""
    from tests.support.promotion_repository import write_pipeline

    root = tmp_path_factory.mktemp("pipeline")
    write_pipeline(root)
    return root


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without models, made once: its tables take a second or more."""

    from stages.dti.tracking.store import configure
    from tests.support.tracking_section import tracking_at

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    configure(tracking_at(f"sqlite:///{path}"))
    return path


@pytest.fixture
def repository(
    pipeline: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """A copy of the pipeline that a test may promote in."""
    from tests.support.promotion_repository import Repository

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Repository(Path(shutil.copytree(pipeline, tmp_path / "repository")), empty_store)


@pytest.fixture(scope="module")
def screen_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``screen`` reads."""
    from tests.support.screened_model import write_library, write_promoted

    root = tmp_path_factory.mktemp("inputs")
    write_promoted(root)
    write_library(root)
    return root


@pytest.fixture(scope="module")
def screen_outputs(screen_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``screen`` writes, the scores too."""
    from stages.dti.paths import Paths
    from stages.screen import run
    from tests.support.screened_model import screen_section

    root = tmp_path_factory.mktemp("outputs")
    run(Paths(screen_inputs, root), screen=screen_section(keep_scores=True))
    return root


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stage ``report`` reads."""
    from tests.support.reported_results import write_results

    root = tmp_path_factory.mktemp("results")
    write_results(root)
    return root


@pytest.fixture
def results_copy(results: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(results, tmp_path / "copy"))
