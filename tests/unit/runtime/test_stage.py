"""A stage as a process: exit codes, messages, time limit, execution record, Hydra's two doors."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from stages.dti.errors import ConfigError, DataError, StageTimeoutError
from stages.dti.paths import INTERACTIONS, ROOT, Paths
from stages.dti.runtime.process import log_level, prepare_process
from stages.dti.runtime.stage import time_limit


def start(
    tmp_path: Path, *overrides: str | bytes, stage: str = "split", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Start a stage directly through Hydra, with its run folder in ``tmp_path``."""
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", f"hydra.run.dir={tmp_path}", *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


def fork(tmp_path: Path, override: str | bytes, stage: str) -> subprocess.CompletedProcess[str]:
    """Start a stage as ``start`` does, in a copy of this process: it has imported most of it."""
    command = [f"stages/{stage}.py", f"hydra.run.dir={tmp_path}", os.fsdecode(override)]
    said = tmp_path / "said"

    def run() -> None:
        sys.argv = command
        os.chdir(ROOT)
        logging.getLogger().handlers.clear()  # those of pytest
        with said.open("w") as stream, redirect_stderr(stream):
            runpy.run_module(f"stages.{stage}", run_name="__main__")

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode is not None
    return subprocess.CompletedProcess(command, process.exitcode, stderr=said.read_text())


def refused(result: subprocess.CompletedProcess[str], words: str, stage: str = "split") -> None:
    """Check that a stage refused to start, with these words and no traceback."""
    assert result.returncode == 1
    assert f"error in stage {stage}: " in result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_value_out_of_range_stops_the_stage_before_any_work(tmp_path: Path) -> None:
    result = start(tmp_path, "split.train_fraction=0.95")
    assert result.returncode == 1
    assert "error in stage split" in result.stderr
    assert "must sum to 1" in result.stderr
    assert "Traceback" not in result.stderr
    record = json.loads((tmp_path / "reports/executions/split.json").read_text())
    assert record["status"] == "failed"
    assert "must sum to 1" in record["reason"]
    assert record["wall_time_s"] >= 0
    assert not (tmp_path / "data").exists()


def test_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    result = start(tmp_path, "+split.sede=1")
    assert result.returncode == 1
    assert "did you mean 'seed'" in result.stderr


