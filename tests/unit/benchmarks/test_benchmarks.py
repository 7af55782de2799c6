"""The benchmark's harness by counted work (no test reads a clock), formulas, figures, errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from stages.dti.config.base import build
from stages.dti.config.model import ModelConfig
from stages.dti.errors import ConfigError, DataError
from stages.dti.features.drugs import featurize_drugs
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.paths import Paths
from stages.dti.runtime.compose import compose
from tests.benchmarks import flops, measure, worker
from tests.benchmarks.__main__ import OUTPUT, configuration, main
from tests.benchmarks.cases import TABLES, TIMED
from tests.benchmarks.config import CaseName
from tests.benchmarks.featurize_cases import plain_features
from tests.benchmarks.figures import save_figures
from tests.benchmarks.machine import Surroundings, describe_machine, matrix_peak
from tests.benchmarks.measure import Variant, interleave
from tests.benchmarks.results import run
from tests.reference.padded import PaddedDrugBAN, padded_batch
from tests.reference.sizes import NetworkSizes, Padding, published_network
from tests.support import worker_tasks
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import DEFAULTS, write_features, write_tables
from tests.support.sample_pairs import FEATURES, sample_pairs

NETWORK = drugban_of(
    graph_dim=12, graph_layers=2, residue_dim=10, cnn_filters=(8, 9, 11),
    cnn_kernels=(3, 5, 9), ban_heads=3, ban_dim=7, ban_pooling=3, mlp_hidden_dim=13,
    mlp_out_dim=6, dropout=0.0,
)  # fmt: skip
SIZES = NetworkSizes.of(NETWORK)
PEAKS = {"float32_gflop_per_s": 100.0, "bf16_gflop_per_s": 400.0}


class Counter:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now


class Counted:
    """Does ``units`` of work each time."""

    def __init__(self, name: str, units: float, clock: Counter) -> None:
        self.name, self.units, self.clock = name, units, clock

    def once(self) -> float:
        self.clock.now += self.units
        self.clock.order.append(self.name)
        return self.units


def test_runs_take_turns_after_the_warm_up() -> None:
    clock = Counter()
    runners = [Counted("a", 3, clock), Counted("b", 1, clock)]
    seconds = interleave(runners, [1, 2], repeats=2, budget_s=100, clock=clock)
    assert clock.order == ["a", "b", "b", "a", "b", "a", "b"]
    assert seconds == [[3, 3], [1, 1]]


def test_a_spent_budget_still_leaves_one_round() -> None:
    clock = Counter()
    runners = [Counted("a", 3, clock), Counted("b", 1, clock)]
    assert interleave(runners, [1, 1], 9, budget_s=0, clock=clock) == [[3], [1]]
    assert interleave(runners, [0, 0], 9, budget_s=6, clock=clock) == [[3, 3], [1, 1]]


def test_what_does_four_times_the_work_is_reported_four_times_slower() -> None:
    clock = Counter()
    slow, fast = Counted("a", 4, clock), Counted("b", 1, clock)
    seconds = interleave([slow, fast], [0, 0], 5, 100, clock)
    rows = [
        measure.describe(Variant(name, _nothing, None, work), "pairs", own, PEAKS)
        for name, work, own in zip(("reference", "ours"), (10, 10), seconds, strict=True)
    ]
    measure.add_ratios(rows, "pairs")
    assert [row["pairs_per_s"] for row in rows] == [2.5, 10.0]
    assert [row["times_reference"] for row in rows] == [1.0, 4.0]
    assert "times_published" not in rows[0]


def test_ratios_to_both_yardsticks_stand_side_by_side() -> None:
    rows: list[dict[str, Any]] = [
        {"variant": name, "pairs_per_s": rate}
        for name, rate in (("reference", 2.0), ("published", 1.0), ("ours", 8.0))
    ]
    measure.add_ratios(rows, "pairs")
    assert [row["times_reference"] for row in rows] == [1.0, 0.5, 4.0]
    assert [row["times_published"] for row in rows] == [2.0, 1.0, 8.0]


def test_rates_are_compared_per_unit_of_work() -> None:
    """A reference that does a hundredth of the work in a tenth of the time is ten times slower."""
    few = measure.describe(Variant("reference", _nothing, None, 1), "pairs", [1.0], PEAKS)
    many = measure.describe(Variant("ours", _nothing, None, 100), "pairs", [10.0], PEAKS)
    measure.add_ratios([few, many], "pairs")
    assert many["times_reference"] == 10.0


def test_shares_of_the_peak_are_of_the_same_precision() -> None:
    variant = Variant("ours", _nothing, None, 1, gflop=200.0, precision="bf16")
    row = measure.describe(variant, "pairs", [1.0, 2.0, 3.0], PEAKS)
    assert (row["n"], row["median_s"], row["p10_s"], row["p90_s"]) == (3, 2.0, 1.2, 2.8)
    assert (row["gflop_per_s"], row["share_of_peak"]) == (100.0, 0.25)
    assert "share_of_peak" not in measure.describe(
        Variant("ours", _nothing, None, 1), "pairs", [1.0], PEAKS
    )


def test_without_a_reference_nothing_is_compared() -> None:
    rows: list[dict[str, Any]] = [{"variant": "ours", "pairs_per_s": 2.0}]
    measure.add_ratios(rows, "pairs")
    assert "times_reference" not in rows[0]


def _nothing(_argument: Any) -> Callable[[], None]:
    return lambda: None


@pytest.fixture
def light_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started here need not import what these tasks don't use."""
    monkeypatch.setattr(worker, "PRELOADED", ["__main__", "torch"])


