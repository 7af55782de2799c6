"""An experiment whose sections contradict each other runs no stage."""

from __future__ import annotations

import pytest

from tests.support.tiny_repository import TinyRepository

pytestmark = pytest.mark.slow


def test_no_stage_works_before_the_whole_is_checked(tiny: TinyRepository) -> None:
    result = tiny.run(
        "dvc", "exp", "run", "-S", "split.seed=5", "-S", "adaptation=cdan", check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode
    assert output.count("Running stage") == 1  # the first that would have run
    assert "error in stage split: invalid configuration:" in output
    assert "adaptation.name: cdan needs unlabelled pairs" in output
    assert "Traceback" not in output
    assert tiny.run("git", "diff", "--name-only", "dvc.lock").stdout == ""
