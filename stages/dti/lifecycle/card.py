"""The model card: what was measured, in Markdown. It holds no date and no opinion about numbers.

Its words stand in ``card.md.j2`` beside this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.evaluation import Strata, Stratum
from stages.dti.artifacts.leakage import Leakage
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.prepare import PrepareMetrics
from stages.dti.artifacts.training import Steps, Training
from stages.dti.artifacts.validation import ValidationMetrics
from stages.dti.config.dataset import DatasetConfig, LabelRule
from stages.dti.evaluation.metrics import RANKING, TITLES
from stages.dti.lifecycle.gates import LABELS, number, with_interval
from stages.dti.prediction.folder import ModelFolder

PARTS = ("train", "val", "test", "adapt", "unused")

FREQUENT_TARGETS = 10
"""The bias to well-studied targets is told by the share of train pairs that the first ten hold."""


OUTCOMES = {True: "passed", False: "failed", None: "does not apply"}


@dataclass(frozen=True)
class Measured:
    """All that a card is written from.

    Attributes:
        model: the exported model.
        dataset: where the pairs come from.
        prepare, leakage, validation, training, metrics, strata: the reports of these names.
        confidence: of the intervals in the reports.
        decision: of the gate, which it passed.
    """

    model: ModelFolder
    dataset: DatasetConfig
    prepare: PrepareMetrics
    leakage: Leakage
    validation: ValidationMetrics
    training: Training
    metrics: Metrics
    strata: Strata
    confidence: float
    decision: Decision


def model_card(measured: Measured) -> str:
    """Return the card as Markdown."""
    targets = np.bincount(measured.model.reference.pairs[:, 1])
    weakest, unmeasured = _weakest(measured.strata)
    card: str = (
        _environment()
        .get_template("card.md.j2")
        .render(
            measured=measured,
            titles=TITLES,
            labels=LABELS,
            sources=_sources(measured.dataset),
            parts=_parts(measured.leakage),
            config=[
                item for item in _flat(measured.model.config.model_dump()) if item[0] != "name"
            ],
            steps=_steps(measured.training),
            results=_results(measured.metrics),
            strata=_strata(measured.strata),
            weakest=weakest,
            unmeasured=unmeasured,
            checks=[
                (check.name, OUTCOMES[check.passed], check.reason)
                for check in measured.decision.checks
            ],
            frequent_targets=FREQUENT_TARGETS,
            trained_targets=int((targets > 0).sum()),
            frequent_share=np.sort(targets)[::-1][:FREQUENT_TARGETS].sum() / targets.sum(),
            hashes=_hashes(measured),
        )
    )
    return card


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "interval": with_interval,
        "number": number,
        "percent": _percent,
        "similarity": _similarity,
    }
    environment.globals["table"] = _table
    return environment


def _sources(dataset: DatasetConfig) -> list[tuple[str, ...]]:
    return [
        (
            name,
            source.licence or "not stated",
            source.homepage or "not stated",
            _label_rule(source.label),
        )
        for name, source in dataset.sources.items()
    ]


def _label_rule(rule: LabelRule) -> str:
    if rule.rule == "given":
        return "as given by the source"
    assert rule.positive_threshold is not None
    assert rule.negative_threshold is not None
    higher = rule.stronger == "higher"
    above, below = ("≥", "≤") if rule.inclusive else (">", "<")
    positive = f"{above if higher else below} {rule.positive_threshold:,g} {rule.unit}"
    negative = f"{below if higher else above} {rule.negative_threshold:,g} {rule.unit}"
    if rule.positive_threshold == rule.negative_threshold:
        return f"interacts if {positive}"
    return f"interacts if {positive}, does not if {negative}"


def _parts(leakage: Leakage) -> list[tuple[str, ...]]:
    return [
        (
            part,
            *(f"{n:,}" for n in (counts.pairs, counts.drugs, counts.targets, counts.positives)),
        )
        for part, counts in ((part, leakage.parts.get(part)) for part in PARTS)
        if counts and counts.pairs
    ]


def _steps(training: Training) -> str:
    """Return how long the fit took and which epoch was best; of an ensemble, of every fit."""
    told = [
        (f"{member} {number}: ", fit)
        for member, fits in training.fits.items()
        for number, fit in fits.items()
    ]
    return "; ".join((name if training.members else "") + _fit(fit) for name, fit in told)


def _fit(fit: Steps) -> str:
    if fit.best_epoch is None:
        return "not fitted step by step"
    return f"{fit.epochs} epochs or rounds, the best one number {fit.best_epoch}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the keys of a configuration with their values, ``members.drugban.seeds`` and so on."""
    found: list[tuple[str, Any]] = []
    for key, value in sorted(config.items()):
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return found


def _results(metrics: Metrics) -> list[tuple[str, ...]]:
    candidate = metrics.candidate
    named = {_baseline(name, metrics): table for name, table in metrics.baselines.items()}
    tables = {f"**{candidate.model} (this model)**": candidate, **named}
    return [
        (name, *(with_interval(table.of(metric)) for metric in TITLES))
        for name, table in tables.items()
    ]


def _baseline(name: str, metrics: Metrics) -> str:
    """Return what a baseline is called in the table, with what sets it apart from the others."""
    if name in metrics.same_as_candidate:
        return f"{name} (the same as this model)"
    pairs = metrics.baselines[name].n
    return name if pairs == metrics.test.n else f"{name} (on {pairs:,} of the pairs)"


def _titled(strata: Strata) -> list[tuple[str, Stratum]]:
    return [
        *((stratum.name, stratum) for stratum in strata.seen),
        *((f"nearest train drug {stratum.name}", stratum) for stratum in strata.drug_similarity),
    ]


def _strata(strata: Strata) -> list[tuple[str, ...]]:
    return [
        (
            title,
            f"{stratum.n:,}",
            _percent(stratum.prevalence),
            *(_stratum_metric(stratum, metric) for metric in RANKING),
        )
        for title, stratum in _titled(strata)
    ]


def _weakest(strata: Strata) -> tuple[tuple[float, str] | None, list[str]]:
    """Return AUROC and title of the stratum that is worst, and those without one, with why."""
    measured = [
        (auroc, title)
        for title, stratum in _titled(strata)
        if (auroc := stratum.models["candidate"].auroc.value) is not None
    ]
    unmeasured = [
        f"{title} ({stratum.reason})"
        for title, stratum in _titled(strata)
        if stratum.reason is not None
    ]
    return min(measured, default=None), unmeasured


def _stratum_metric(stratum: Stratum, metric: Literal["auroc", "auprc"]) -> str:
    measure = stratum.models["candidate"].of(metric)
    return "not measured" if measure.value is None else with_interval(measure)


def _hashes(measured: Measured) -> list[tuple[str, str]]:
    model = ("model", measured.decision.candidate.model_sha256)
    return [
        (name, f"`{sha256}`")
        for name, sha256 in (model, *sorted(measured.model.data_sha256.items()))
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"


def _similarity(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
