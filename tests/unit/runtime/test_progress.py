"""What long work says in the log: nothing of a moment, little of hours, each epoch and chunk."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stages.dti.chemistry.standardise import standardise_drugs
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.targets import featurize_targets
from stages.dti.runtime import progress
from stages.dti.runtime.compose import compose
from stages.dti.runtime.progress import EACH_S, ProgressLog, duration
from tests.support.drugban_fits import fitted
from tests.support.sample_pairs import sample_pairs, take


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO)
    made = Clock()
    monkeypatch.setattr(progress, "monotonic", made)
    return made


def work(
    clock: Clock, steps: int, step_s: float, each: bool = False, total: int | None = None
) -> None:
    told = ProgressLog("parts", total or steps, every_s=EACH_S if each else None)
    for _ in range(steps):
        clock.now += step_s
        told.advance()


def test_work_of_a_moment_says_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    work(clock, 400, 0.01)
    work(clock, 20, 0.01, each=True)
    assert caplog.messages == []


def test_a_line_says_how_much_is_done_and_what_remains(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    work(clock, 2000, 0.03)
    assert caplog.messages[0] == "parts: 167 of 2,000, about 55 s left"
    assert caplog.messages[-1] == "parts: 2,000 of 2,000, done in 60 s"


def test_a_log_of_hours_stays_readable(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    work(clock, 100_000, 0.36)  # ten hours
    assert 20 < len(caplog.messages) < 100


def test_each_epoch_and_chunk_has_its_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    work(clock, 200, 3.0, each=True)
    assert len(caplog.messages) == 200
    caplog.clear()
    work(clock, 200, 0.1, each=True)  # quick ones share a line
    assert 10 <= len(caplog.messages) <= 25


def test_what_a_run_before_had_done_is_no_measure_of_speed(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told = ProgressLog("epochs", 20, done=10, every_s=EACH_S)
    clock.now += 30
    told.advance(words="loss 0.4")
    assert caplog.messages == ["epochs: 11 of 20, loss 0.4, about 4 min left"]


def test_an_unknown_total_tells_what_is_done(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told = ProgressLog("megabytes of a.csv", None)
    clock.now += 6
    told.advance(12)
    assert caplog.messages == ["megabytes of a.csv: 12"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (9000, "2.5 h")],
)
def test_a_duration_has_a_fitting_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def slow(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every look at the clock find ten seconds more."""

    def later() -> float:
        clock.now += 10
        return clock.now

    monkeypatch.setattr(progress, "monotonic", later)


@pytest.mark.usefixtures("slow")
def test_an_epoch_has_one_line_with_its_losses_and_what_remains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = sample_pairs()
    fitted(take(pairs, slice(0, 32)), take(pairs, slice(450, 500)), tmp_path, max_epochs=3)
    epochs = [line for line in caplog.messages if line.startswith("epochs: ")]
    assert [line.split(",")[0] for line in epochs] == [f"epochs: {n} of 3" for n in (1, 2, 3)]
    for line in epochs:
        for word in ("in train", "in validation", "validation AUROC", "best auroc so far in epoch"):
            assert word in line
    assert "about" in epochs[0]
    assert "left" in epochs[1]
    assert "done in" in epochs[2]


def test_an_early_end_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pairs = sample_pairs()
    fitted(
        take(pairs, slice(0, 32)), take(pairs, slice(450, 500)), tmp_path, max_epochs=40,
        patience_epochs=1, learning_rate=1e-7, schedule="constant", optimizer="adam",
    )  # fmt: skip
    assert any(
        line.startswith("stopped after ") and "val_auroc has not improved for 1" in line
        for line in caplog.messages
    )


@pytest.mark.usefixtures("slow")
def test_parts_of_the_data_are_told_where_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    features = FeaturesConfig.model_validate(dict(compose().features))
    standardise = StandardiseConfig.model_validate(dict(compose().standardise))
    for asked in (False, True):
        standardise_drugs(["CCO", "CCN"], standardise, processes=1, progress=asked)
        featurize_drugs(["CCO", "CCN"], features, processes=1, progress=asked)
        featurize_targets(["MKTAYIAKQR"], features, progress=asked)
        assert bool(caplog.messages) == asked
    for what in ("drugs standardised: 1 of 2", "drugs featurized: 2 of 2", "targets featurized: 1"):
        assert any(line.startswith(what) for line in caplog.messages), what