@pytest.mark.usefixtures("light_server")
def test_a_worker_reports_time_and_the_peak_memory_of_its_own_work() -> None:
    with (
        worker.Worker(worker_tasks.allocates, 20, 1) as small,
        worker.Worker(worker_tasks.allocates, 220, 1) as large,
        worker.Worker(worker_tasks.own_time, 12.5, 1) as own,
    ):
        for each in (small, large):
            assert each.once() > 0
        assert own.once() == 12.5
        figures = [each.memory() for each in (small, large)]
    added = figures[1]["added_memory_mib"] - figures[0]["added_memory_mib"]
    assert 195 < added < 205
    assert all(f["peak_memory_mib"] > f["added_memory_mib"] for f in figures)


@pytest.mark.slow
def test_a_worker_of_another_environment_is_a_fresh_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    wanted: dict[str, str | None] = {"GOMP_SPINCOUNT": None, "DTI_TEST": "1"}
    with worker.Worker(worker_tasks.environment_is, wanted, 1, environment=wanted) as changed:
        assert changed.once() == 1.0
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    assert "DTI_TEST" not in os.environ


@pytest.mark.usefixtures("light_server")
def test_work_in_a_further_process_brings_its_own_figures() -> None:
    with worker.Worker(worker_tasks.elsewhere, [(3.0, 70.0), (2.0, 50.0)], 1) as waiting:
        assert [waiting.once(), waiting.once()] == [3.0, 2.0]
        assert waiting.memory() == {"peak_memory_mib": 70.0}


@pytest.mark.usefixtures("light_server")
def test_a_failure_in_a_worker_is_told_with_its_traceback() -> None:
    with (
        worker.Worker(worker_tasks.fails, None, 1) as failing,
        pytest.raises(worker.WorkerError, match=r"fails failed(.|\n)*three is no even number"),
    ):
        failing.once()


@pytest.mark.usefixtures("light_server")
def test_a_worker_that_dies_is_told_with_its_exit_code() -> None:
    with (
        worker.Worker(worker_tasks.dies, None, 1) as dying,
        pytest.raises(worker.WorkerError, match=r"exit code 7; .* smaller benchmark\.sizes"),
    ):
        dying.once()


@pytest.mark.usefixtures("light_server")
def test_a_function_can_be_called_in_a_process_of_its_own() -> None:
    assert worker.in_process(worker_tasks.double, 21, 1) == 42
    with pytest.raises(worker.WorkerError, match="negative"):
        worker.in_process(worker_tasks.double, -1, 1)


def test_reference_formula_is_what_its_operators_count() -> None:
    network, pairs, padding = PaddedDrugBAN(SIZES).eval(), 3, Padding(60, 1200)
    data = sample_pairs()
    batch = padded_batch(data, np.arange(pairs), padding)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(batch)
    expected = flops.reference_flop(SIZES, flops.PairCounts.padded(pairs, padding))
    assert counted.get_total_flops() == expected


def test_engine_formula_is_a_lower_bound_of_what_its_operators_count() -> None:
    """The engine rounds sizes up to tiles, and folds the embedding into the first convolution."""
    data, network = sample_pairs(), DrugBANNetwork(NETWORK).eval()
    rows = np.flatnonzero(data.target_index == data.target_index[0])
    batch = pair_batch(data, rows, network)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(batch)
    formula = flops.explicit_flop(SIZES, flops.PairCounts.of(data, rows))
    assert formula <= counted.get_total_flops() < 1.6 * formula


