"""The stage `report`: one self-contained page from what the other stages really write."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from markupsafe import escape
from prepared_tables import STANDARDISE

from stages.dti.atomic import write_json, write_text
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.split import SplitConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.data.check_tables import make_tables
from stages.dti.data.checks import all_checks
from stages.dti.data.expectations import CheckResult
from stages.dti.data.leakage import leakage_report
from stages.dti.data.quality import document, judge
from stages.dti.data.splits import make_split
from stages.dti.errors import DataError
from stages.dti.evaluation.applicability import applicability_report
from stages.dti.evaluation.conformal import ConformalSets, coverage_report
from stages.dti.evaluation.domain import ApplicabilityDomain
from stages.dti.evaluation.metrics import RANKING, Comparison, ModelOutput, counts
from stages.dti.evaluation.robustness import Answers, robustness_report
from stages.dti.evaluation.strata import stratify
from stages.dti.lifecycle.gates import decide
from stages.dti.paths import (
    DECISION,
    EVALUATION,
    FEATURIZE_METRICS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    REPORT,
    ROOT,
    TRAINING_CURVES,
    TRAINING_METRICS,
    VALIDATION,
    Paths,
)
from stages.dti.training.curves import LearningCurves
from stages.report import run

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
EVALUATE = EvaluateConfig(
    bootstrap_samples=100,
    confidence=0.95,
    seed=0,
    calibration_bins=10,
    similarity_edges=[0.0, 0.5, 0.9, 1.0],
    robustness_pairs=40,
)
PROMOTE = PromoteConfig(
    metric="auroc",
    floor=0.7,
    must_beat=["base_rate"],
    must_beat_margin=0.0,
    max_loss_to_previous=0.01,
    golden_pairs=5,
)
ENVIRONMENT = EnvironmentConfig(name="dev", alias="production", promotion="automatic")
SPLIT = SplitConfig(
    kind="random",
    train_fraction=0.8,
    val_fraction=0.1,
    test_fraction=0.1,
    adapt_fraction=0.0,
    seed=0,
    cluster_drug_similarity=0.6,
    cluster_target_similarity=0.4,
    max_overlap_fraction=0.0,
)
REPORTED = ReportConfig(title="Drug-target interaction pipeline")


def section(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / f"conf/{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def interactions_of(generator: np.random.Generator, drugs: int, targets: int) -> pd.DataFrame:
    """Every drug against every target, labelled at random."""
    pairs = [(f"D{d}", f"T{t}") for d in range(drugs) for t in range(targets)]
    table = pd.DataFrame(pairs, columns=["drug_key", "target_key"])
    table["label"] = (generator.random(len(table)) < 0.3).astype(np.int8)
    table["published_split"] = None
    return table


def write_data_results(root: Path, generator: np.random.Generator) -> pd.DataFrame:
    """Write the results of `validate`, `prepare`, `split`, `featurize`; return the test pairs."""
    dataset = DatasetConfig.model_validate(section("dataset/sample"))
    config = ValidateConfig.model_validate(section("validate/default"))
    interactions = interactions_of(generator, 40, 30)
    drugs = pd.DataFrame(
        {
            "drug_key": [f"D{d}" for d in range(40)],
            "smiles": ["C" * (1 + d % 8) + "c1ccccc1" + "O" * (d // 8) for d in range(40)],
        }
    )
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    targets = pd.DataFrame(
        {
            "target_key": [f"T{t}" for t in range(30)],
            "sequence": ["".join(generator.choice(letters, 60)) for _ in range(30)],
        }
    )
    records = (
        interactions.merge(drugs)
        .merge(targets)
        .assign(
            source=next(iter(dataset.sources)),
            file="interactions.csv",
            source_row=range(1, len(interactions) + 1),
            affinity=lambda table: 11.0 + 2 * table["label"],
            relation="=",
            affinity_text=None,
            label_text=None,
            refusal=None,
        )
        .rename(columns={"drug_key": "drug_id", "target_key": "target_id"})
        .assign(label=np.nan)
    )
    rows = len(records)
    found = [
        CheckResult(check, True, 0.999, rows, 1, ({"source": "s", "found": "no SMILES"},))
        if check.kind == "share"
        else CheckResult(check, True, 0.3 if check.kind == "mean" else rows)
        for check in all_checks(config)
    ]
    quality = judge(make_tables(records, dataset, config), found, config)
    write_json(root / VALIDATION / "validation.json", document(quality, dataset.name))
    write_json(
        root / PREPARE_METRICS,
        {
            "rows_read": rows + 30,
            "rows_rejected": 20,
            "rows_merged": 10,
            "pairs": rows,
            "drugs": 40,
            "targets": 30,
            "positives": int(interactions["label"].sum()),
            "prevalence": float(interactions["label"].mean()),
            "label_conflicts": 0,
            "published_split_conflicts": 0,
            "rejected_by_reason": {"invalid_smiles": 15, "undecided_affinity": 5},
        },
    )
    splits = interactions[["drug_key", "target_key"]].copy()
    splits["split"] = make_split(interactions, drugs, targets, SPLIT)
    write_json(root / LEAKAGE, leakage_report(splits, interactions, drugs, targets, SPLIT))
    write_json(
        root / FEATURIZE_METRICS,
        {
            "drugs": 40,
            "drugs_rejected": 0,
            "drugs_in_train": 39,
            "atoms": 12345,
            "bonds": 600,
            "targets": 30,
            "targets_rejected": 0,
            "targets_in_train": 30,
            "targets_cut": 3,
            "residues": 1800,
        },
    )
    test = interactions[splits["split"] == "test"].reset_index(drop=True)
    return (
        test.merge(drugs)
        .merge(targets)
        .assign(
            drug_seen=generator.random(len(test)) < 0.8,
            target_seen=True,
            scaffold_seen=generator.random(len(test)) < 0.9,
            drug_similarity=generator.random(len(test)),
            domain_distance=generator.random(len(test)) * 1.5,
        )
    )


def unmoved(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
    """A model that refuses salts and says the same of everything else."""
    reasons = ["a salt" if "." in text else None for text in smiles]
    return Answers(reasons, np.zeros(len(smiles)), np.full(len(smiles), 0.5))


def write_model_results(
    root: Path, test: pd.DataFrame, generator: np.random.Generator, skill: float
) -> dict[str, Any]:
    """Write the results of `train`, `evaluate` and `promote`; return the metrics."""
    labels = test["label"].to_numpy()

    def output(skill: float) -> ModelOutput:
        scores = skill * labels + generator.normal(size=len(labels))
        return ModelOutput(scores, 1 / (1 + np.exp(-scores)), 0.6)

    constant = ModelOutput(np.zeros(len(labels)), np.full(len(labels), 0.3), 0.5)
    outputs = {
        "candidate": output(skill),
        "base_rate": constant,
        "gradient_boosting": output(1.6),
    }
    comparison = Comparison(labels, outputs, EVALUATE)
    sets = ConformalSets(0.9, positives=40, negatives=100, active_from=0.4, inactive_to=0.7)

    def table(name: str) -> dict[str, Any]:
        covered = coverage_report(
            sets, outputs[name].probabilities, labels.astype(bool), EVALUATE.confidence
        )
        return comparison.table(name) | {"conformal": covered}

    baselines = [name for name in outputs if name != "candidate"]
    metrics = {
        "candidate": {"model": "drugban"} | table("candidate"),
        "baselines": {name: table(name) for name in baselines},
        "differences": {
            name: {metric: comparison.difference("candidate", name, metric) for metric in RANKING}
            for name in baselines
        },
        "test": counts(labels.astype(bool))
        | {"drugs": test["drug_key"].nunique(), "targets": test["target_key"].nunique()},
    }
    write_json(root / METRICS, metrics)
    write_json(root / EVALUATION / "strata.json", stratify(test, outputs, EVALUATE))
    write_json(
        root / EVALUATION / "applicability.json",
        applicability_report(test, outputs["candidate"], ApplicabilityDomain(0.4, 0.35), EVALUATE),
    )
    write_json(
        root / EVALUATION / "robustness.json",
        robustness_report(test, outputs["candidate"], unmoved, STANDARDISE, EVALUATE),
    )
    (root / EVALUATION / "pictures").mkdir()
    for name in ("roc", "reliability"):
        (root / EVALUATION / "pictures" / f"{name}.png").write_bytes(PIXEL)
    decision = decide(metrics, "0" * 64, None, PROMOTE, ENVIRONMENT)
    write_json(root / DECISION, decision.to_dict())

    curves = LearningCurves(monitor="auroc")
    for epoch in range(6):
        loss = {"train_loss": 0.7 - 0.05 * epoch, "val_loss": 0.7 - 0.03 * epoch}
        curves.add({"epoch": epoch, "val_auroc": 0.6 + 0.04 * epoch, **loss})
    summary = {"val_pairs": 120, "val_auroc": 0.8, "val_auprc": 0.6}
    write_json(root / TRAINING_METRICS, {"model": "drugban"} | curves.summary() | summary)
    curves.save(root / TRAINING_CURVES)
    return metrics


def write_results(root: Path, skill: float = 1.8) -> Paths:
    """Write everything that the report reads; ``skill`` is the candidate's."""
    generator = np.random.default_rng(0)
    test = write_data_results(root, generator)
    write_model_results(root, test, generator, skill)
    card = "# Model card: drugban\n\n| a | b |\n| --- | --- |\n| 1 | <script>alert(1)</script> |\n"
    write_text(root / PROMOTED / "MODEL_CARD.md", card)
    return Paths(inputs=root, outputs=root)


