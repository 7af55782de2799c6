"""Every artefact path of the pipeline, once, relative to the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.dti.errors import DataError

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
SUMMARY = Path("reports/summary")
BENCHMARK = Path("reports/benchmark")
SCREENING = Path("reports/screening")
SCREENING_METRICS = Path("reports/screening_metrics.json")

EXECUTIONS = Path("reports/executions")

CACHE = Path("data/cache")
"""What outlives a run, each thing below a hash of all that decides it; no output of any stage."""


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
        if not path.exists():
            raise DataError(
                f"{artefact} does not exist under {self.inputs}; "
                "run `dvc repro`, which makes it, or `dvc pull`, which fetches it"
            )
        return path

    def write(self, artefact: Path) -> Path:
        """Return the absolute path of an output; its parent folder exists afterwards."""
        path = self.outputs / artefact
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
