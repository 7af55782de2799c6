"""The stage `report`: one self-contained page from what the other stages really write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markupsafe import escape

from stages.dti.files import write_text
from stages.dti.paths import DECISION, EVALUATION, METRICS, PROMOTED
from stages.dti.training.curves import LearningCurves
from tests.support.reported_results import change, report, write_results, write_training


@pytest.fixture(scope="module")
def html(results: Path) -> str:
    return report(results)


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
    assert decision["verdict"] == "passed"
    header = html[html.index('id="summary"') : html.index('id="decision"')]
    assert "Passed by the gate" in header
    assert "romoted to" not in header
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
    assert html.count("data:image/png;base64,") == 5


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


def test_a_robustness_that_was_switched_off_says_so(results_copy: Path) -> None:
    off = {"n": 0, "perturbations": []}
    change(results_copy / EVALUATION / "robustness.json", lambda found: found.update(off))
    assert "Not tested: <code>evaluate.robustness_pairs</code> is 0." in report(results_copy)


def test_sets_that_do_not_cover_are_told_in_red(results_copy: Path) -> None:
    broken = {"verdict": "below the promise"}
    change(results_copy / METRICS, lambda metrics: metrics["candidate"]["conformal"].update(broken))
    assert '<span class="chip bad">below the promise</span>' in report(results_copy)


def test_the_model_card_is_rendered_below_the_page_headings(html: str) -> None:
    assert "<h3>Model card: drugban</h3>" in html
    assert "&lt;script&gt;alert(1)" in html


def test_equal_results_give_equal_bytes(html: str, results_copy: Path) -> None:
    assert report(results_copy) == html


def test_a_refusal_without_any_model_is_reported(tmp_path: Path) -> None:
    write_results(tmp_path, skill=0.0)
    (tmp_path / PROMOTED / "MODEL_CARD.md").unlink()
    write_text(tmp_path / PROMOTED / "NO_MODEL.md", "# No model\n\nNo model was ever promoted.\n")
    page = report(tmp_path)
    assert "Refused by the gate" in page
    assert "No model is in production" in page
    assert "No model was ever promoted." in page


def test_a_refusal_beside_a_promoted_model_says_that_it_stays(results_copy: Path) -> None:
    change(
        results_copy / DECISION,
        lambda decision: decision.update(verdict="refused", gate_passed=False),
    )
    assert "The model in production stays there." in report(results_copy)


def test_an_environment_that_promotes_nothing_is_told_apart(results_copy: Path) -> None:
    change(
        results_copy / DECISION,
        lambda decision: decision.update(verdict="refused", gate_passed=True),
    )
    assert "Gate passed, but refused in dev" in report(results_copy)


def test_a_model_without_steps_has_no_curves(results_copy: Path) -> None:
    write_training(results_copy, "base_rate", LearningCurves("base_rate", monitor="auroc"))
    assert "no learning curves" in report(results_copy)


def test_an_ensembles_fits_are_shown_one_by_one(results_copy: Path) -> None:
    curves = LearningCurves("ensemble", monitor="auroc")
    curves.of_member("1", 0)  # a name that looks like a number, of a model without steps
    for member, fits, spacing in (("drugban", 11, 1), ("null", 1, 10)):
        for number in range(fits):
            curve = curves.of_member(member, number)
            for step in range(1, 4 + number % 2):
                values = {"train_loss": 1 / step, "val_loss": 2 / step, "val_auroc": 0.5}
                curve.add({"epoch": step * spacing - 1, **values})
    write_training(results_copy, "ensemble", curves)
    page = report(results_copy)
    section = page[page.index('id="training"') : page.index('id="split"')]
    rows = re.findall(r'<th scope="row">(\w+)</th>' + r'<td class="n">([^<]*)</td>' * 3, section)
    assert rows == [
        ("1", "0", "0", "–"),
        *(("drugban", str(number), str(3 + number % 2), "0") for number in range(11)),
        ("null", "0", "30", "9"),
    ]
    figures = {
        re.sub(" <small>.*", "", caption): svg
        for caption, svg in re.findall(r"<figcaption>(.*?)</figcaption>(.*?)</figure>", section)
    }
    titles = [f"{curve}: {member}" for curve in ("Loss", "AUROC on validation")
              for member in ("drugban", "null")]  # fmt: skip
    assert list(figures) == titles
    drawn = re.findall(r"stroke: var\(--series-(\d)\)", figures["Loss: drugban"])
    assert drawn == ["1"] * 11 + ["2"] * 11
    assert figures["Loss: drugban"].count("stroke-dasharray") == 11
    assert ">29<" in figures["Loss: null"]


def test_the_fits_of_a_single_member_need_no_name(results_copy: Path) -> None:
    curves = LearningCurves("ensemble", monitor="auroc")
    for number in (0, 1):
        curves.of_member("drugban", number).add({"epoch": 0, "val_auroc": 0.5})
    write_training(results_copy, "ensemble", curves)
    assert "<figcaption>AUROC on validation</figcaption>" in report(results_copy)


def test_a_metric_without_value_is_a_dash(results_copy: Path) -> None:
    nothing = {"value": None, "low": None, "high": None, "reason": "the pairs hold one class"}
    change(results_copy / METRICS, lambda metrics: metrics["candidate"].update(mcc=nothing))
    page = report(results_copy)
    assert 'title="the pairs hold one class">–' in page
