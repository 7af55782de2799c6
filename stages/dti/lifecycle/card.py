"""The model card: what was measured, in Markdown. It holds no date and no opinion about numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.evaluation import Strata, Stratum
from stages.dti.artifacts.leakage import Leakage
from stages.dti.artifacts.metrics import Coverage, Metrics
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
    name = measured.model.config.name
    sections = [
        f"# Model card: {name}",
        "A drug–target interaction model: from a drug's SMILES and a protein's sequence it gives "
        "a score (0 to 1, higher = more likely to interact), a calibrated probability, and yes or "
        "no at a stored threshold. It passed the gate of this repository, and every number below "
        "was measured by its pipeline.",
        "## Intended use\n\n"
        "Ranking and triage of drug–target pairs for laboratory follow-up, near the chemistry and "
        "the proteins that it was trained on; each prediction says how near. It is a research "
        "tool: not for decisions about patients, and no substitute for an assay. A probability "
        "is not an affinity.",
        _data(measured),
        _split(measured),
        _training(measured),
        _results(measured),
        _weaknesses(measured),
        _decision(measured.decision),
        _limitations(measured),
        "## Ethics\n\n"
        "The tables that are used hold molecules, proteins and measurements, and nothing about "
        "persons. A drug that ranks high here has not been shown to be safe or effective for a new "
        "use: saying so to patients would be irresponsible. The same ranking can find harmful "
        "activity; publish screens of toxic targets with care. Queries can reveal a research "
        "interest: who runs the service should log no more of them than it needs.",
        _provenance(measured),
    ]
    return "\n\n".join(sections) + "\n"


def _data(measured: Measured) -> str:
    prepare, validation = measured.prepare, measured.validation
    rows = [
        (
            name,
            source.licence or "not stated",
            source.homepage or "not stated",
            _label_rule(source.label),
        )
        for name, source in measured.dataset.sources.items()
    ]
    rejected = ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(prepare.rejected_by_reason.items())
    )
    return "\n\n".join(
        [
            f"## Data: {', '.join(measured.dataset.sources)}",
            _table(("Source", "Licence", "Home page", "Label"), rows),
            f"{prepare.rows_read:,} rows were read; {prepare.rows_merged:,} were merged as "
            f"repeats of a pair and {prepare.rows_rejected:,} refused"
            + (f" ({rejected})" if rejected else "")
            + f". That leaves {prepare.pairs:,} pairs of {prepare.drugs:,} drugs and "
            f"{prepare.targets:,} targets, {prepare.positives:,} of them interacting "
            f"({prepare.prevalence:.1%}). Quality score of the raw tables: "
            f"{validation.quality_score:g} of 100, {validation.checks_passed} of "
            f"{validation.checks_total} checks passed.",
        ]
    )


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


def _split(measured: Measured) -> str:
    leakage = measured.leakage
    parts = [
        (
            part,
            *(f"{n:,}" for n in (counts.pairs, counts.drugs, counts.targets, counts.positives)),
        )
        for part, counts in ((part, leakage.parts.get(part)) for part in PARTS)
        if counts and counts.pairs
    ]
    test = leakage.test_pairs
    shared = leakage.overlap["test_train"]
    drug, target = leakage.nearest_train_similarity.drug, leakage.nearest_train_similarity.target
    return "\n\n".join(
        [
            f"## Split: {leakage.kind}, seed {leakage.seed}",
            _table(("Part", "Pairs", "Drugs", "Targets", "Interacting"), parts),
            f"Test shares {shared.pairs:,} pairs, {shared.drugs:,} drugs and "
            f"{shared.targets:,} targets with train. Of the test pairs "
            f"{_percent(test.drug_seen_fraction)} have a drug that stands in train, "
            f"{_percent(test.target_seen_fraction)} such a target, and "
            f"{_percent(test.neither_seen_fraction)} neither. Median similarity of a test pair "
            f"to train: drug {_number(drug.quantiles.median)} ({drug.measure}), target "
            f"{_number(target.quantiles.median)} ({target.measure}).",
        ]
    )


def _training(measured: Measured) -> str:
    model, training = measured.model, measured.training
    config = ", ".join(
        f"{key} {value}" for key, value in _flat(model.config.model_dump()) if key != "name"
    )
    return (
        "## Training\n\n"
        f"Model {model.config.name}{f' ({config})' if config else ''}; seed {model.seed}; "
        f"{_steps(training)}. Feature version {model.feature_version}. Calibration "
        f"({model.calibration.method}) and threshold ({model.threshold:.4f} on the probability, "
        f"for the best {model.threshold_metric}) were chosen on {training.val_pairs:,} "
        f"validation pairs, where AUROC was {number(training.val_auroc)} and AUPRC "
        f"{number(training.val_auprc)}."
    )


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


def _results(measured: Measured) -> str:
    metrics = measured.metrics
    candidate = metrics.candidate
    named = {_baseline(name, metrics): table for name, table in metrics.baselines.items()}
    tables = {f"**{candidate.model} (this model)**": candidate, **named}
    rows = [
        (name, *(with_interval(table.of(metric)) for metric in TITLES))
        for name, table in tables.items()
    ]
    test = metrics.test
    lines = [
        "## Results on the test set",
        f"{test.n:,} pairs of {test.drugs:,} drugs and {test.targets:,} targets, "
        f"{_percent(test.prevalence)} interacting; touched once, by `evaluate`. In brackets: "
        f"{measured.confidence:.0%} bootstrap intervals over pairs. Lower is better for the Brier "
        "score and the (expected) calibration error.",
        _table(("Model", *TITLES.values()), rows),
    ]
    strongest = measured.decision.strongest_baseline
    if strongest is not None:
        label = LABELS[measured.decision.metric]
        lines.append(f"Strongest baseline by {label}: {strongest.words}.")
    lines.append(_prediction_sets(candidate.conformal))
    return "\n\n".join(lines)


def _baseline(name: str, metrics: Metrics) -> str:
    """Return what a baseline is called in the table, with what sets it apart from the others."""
    if name in metrics.same_as_candidate:
        return f"{name} (the same as this model)"
    pairs = metrics.baselines[name].n
    return name if pairs == metrics.test.n else f"{name} (on {pairs:,} of the pairs)"


def _prediction_sets(coverage: Coverage) -> str:
    return (
        f"Prediction sets were to hold the truth for {_percent(coverage.target)} of the pairs of "
        "either class. On the test set they do for "
        f"{with_interval(coverage.coverage_interacts)} of the interacting pairs and "
        f"{with_interval(coverage.coverage_no_interaction)} of the others: {coverage.verdict}. "
        f"{_percent(coverage.both_fraction)} of the sets hold both answers, "
        f"{_percent(coverage.empty_fraction)} none."
    )


def _weaknesses(measured: Measured) -> str:
    seen, near = measured.strata.seen, measured.strata.drug_similarity
    strata: list[Stratum] = [*seen, *near]
    titles = [stratum.name for stratum in seen]
    titles += [f"nearest train drug {stratum.name}" for stratum in near]
    rows = [
        (
            title,
            f"{stratum.n:,}",
            _percent(stratum.prevalence),
            *(_stratum_metric(stratum, metric) for metric in RANKING),
        )
        for title, stratum in zip(titles, strata, strict=True)
    ]
    measured_rows = [
        (auroc, title)
        for title, stratum in zip(titles, strata, strict=True)
        if (auroc := stratum.models["candidate"].auroc.value) is not None
    ]
    lines = [
        "## Where it is good and where it is bad",
        _table(("Test pairs", "n", "Interacting", *LABELS.values()), rows),
    ]
    if measured_rows:
        value, title = min(measured_rows)
        lines.append(f"Weakest where measured: {title}, AUROC {value:.3f}.")
    unmeasured = [
        f"{title} ({stratum.reason})"
        for title, stratum in zip(titles, strata, strict=True)
        if stratum.reason is not None
    ]
    if unmeasured:
        lines.append("Not measured, so nothing is claimed: " + "; ".join(unmeasured) + ".")
    return "\n\n".join(lines)


def _stratum_metric(stratum: Stratum, metric: Literal["auroc", "auprc"]) -> str:
    measure = stratum.models["candidate"].of(metric)
    return "not measured" if measure.value is None else with_interval(measure)


def _decision(decision: Decision) -> str:
    words = {True: "passed", False: "failed", None: "does not apply"}
    rows = [(check.name, words[check.passed], check.reason) for check in decision.checks]
    return "\n\n".join(
        ["## Decision", decision.summary, _table(("Check", "Outcome", "Reason"), rows)]
    )


def _limitations(measured: Measured) -> str:
    pairs = measured.model.reference.pairs
    targets = np.bincount(pairs[:, 1])
    frequent = np.sort(targets)[::-1][:FREQUENT_TARGETS].sum() / len(pairs)
    trained_targets = int((targets > 0).sum())
    limits = [
        f"It knows {len(measured.model.reference.smiles):,} drugs and {trained_targets:,} targets "
        f"from {len(pairs):,} train pairs; the {min(FREQUENT_TARGETS, trained_targets)} most "
        f"frequent targets hold {frequent:.0%} of them, so it is biased to well-studied targets.",
        "A pair is called non-interacting as its source measured or assumed; selectivity, cell "
        "uptake, metabolism and mechanism are not modelled.",
        f"A sequence counts up to its first {measured.model.features.max_residues:,} residues; "
        "isoforms, mutations beyond the sequence, complexes and cofactors are not seen.",
        "Intervals treat test pairs as independent, though pairs share drugs and targets; the "
        "true uncertainty is larger.",
    ]
    if measured.leakage.kind in ("random", "published"):
        limits.append(
            f"The split is {measured.leakage.kind}: its results say little about drugs or "
            "targets far from train. See the table above, and train with split=cold_pair or "
            "split=cluster to measure that."
        )
    return "## Limitations\n\n" + "\n".join(f"- {limit}" for limit in limits)


def _provenance(measured: Measured) -> str:
    rows = [
        ("model", f"`{measured.decision.candidate.model_sha256}`"),
        *((name, f"`{sha256}`") for name, sha256 in sorted(measured.model.data_sha256.items())),
    ]
    return "## Provenance\n\nSHA-256 of the model's files and of its data:\n\n" + _table(
        ("Artefact", "SHA-256"), rows
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
