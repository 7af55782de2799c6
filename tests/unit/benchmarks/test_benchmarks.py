"""The benchmark as a command: configuration, cases, machine, figures, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from stages.dti.config.base import build
from stages.dti.config.model import ModelConfig
from stages.dti.errors import ConfigError, DataError
from stages.dti.features.drugs import featurize_drugs
from stages.dti.paths import Paths
from stages.dti.runtime.compose import compose
from tests.benchmarks.__main__ import OUTPUT, configuration, main
from tests.benchmarks.cases import TABLES, TIMED
from tests.benchmarks.config import CaseName
from tests.benchmarks.featurize_cases import plain_features
from tests.benchmarks.figures import save_figures
from tests.benchmarks.machine import Surroundings, describe_machine, matrix_peak
from tests.benchmarks.results import run
from tests.reference.sizes import published_network
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import DEFAULTS, write_features, write_tables
from tests.support.sample_pairs import FEATURES


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
    assert set(peak) == {"float32_gflop_per_s", "bf16_gflop_per_s"}
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


def test_equal_numbers_give_equal_figures(tmp_path: Path) -> None:
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