def report(root: Path) -> str:
    run(Paths(inputs=root, outputs=root), report=REPORTED, evaluate=EVALUATE)
    return (root / REPORT).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write_results(root)
    return root


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(results, tmp_path / "copy"))


@pytest.fixture(scope="module")
def html(results: Path) -> str:
    return report(results)


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    write_json(path, values)


def test_it_needs_no_network_and_no_script(html: str) -> None:
    linked = re.findall(r"(?:src|href|srcset|action)=\"([^\"]*)\"", html)
    assert linked
    assert all(link.startswith(("#", "data:")) for link in linked), linked
    assert "url(" not in html
    assert "@import" not in html
    assert "<script" not in html


def test_every_link_of_the_contents_leads_somewhere(html: str) -> None:
    places = set(re.findall(r"id=\"([^\"]+)\"", html))
    links = re.findall(r"href=\"#([^\"]+)\"", html)
    assert len(links) > 5
    assert set(links) <= places


def test_the_headline_is_the_decision(html: str, results: Path) -> None:
    decision = json.loads((results / DECISION).read_text(encoding="utf-8"))
    assert decision["verdict"] == "promoted"
    header = html[html.index('id="summary"') : html.index('id="decision"')]
    assert "Promoted to production" in header
    assert f"{decision['candidate']['value']:.3f}" in header
    assert f"{decision['candidate']['low']:.3f} to {decision['candidate']['high']:.3f}" in header
    assert "gradient boosting" in header


