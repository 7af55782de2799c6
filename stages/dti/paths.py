"""Every artefact path of the pipeline, once, relative to the repository."""

from __future__ import annotations

from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from stages.dti.errors import DataError
from stages.dti.files import restore_folder

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = Path("data/sample")

RAW = Path("data/raw")
DRUGS = Path("data/interim/drugs.parquet")
TARGETS = Path("data/interim/targets.parquet")
INTERACTIONS = Path("data/interim/interactions.parquet")
REJECTED = Path("data/interim/rejected.parquet")
SPLITS = Path("data/processed/splits.parquet")
FEATURES = Path("data/processed/features")

CANDIDATE = Path("models/candidate")
BASELINES = Path("models/baselines")
PROMOTED = Path("models/promoted")
PRODUCTION = Path("models/production.json")

VALIDATION_METRICS = Path("reports/validation_metrics.json")
VALIDATION = Path("reports/validation")
PREPARE_METRICS = Path("reports/prepare_metrics.json")
LEAKAGE = Path("reports/leakage.json")
FEATURIZE_METRICS = Path("reports/featurize_metrics.json")
TRAINING_METRICS = Path("reports/training_metrics.json")
TRAINING_CURVES = Path("reports/plots/training")
METRICS = Path("reports/metrics.json")
EVALUATION = Path("reports/evaluation")
EVALUATION_PLOTS = Path("reports/plots/evaluation")
DECISION = Path("reports/decision.json")
REPORT = Path("reports/report.html")
PAGES = Path("reports/pages")
FIGURES = Path("reports/figures")
SUMMARY = Path("reports/summary")
SCREENING = Path("reports/screening")
SCREENING_METRICS = Path("reports/screening_metrics.json")

EXECUTIONS = Path("reports/executions")

CACHE = Path("data/cache")
"""What outlives a run, each thing below a hash of all that decides it; no output of any stage."""


def has_remote(root: Path) -> bool:
    """Return whether the repository at ``root`` names a DVC remote to pull from."""
    found = ConfigParser(interpolation=None, strict=False)
    found.read([root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    return any("remote " in section for section in found.sections())


@dataclass(frozen=True)
class Paths:
    """Where a stage reads and writes.

    Under DVC both roots are the repository. A stage started directly through Hydra reads the
    repository's artefacts but writes below its own Hydra run folder, so jobs never collide.
    """

    inputs: Path = ROOT
    outputs: Path = ROOT

    def read(self, artefact: Path) -> Path:
        """Return the absolute path of an input.

        Raises:
            DataError: it does not exist.
        """
        path = self.inputs / artefact
        restore_folder(path)
        if not path.exists():
            fetch = ", or `dvc pull`, which fetches it" if has_remote(self.inputs) else ""
            raise DataError(
                f"{artefact} does not exist under {self.inputs}; run `dvc repro`, which makes it"
                f"{fetch}"
            )
        return path

    def write(self, artefact: Path) -> Path:
        """Return the absolute path of an output; its parent folder exists afterwards."""
        path = self.outputs / artefact
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
