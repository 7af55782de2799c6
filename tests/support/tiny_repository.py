"""A clone of the repository on a tiny data set, so that the whole pipeline runs in a minute."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]

EDITS = {
    "conf/trainer/default.yaml": {"max_epochs": 2, "crop_residues": 100},
    "conf/reproducibility/default.yaml": {"threads": 1},
    "conf/features/default.yaml": {"max_residues": 300, "kmer_bins": 16},
    "conf/model/drugban.yaml": {"mlp_hidden_dim": 16, "mlp_out_dim": 8},
    "conf/model/drug/gcn.yaml": {"dim": 16},
    "conf/model/target/sequence_cnn.yaml": {"residue_dim": 8, "filters": [16, 16, 16]},
    "conf/model/interaction/ban.yaml": {"dim": 16},
    "conf/model/gradient_boosting.yaml": {"trees": 20},
    "conf/evaluate/default.yaml": {"bootstrap_samples": 100},
    # Models this small are no better than chance; what is tested is the way, not the model.
    "conf/screen/default.yaml": {
        "library": "data/sample/drugs.csv",
        "columns": {"smiles": "smiles", "id": "drug_id", "name": None},
        "top_k": 3,
        "margin": 7,
        "chunk_drugs": 64,
    },
    "conf/promote/default.yaml": {"floor": 0.0, "must_beat": [], "max_loss_to_previous": 1.0},
}


class TinyRepository:
    """A git and DVC repository with the project's own files, fewer rows and smaller models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        bin_folder = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(bin_folder.parent),
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "Test",
            "GIT_AUTHOR_EMAIL": "test@example.invalid",
            "GIT_COMMITTER_NAME": "Test",
            "GIT_COMMITTER_EMAIL": "test@example.invalid",
        }
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    @classmethod
    def make(cls, root: Path) -> TinyRepository:
        """Copy the files that git knows or would take, shrink them and commit."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (REPOSITORY / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, root / name)
        (root / "dvc.lock").unlink(missing_ok=True)
        (root / "models/production.json").write_text("{}\n")  # nothing was promoted there yet
        repository = cls(root)
        for name, values in EDITS.items():
            repository.edit(name, values)
        repository._shrink_sample()
        repository.run("python", "-m", "stages.dti", "compose")
        repository.run("git", "init", "-q", "-b", "main")
        repository.run("git", "add", "-A")
        repository.run("git", "commit", "-q", "-m", "Tiny repository")
        return repository

    def run(
        self, *command: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository; fail with its output if it fails and ``check``."""
        result = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(
                f"{' '.join(command)} exited {result.returncode}\n{result.stdout[-4000:]}\n"
                f"{result.stderr[-4000:]}"
            )
        return result

    def edit(self, name: str, values: dict[str, object]) -> None:
        """Set top-level keys of a YAML file."""
        path = self.root / name
        content = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(content | values, sort_keys=False))

    def repro(self, *arguments: str) -> list[str]:
        """Compose, run ``dvc repro`` and return the stages that ran, in order."""
        self.run("python", "-m", "stages.dti", "compose")
        output = self.run("dvc", "repro", *arguments).stdout
        return re.findall(r"Running stage '(\w+)'", output)

    def _shrink_sample(self) -> None:
        """Keep 150 drugs × 30 targets of the sample, and unpin the changed files."""
        folder = self.root / "data/sample"
        pairs = pd.read_csv(folder / "interactions.csv")
        drugs = pairs["drug_id"].value_counts().index[:150]
        targets = pairs["target_id"].value_counts().index[:30]
        kept = pairs[pairs["drug_id"].isin(drugs) & pairs["target_id"].isin(targets)]
        kept.to_csv(folder / "interactions.csv", index=False)
        for name, column in (("drugs", "drug_id"), ("targets", "target_id")):
            table = pd.read_csv(folder / f"{name}.csv")
            table[table[column].isin(kept[column])].to_csv(folder / f"{name}.csv", index=False)
        config = self.root / "conf/dataset/sample.yaml"
        config.write_text(re.sub(r"\n *sha256: \w+", "", config.read_text()))