def test_every_model_metric_and_interval_is_in_the_table(html: str, results: Path) -> None:
    metrics = json.loads((results / METRICS).read_text(encoding="utf-8"))
    section = html[html.index('id="metrics"') : html.index('id="strata"')]
    for table in (metrics["candidate"], *metrics["baselines"].values()):
        for metric in ("auroc", "auprc", "f1", "mcc", "accuracy", "recall", "brier", "ece"):
            entry = table[metric]
            assert f"{entry['value']:.3f}" in section
            assert f"{entry['low']:.3f}–{entry['high']:.3f}" in section


def test_what_every_stage_found_is_shown(html: str) -> None:
    assert "invalid smiles" in html
    assert "RDKit parses the SMILES" in html
    assert "no pair stands in two parts" in html
    assert "drug seen, target seen" in html
    assert "12\u202f345" in html
    assert "3 long sequences cut" in html
    assert "Learning rate" not in html  # it was not recorded
    assert html.count("<svg") == 4  # loss, AUROC, and two histograms of similarity
    assert html.count("data:image/png;base64,") == 2


def test_strata_that_were_not_measured_say_why(html: str) -> None:
    assert "drug seen, target unseen (no test pair belongs here)" in html


def test_coverage_and_warnings_are_shown(html: str, results: Path) -> None:
    section = html[html.index('id="trust"') : html.index('id="training"')]
    metrics = json.loads((results / METRICS).read_text(encoding="utf-8"))
    for table in (metrics["candidate"], *metrics["baselines"].values()):
        found = table["conformal"]["coverage_interacts"]
        assert f"{found['value']:.3f} ({found['low']:.3f}–{found['high']:.3f})" in section
    applicability = json.loads(
        (results / EVALUATION / "applicability.json").read_text(encoding="utf-8")
    )
    wrong = applicability["warnings"]["domain_distance"]["wrong"]
    assert f"{wrong['value']:.3f} ({wrong['low']:.3f}–{wrong['high']:.3f})" in section
    assert "at least 0.400" in section
    assert "Not measured: the pairs hold one class." in section  # every target stands in train


def test_what_changed_inputs_do_is_shown(html: str, results: Path) -> None:
    section = html[html.index('id="trust"') : html.index('id="training"')]
    found = json.loads((results / EVALUATION / "robustness.json").read_text(encoding="utf-8"))
    assert len(found["perturbations"]) == 11
    for entry in found["perturbations"]:
        assert str(escape(entry["finding"])) in section
        assert f'<th scope="row">{entry["label"]}</th>' in section
    assert '<span class="chip bad">broken</span>' in section
    assert "Left out: 40 pairs: a salt." in section


