"""The train stage, killed with SIGKILL and started again, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from stages.dti.hashing import folder_sha256
from stages.dti.paths import (
    CACHE,
    CANDIDATE,
    ROOT,
    TRAINING_CURVES,
    TRAINING_METRICS,
)
from stages.dti.training.callbacks import STATE_FILE
from stages.dti.training.checkpoint_io import SafetensorsIO
from tests.support.drugban_fits import small
from tests.support.prepared_tables import write_features, write_tables

pytestmark = pytest.mark.slow

SCRIPT = """
import json, logging, sys
from pathlib import Path
from omegaconf import OmegaConf
from stages import train
from stages.dti.runtime.compose import compose
from stages.dti.paths import Paths
from stages.dti.runtime.stage import typed_sections
if __name__ == "__main__":
    logging.basicConfig(level="INFO")
    root, model, overrides = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    config = compose(overrides)
    config.model = model
    config.tracking.uri = f"sqlite:///{root}/mlflow.db"
    config.tracking.system_metrics = False
    train.run(Paths(root, root), **typed_sections(train.run, config))
"""
OVERRIDES = [
    "trainer.precision=32-true", "trainer.max_epochs=6", "trainer.patience_epochs=6",
    "trainer.batch_size=16", "trainer.crop_residues=100", "trainer.ema_decay=0.9",
    "reproducibility.threads=1",
]  # fmt: skip


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "train_here.py"
    file.write_text(SCRIPT)
    return file


def prepared(root: Path) -> Path:
    write_tables(root)
    write_features(root)
    return root


def start(script: Path, root: Path, *overrides: str, dropout: float = 0.2) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        [
            sys.executable, str(script), str(root), json.dumps(small(dropout=dropout).model_dump()),
            *OVERRIDES, *overrides,
        ],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for success; return what was logged."""
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors[-4000:]
    return errors


def state_files(root: Path) -> list[Path]:
    return list((root / CACHE / "train").glob(f"*/{STATE_FILE}"))


def kill_after_an_epoch(process: subprocess.Popen[str], root: Path) -> None:
    deadline = time.monotonic() + 200
    while not state_files(root) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def outputs(root: Path) -> tuple[str, str, str]:
    return (
        folder_sha256(root / CANDIDATE),
        (root / TRAINING_METRICS).read_text(),
        folder_sha256(root / TRAINING_CURVES),
    )


def test_a_killed_stage_resumes_to_the_same_outputs(script: Path, tmp_path: Path) -> None:
    whole, killed = prepared(tmp_path / "whole"), prepared(tmp_path / "killed")
    assert "resumed" not in finished(start(script, whole))
    kill_after_an_epoch(start(script, killed), killed)
    (file,) = state_files(killed)
    curve = SafetensorsIO().load_checkpoint(file)["callbacks"]["KeptEpochs"]["curve"]
    assert 1 <= len(curve) < 6
    assert not (killed / CANDIDATE).exists()
    assert "resumed after epoch" in finished(start(script, killed))
    assert outputs(killed) == outputs(whole)
    assert not state_files(killed)
    assert not any((killed / CACHE / "train").iterdir())


def test_a_run_that_differs_does_not_resume(script: Path, tmp_path: Path) -> None:
    root = prepared(tmp_path / "root")
    kill_after_an_epoch(start(script, root), root)
    left = state_files(root)
    assert "resumed" not in finished(start(script, root, "reproducibility.seed=1"))
    assert state_files(root) == left


def test_the_stage_in_two_processes_measures_what_one_does(script: Path, tmp_path: Path) -> None:
    curves = []
    for name, overrides in (("one", []), ("two", ["trainer.strategy=ddp", "trainer.devices=2"])):
        root = prepared(tmp_path / name)
        # Short and slow, since rounding grows from step to step, as in any training.
        overrides += [
            "trainer.crop_residues=0", "trainer.max_epochs=2", "trainer.learning_rate=1e-4",
        ]  # fmt: skip
        finished(start(script, root, *overrides, dropout=0.0))
        assert (root / CANDIDATE / "model.json").is_file()
        curves.append(pd.read_csv(root / TRAINING_CURVES / "loss.csv"))
    pd.testing.assert_frame_equal(*curves, rtol=1e-3)
