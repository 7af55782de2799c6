"""A screen that was stopped goes on, and Ray's workers give the bytes that one process gives."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stages.dti.errors import ConfigError
from stages.dti.paths import PROMOTED, ROOT, SCREENING, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.screening import ray_engine
from stages.dti.screening.chunks import Chunk
from stages.dti.screening.job import Job, score_locally
from stages.screen import run
from tests.support.screened_model import screen_section
from tests.support.written_files import files_below


class Stopped(Exception):
    pass


def stopping_after(chunks: int) -> Any:
    def engine(job: Job, missing: Sequence[int]) -> Iterator[tuple[int, Chunk]]:
        for done, result in enumerate(score_locally(job, missing)):
            if done == chunks:
                raise Stopped
            yield result

    return engine


def test_a_run_that_stopped_goes_on_with_the_missing_chunks(
    screen_inputs: Path,
    screen_outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    section = screen_section(keep_scores=True)
    with monkeypatch.context() as patch:
        patch.setattr("stages.screen.score_locally", stopping_after(2))
        with pytest.raises(Stopped):
            run(Paths(screen_inputs, tmp_path), screen=section)
    assert not (tmp_path / SCREENING).exists()
    with caplog.at_level(logging.INFO):
        run(Paths(screen_inputs, tmp_path), screen=section)
    assert "2 of 4 chunks were kept" in caplog.text
    assert files_below(tmp_path) == files_below(screen_outputs)


@pytest.mark.parametrize(
    "other", [{"margin": 6}, {"precision": "float32"}, {"chunk_drugs": 15}, {"targets": None}]
)
def test_chunks_of_another_screen_are_not_taken(
    screen_inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    other: dict[str, Any],
) -> None:
    if "targets" in other:
        known = Predictor.load(screen_inputs / PROMOTED).content.reference.targets["target_id"]
        other = {"targets": known.tolist()[:2]}
    with monkeypatch.context() as patch:
        patch.setattr("stages.screen.score_locally", stopping_after(1))
        with pytest.raises(Stopped):
            run(Paths(screen_inputs, tmp_path), screen=screen_section())
    with caplog.at_level(logging.INFO):
        run(Paths(screen_inputs, tmp_path), screen=screen_section(**other))
    assert "were kept" not in caplog.text


KILLED = """
import os, signal
from pathlib import Path
from tests.support.screened_model import screen_section
from stages.dti.paths import Paths
from stages.dti.screening import job
from stages.screen import run

score = job.score_chunk
done = 0

def killing(*arguments, **keywords):
    global done
    done += 1
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(*arguments, **keywords)

job.score_chunk = killing
run(Paths(Path({inputs!r}), Path({outputs!r})), screen=screen_section(keep_scores=True))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_where_it_stopped(
    screen_inputs: Path, screen_outputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(inputs=str(screen_inputs), outputs=str(tmp_path))],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with caplog.at_level(logging.INFO):
        run(Paths(screen_inputs, tmp_path), screen=screen_section(keep_scores=True))
    assert "2 of 4 chunks were kept" in caplog.text
    assert files_below(tmp_path) == files_below(screen_outputs)


@pytest.mark.slow
def test_two_ray_workers_give_the_same_bytes(
    screen_inputs: Path, screen_outputs: Path, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray")
    section = screen_section(keep_scores=True, engine="ray", ray={"address": None, "workers": 2})
    run(Paths(screen_inputs, tmp_path), screen=section)
    assert files_below(tmp_path) == files_below(screen_outputs)
    assert not ray.is_initialized()


def test_a_cluster_that_does_not_answer_is_named(screen_inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    ray = {"address": "127.0.0.1:1", "workers": 1}
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at '127\.0\.0\.1:1'"):
        run(Paths(screen_inputs, tmp_path), screen=screen_section(engine="ray", ray=ray))


@pytest.mark.slow
def test_a_cluster_that_runs_already_is_used_and_left_running(
    screen_inputs: Path, screen_outputs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block"]
    options = ["--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    cluster = subprocess.Popen(
        [*command, *options, "--include-dashboard=false", "--disable-usage-stats"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.2)
        ray = {"address": f"127.0.0.1:{port}", "workers": 2}
        section = screen_section(keep_scores=True, engine="ray", ray=ray)
        run(Paths(screen_inputs, tmp_path), screen=section)
        assert cluster.poll() is None
    finally:
        cluster.terminate()
        cluster.wait(60)
    assert files_below(tmp_path) == files_below(screen_outputs)


def test_without_ray_the_error_names_the_extra(
    screen_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="install the extra `ray`"):
        run(Paths(screen_inputs, tmp_path), screen=screen_section(engine="ray"))


def test_usage_statistics_of_ray_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError):
        ray_engine.ray_engine(screen_section().ray)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