def test_a_robustness_that_was_switched_off_says_so(copy: Path) -> None:
    off = {"n": 0, "perturbations": []}
    change(copy / EVALUATION / "robustness.json", lambda found: found.update(off))
    assert "Not tested: <code>evaluate.robustness_pairs</code> is 0." in report(copy)


def test_sets_that_do_not_cover_are_told_in_red(copy: Path) -> None:
    broken = {"verdict": "below the promise"}
    change(copy / METRICS, lambda metrics: metrics["candidate"]["conformal"].update(broken))
    assert '<span class="chip bad">below the promise</span>' in report(copy)


def test_the_model_card_is_rendered_below_the_page_headings(html: str) -> None:
    assert "<h3>Model card: drugban</h3>" in html
    assert "&lt;script&gt;alert(1)" in html


def test_equal_results_give_equal_bytes(html: str, copy: Path) -> None:
    assert report(copy) == html


def test_a_refusal_without_any_model_is_reported(tmp_path: Path) -> None:
    write_results(tmp_path, skill=0.0)
    (tmp_path / PROMOTED / "MODEL_CARD.md").unlink()
    write_text(tmp_path / PROMOTED / "NO_MODEL.md", "# No model\n\nNo model was ever promoted.\n")
    page = report(tmp_path)
    assert "Refused by the gate" in page
    assert "No model is promoted" in page
    assert "No model was ever promoted." in page


def test_a_refusal_beside_a_promoted_model_says_that_it_stays(copy: Path) -> None:
    change(copy / DECISION, lambda decision: decision.update(verdict="refused", gate_passed=False))
    assert "The model promoted before stays in service." in report(copy)


def test_an_environment_that_promotes_nothing_is_told_apart(copy: Path) -> None:
    change(copy / DECISION, lambda decision: decision.update(verdict="refused", gate_passed=True))
    assert "Gate passed, not promoted" in report(copy)


def test_a_model_without_steps_has_no_curves(copy: Path) -> None:
    LearningCurves(monitor="auroc").save(copy / TRAINING_CURVES)
    change(copy / TRAINING_METRICS, lambda found: found.update(epochs=0, best_epoch=None))
    assert "no learning curves" in report(copy)


def test_a_metric_without_value_is_a_dash(copy: Path) -> None:
    nothing = {"value": None, "low": None, "high": None, "reason": "the pairs hold one class"}
    change(copy / METRICS, lambda metrics: metrics["candidate"].update(mcc=nothing))
    page = report(copy)
    assert 'title="the pairs hold one class">–' in page


def test_a_missing_key_names_its_file(copy: Path) -> None:
    change(copy / METRICS, lambda metrics: metrics["candidate"]["auroc"].pop("low"))
    with pytest.raises(DataError, match=r"reports/metrics\.json has no 'candidate\.auroc\.low'"):
        report(copy)


def test_a_key_missing_for_a_template_names_its_file(copy: Path) -> None:
    change(copy / PREPARE_METRICS, lambda found: found.pop("rows_merged"))
    with pytest.raises(DataError, match=r"reports/prepare_metrics\.json has no 'rows_merged'"):
        report(copy)


@pytest.mark.parametrize(
    "artefact",
    [
        LEAKAGE,
        DECISION,
        *(EVALUATION / f"{name}.json" for name in ("strata", "applicability", "robustness")),
    ],
)
def test_a_missing_file_is_named(copy: Path, artefact: Path) -> None:
    (copy / artefact).unlink()
    with pytest.raises(DataError, match=re.escape(str(artefact))):
        report(copy)


def test_a_broken_file_is_named(copy: Path) -> None:
    write_text(copy / METRICS, "{")
    with pytest.raises(DataError, match=r"reports/metrics\.json is no JSON"):
        report(copy)


def test_a_promoted_folder_without_a_card_is_refused(copy: Path) -> None:
    (copy / PROMOTED / "MODEL_CARD.md").unlink()
    with pytest.raises(DataError, match=r"MODEL_CARD\.md"):
        report(copy)


def test_curves_of_another_form_are_refused(copy: Path) -> None:
    write_text(copy / TRAINING_CURVES / "loss.csv", "step,loss\n0,1\n")
    with pytest.raises(DataError, match=r"loss\.csv has the columns step, loss"):
        report(copy)


def test_missing_pictures_are_refused(copy: Path) -> None:
    shutil.rmtree(copy / EVALUATION / "pictures")
    with pytest.raises(DataError, match="holds no picture"):
        report(copy)