def test_counts_hold_each_drug_and_target_once_and_each_pair_as_often_as_it_stands() -> None:
    data = sample_pairs()
    rows = np.array([0, 0, 1])
    counts = flops.PairCounts.of(data, rows)
    atoms = np.diff(data.drugs.atom_offsets)[data.drug_index[:2]]
    residues = np.diff(data.targets.residue_offsets)[data.target_index[:2]]
    unique_drugs = len(set(data.drug_index[:2].tolist()))
    assert counts.pairs == 3
    assert counts.atoms == (atoms.sum() if unique_drugs == 2 else atoms[0])
    assert counts.cells == 2 * atoms[0] * residues[0] + atoms[1] * residues[1]


def test_formulas_by_hand() -> None:
    counts = flops.PairCounts(pairs=6, atoms=20, residues=300, cells=1000)
    layers = 2 * 12 * 12 * 2
    drugs = 2 * 20 * (74 * 12 + layers + 12 * 21)
    convolutions = 26 * 8 * 3 + 8 * 9 * 5 + 9 * 11 * 9
    targets = 2 * 300 * (convolutions + 11 * 21)
    classifier = 2 * 6 * (7 * 13 + 13 * 13 + 13 * 6 + 6)
    assert flops.explicit_flop(SIZES, counts) == drugs + targets + classifier + 4 * 1000 * 21
    gram = 2 * 21 * 21 * (20 + 300 + 6)
    assert flops.gram_flop(SIZES, counts) == drugs + targets + classifier + gram


def test_the_plain_loop_computes_what_ours_does() -> None:
    smiles = ["CC(=O)Oc1ccccc1C(=O)O", "[Na+].[O-]C(=O)C", "C", "C[C@H](N)C(=O)[O-]", "FS(F)(F)F"]
    ours, _ = featurize_drugs(smiles, FEATURES)
    for row, text in enumerate(smiles):
        plain = plain_features(text, FEATURES.fingerprint_radius, FEATURES.fingerprint_bits)
        atoms = slice(*ours.atom_offsets[row : row + 2])
        bonds = slice(*ours.bond_offsets[row : row + 2])
        np.testing.assert_array_equal(plain.atoms, ours.atoms[atoms])
        np.testing.assert_array_equal(plain.bonds, ours.bonds[bonds])
        np.testing.assert_array_equal(plain.fingerprint, ours.fingerprints[row])
        np.testing.assert_array_equal(plain.descriptors, ours.descriptors[row])


def test_machine_and_surroundings_are_plain_numbers() -> None:
    facts = describe_machine(threads=1)
    assert facts["threads"] == 1
    assert facts["processor"]
    peak = matrix_peak(((8, 8, 8),))
    assert set(peak) == set(PEAKS)
    surroundings = Surroundings().report()
    assert surroundings["others_cpu_share"] >= 0
    json.dumps([facts, peak, surroundings], allow_nan=False)


