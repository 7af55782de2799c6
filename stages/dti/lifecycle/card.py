"""The model card: what was measured, in Markdown. It holds no date and no opinion about numbers.

Its words stand in ``card.md.j2`` beside this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.dti.config.dataset import DatasetConfig, LabelRule
from stages.dti.evaluation.metrics import TITLES
from stages.dti.lifecycle.gates import LABELS, Decision, number, with_interval
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
        prepare, leakage, validation, training, metrics, strata: the reports of these names, as
            JSON objects.
        confidence: of the intervals in the reports.
        decision: of the gate, which it passed.
    """

    model: ModelFolder
    dataset: DatasetConfig
    prepare: Mapping[str, Any]
    leakage: Mapping[str, Any]
    validation: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    strata: Mapping[str, Any]
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


def _parts(leakage: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (part, *(f"{counts[key]:,}" for key in ("pairs", "drugs", "targets", "positives")))
        for part, counts in ((part, leakage["parts"].get(part)) for part in PARTS)
        if counts and counts["pairs"]
    ]


def _steps(training: Mapping[str, Any]) -> str:
    """Return how long a fit took and which epoch was best; of an ensemble, of every fit."""
    if "members" in training:
        return "; ".join(
            f"{member} {number}: {_steps(fits[number])}"
            for member, fits in sorted(training["members"].items())
            for number in sorted(fits, key=int)
        )
    if training["best_epoch"] is None:
        return "not fitted step by step"
    return f"{training['epochs']} epochs or rounds, the best one number {training['best_epoch']}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the keys of a configuration with their values, ``members.drugban.seeds`` and so on."""
    found: list[tuple[str, Any]] = []
    for key, value in sorted(config.items()):
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return found


def _results(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    candidate = metrics["candidate"]
    named = {_baseline(name, metrics): table for name, table in metrics["baselines"].items()}
    tables = {f"**{candidate['model']} (this model)**": candidate, **named}
    return [
        (name, *(with_interval(table[metric]) for metric in TITLES))
        for name, table in tables.items()
    ]


def _baseline(name: str, metrics: Mapping[str, Any]) -> str:
    """Return what a baseline is called in the table, with what sets it apart from the others."""
    if name in metrics["same_as_candidate"]:
        return f"{name} (the same as this model)"
    pairs = metrics["baselines"][name]["n"]
    return name if pairs == metrics["test"]["n"] else f"{name} (on {pairs:,} of the pairs)"


def _titled(strata: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    seen = [(stratum["name"], stratum) for stratum in strata["seen"]]
    return seen + [
        (f"nearest train drug {stratum['name']}", stratum) for stratum in strata["drug_similarity"]
    ]


def _strata(strata: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            title,
            f"{stratum['n']:,}",
            _percent(stratum["prevalence"]),
            *(_stratum_metric(stratum, metric) for metric in LABELS),
        )
        for title, stratum in _titled(strata)
    ]


def _weakest(strata: Mapping[str, Any]) -> tuple[tuple[float, str] | None, list[str]]:
    """Return AUROC and title of the stratum that is worst, and those without one, with why."""
    values = [
        (stratum["models"]["candidate"]["auroc"]["value"], title)
        for title, stratum in _titled(strata)
    ]
    measured = [(value, title) for value, title in values if value is not None]
    unmeasured = [
        f"{title} ({stratum['reason']})"
        for title, stratum in _titled(strata)
        if "reason" in stratum
    ]
    return min(measured, default=None), unmeasured


def _stratum_metric(stratum: Mapping[str, Any], metric: str) -> str:
    entry = stratum["models"]["candidate"][metric]
    return "not measured" if entry["value"] is None else with_interval(entry)


def _hashes(measured: Measured) -> list[tuple[str, str]]:
    model = ("model", measured.decision.candidate["model_sha256"])
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