@pytest.mark.parametrize(
    ("stage", "override", "words"),
    [
        # No section that the stage reads is wrong.
        ("acquire", "trainer.batch_size=1", "trainer.batch_size: must be at least 2"),
        ("split", "adaptation=cdan", "adaptation.name: cdan needs unlabelled pairs"),
        ("report", "+execution.timeout_s.trian=5", "did you mean 'train'?"),
        ("split", "~execution.timeout_s.default", "execution.timeout_s.default: required"),
        ("split", "report.title=${nowhere}", "report.title: Interpolation key 'nowhere' not found"),
        ("split", "trainer=null", "must be a string or a list"),
        ("split", "split=randon", "does not compose"),
        ("split", b"report.title=caf\xe9", "is no UTF-8"),
        ("train", "trainer.accelerator=gpu", "trainer.accelerator: gpu, but torch"),
    ],
)
def test_every_stage_checks_the_whole_first(
    tmp_path: Path, stage: str, override: str | bytes, words: str
) -> None:
    refused(fork(tmp_path, override, stage=stage), words, stage)
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (None, "Cannot find primary config 'params'"),
        ("split: [", "the configuration is no YAML"),
    ],
)
def test_a_params_file_that_cannot_be_read(tmp_path: Path, params: str | None, words: str) -> None:
    if params is not None:
        (tmp_path / "params.yaml").write_text(params)
    # As dvc.yaml starts it, but for the folder.
    result = subprocess.run(
        [sys.executable, "-m", "stages.split", f"--config-dir={tmp_path}", "--config-name=params"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    refused(result, words)
    assert "make params" in result.stderr


def test_an_unknown_log_level_is_refused(tmp_path: Path) -> None:
    refused(start(tmp_path, LOG_LEVEL="loud"), "LOG_LEVEL='loud': no such level; expected one of")


def test_log_levels() -> None:
    assert log_level({}) == log_level({"LOG_LEVEL": ""}) == "INFO"
    assert log_level({"LOG_LEVEL": "debug"}) == "DEBUG"
    with pytest.raises(ConfigError, match="did you mean 'WARNING'"):
        log_level({"LOG_LEVEL": "warn"})


def test_time_limit_interrupts_and_names_its_setting() -> None:
    def work() -> None:
        with time_limit(0.05, "split"):
            while True:
                time.monotonic()

    with pytest.raises(StageTimeoutError, match=r"raise execution\.timeout_s\.split"):
        work()


def test_library_settings_do_not_override_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    prepare_process()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_library_settings_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    prepare_process()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"


def test_work_within_the_limit_is_left_alone() -> None:
    with time_limit(60, "split"):
        total = sum(range(1000))
    assert total == 499500


def test_a_missing_input_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"interactions\.parquet does not exist.*dvc repro"):
        Paths(tmp_path, tmp_path).read(INTERACTIONS)


SCRIPT = """
import logging, time
from stages.dti.config.report import ReportConfig
from stages.dti.paths import Paths
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)

def run(paths: Paths, *, report: ReportConfig) -> None:
    logger.info("ours says: %s", report.title)
    logger.warning("ours warns")
    logging.getLogger("stages.dti.part").info("a part says")
    logging.getLogger("matplotlib.font_manager").info("generated new fontManager")
    logging.getLogger("matplotlib").warning("theirs warns")
    started = time.monotonic()
    while report.title == "long" and time.monotonic() - started < 20:
        pass

main(run)
"""


def start_script(
    folder: Path, *overrides: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Start a stage of the test's own, called ``screen``."""
    (folder / "screen.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(folder / "screen.py"), f"hydra.run.dir={folder}", *overrides],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "reports/executions/screen.json").read_text())
    return found


def test_a_stage_that_ends_is_recorded_as_succeeded(tmp_path: Path) -> None:
    result = start_script(tmp_path)
    assert result.returncode == 0, result.stderr
    found = record(tmp_path)
    assert found["status"] == "succeeded"
    assert found["stage"] == "screen"
    assert "reason" not in found


def test_a_stage_past_its_limit_is_ended_and_says_so(tmp_path: Path) -> None:
    result = start_script(tmp_path, "report.title=long", "execution.timeout_s.screen=0.3")
    assert result.returncode == 1
    assert "ran past its limit of 0.3 s; raise execution.timeout_s.screen" in result.stderr
    assert "Traceback" not in result.stderr
    found = record(tmp_path)
    assert found["status"] == "failed"
    assert "ran past its limit" in str(found["reason"])


def test_the_default_limit_is_for_stages_without_their_own(tmp_path: Path) -> None:
    result = start_script(
        tmp_path,
        "report.title=long",
        "~execution.timeout_s.screen",
        "execution.timeout_s.default=0.3",
    )
    assert result.returncode == 1
    assert "ran past its limit of 0.3 s" in result.stderr


LOGGED = {
    "INFO": ["ours says", "a part says", "ours warns", "theirs warns"],
    "debug": ["ours says", "a part says", "ours warns", "theirs warns"],
    "WARNING": ["ours warns", "theirs warns"],
    "ERROR": [],
}


@pytest.mark.parametrize("level", LOGGED)
def test_the_log_holds_what_its_level_says_and_no_chatter_of_libraries(
    tmp_path: Path, level: str
) -> None:
    result = start_script(tmp_path, LOG_LEVEL=level)
    for words in ("ours says", "a part says", "ours warns", "theirs warns"):
        assert (words in result.stderr) == (words in LOGGED[level]), words
    assert "fontManager" not in result.stderr