def test_another_processs_work_shows_in_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not waited for: the machine was busy for 30 s, of which 10 s were ours."""
    from tests.benchmarks import machine

    values = {
        "_machine_busy_s": iter([100.0, 130.0]),
        "_own_s": iter([50.0, 60.0]),
        "_others_s": iter([{(7, "cc1"): 5.0}, {(7, "cc1"): 20.0, (8, "new"): 3.0}]),
    }
    for name, numbers in values.items():
        monkeypatch.setattr(machine, name, lambda numbers=numbers: next(numbers))
    monkeypatch.setattr(machine.time, "monotonic", iter([0.0, 40.0]).__next__)
    report = Surroundings().report()
    assert report["others_cpu_share"] == 0.5
    assert report["others"] == {"cc1": 0.375}


def test_every_case_has_a_name_in_the_configuration() -> None:
    assert set(TIMED) | set(TABLES) == set(CaseName.__args__)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("benchmark.cases=[trian_step]", "benchmark.cases"),
        ("benchmark.sizes.screen_drugs=[3]", "same length"),
        ("benchmark.sizes.residues=[5000]", "more than padded_residues"),
        ("benchmark.sizes.atoms=[]", "at least 1"),
    ],
)
def test_bad_settings_are_refused(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        configuration([override], tiny=True)


@pytest.mark.parametrize("part", ["drug=gin", "drug=fingerprint", "interaction=concat"])
def test_only_the_published_parts_have_a_reference(part: str) -> None:
    plain: Any = OmegaConf.to_container(compose([f"model/{part}"]).model)
    other = build(ModelConfig, plain, "model").root
    with pytest.raises(ConfigError, match=r"published network .*; choose model=drugban"):
        published_network(other)


def test_only_the_published_network_has_a_reference() -> None:
    other = build(ModelConfig, DEFAULTS["baselines"]["base_rate"], "model").root
    with pytest.raises(ConfigError, match="not base_rate; choose model=drugban"):
        published_network(other)


TINY_NETWORK = drugban_of(
    graph_dim=8, residue_dim=6, cnn_filters=(8, 8, 8), cnn_kernels=(3, 6, 9), ban_dim=8,
    mlp_hidden_dim=8, mlp_out_dim=4,
)  # fmt: skip


def start(root: Path) -> dict[str, Any]:
    """Run the benchmark and return what it wrote."""
    plain = configuration(
        ["trainer.batch_size=8", "trainer.pairs_per_target=4", "reproducibility.threads=1"],
        tiny=True,
    )
    run(Paths(root, root), root / OUTPUT, plain | {"model": TINY_NETWORK.model_dump()})
    results: dict[str, Any] = json.loads((root / OUTPUT / "benchmark.json").read_text())
    return results


def test_a_mistake_on_the_command_line_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "figures")
    assert main(["--tiny", "--output", output, "benchmark.repaets=3"]) == 1
    assert "did you mean 'repeats'" in capsys.readouterr().err
    assert main(["--tiny", "--output", output, "trainer.batch_size=zero"]) == 1
    assert "trainer.batch_size" in capsys.readouterr().err
    assert not Path(output).exists()


def test_without_training_data_the_error_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        start(tmp_path)
    assert not (tmp_path / OUTPUT).exists()


@pytest.mark.slow
def test_every_case_is_measured(tmp_path: Path) -> None:
    write_tables(tmp_path)
    write_features(tmp_path)
    results = start(tmp_path)
    assert set(results["cases"]) == set(CaseName.__args__)
    for name in TIMED:
        case = results["cases"][name]
        assert len({row[case["axis"]] for row in case["rows"]}) == 2, name
        for row in case["rows"]:
            assert row["median_s"] > 0
            assert row["n"] == 1
            assert row[f"{case['unit']}_per_s"] == pytest.approx(
                row["work"] / row["median_s"], rel=1e-3
            )
            assert row["peak_memory_mib"] > 10
        assert (tmp_path / OUTPUT / f"{name}.png").stat().st_size > 5000
        compared = {row["variant"] for row in case["rows"] if "times_reference" in row}
        if name not in ("cold_start", "process_settings"):
            assert "reference" in compared, name
        if name in ("train_step", "screen"):
            assert "published" in compared, name
            assert all(row["times_published"] > 0 for row in case["rows"])
    assert (tmp_path / OUTPUT / "parity.md").read_text().startswith("# Parity")
    assert results["cases"]["parity"]["rows"]
    variants = {row["variant"] for row in results["cases"]["screen"]["rows"]}
    assert {"reference", "explicit_float32", "matrix_float32"} <= variants
    assert results["cases"]["profile"]["rows"][0]["share"] > 0
    assert len(results["cases"]["profile"]["rows"]) == 5
    assert results["peak"]["float32_gflop_per_s"] > 0
    assert results["machine"]["threads"] == 1


def test_figures_of_one_size_and_of_size_zero_are_drawn(tmp_path: Path) -> None:
    row = {
        "variant": "ours", "busy_processes": 0, "median_s": 1.0, "p10_s": 0.9, "p90_s": 1.1,
        "work": 2, "peak_memory_mib": 100.0,
    }  # fmt: skip
    case = {"axis": "busy_processes", "unit": "pairs", "rows": [row]}
    save_figures({"one": case, "profile": {"rows": []}}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_equal_figures_give_equal_figures(tmp_path: Path) -> None:
    rows = [
        {
            "variant": name, "pairs": size, "median_s": size * factor, "p10_s": size * factor,
            "p90_s": 2 * size * factor, "work": size, "peak_memory_mib": 100.0 * size,
        }
        for name, factor in (("reference", 3.0), ("ours", 0.01))
        for size in (1, 10, 100)
    ]  # fmt: skip
    case = {"axis": "pairs", "unit": "pairs", "rows": rows}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        save_figures({"growth": case}, tmp_path / name)
    first, second = (tmp_path / name / "growth.png" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
