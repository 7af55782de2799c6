"""``dvc plots diff`` of two runs, drawn without a browser: lines in the order of their x axis."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import vl_convert
import yaml

from stages.dti.paths import EVALUATION_PLOTS, ROOT, TRAINING_CURVES
from stages.dti.training.curves import LearningCurves
from tests.support.dvc_repository import Repository

EPOCHS = 24  # as text, 10 comes before 2


def write_run(root: Path, speed: float) -> None:
    curves = LearningCurves("drugban", monitor="auroc")
    for epoch in range(EPOCHS):
        falling = 0.7 / (1 + speed * epoch)
        curves.own.add({"epoch": epoch, "train_loss": falling, "val_loss": falling + 0.1})
    curves.save(root / TRAINING_CURVES)
    false = [0.0, 0.0, 1e-05, 0.2, 0.2, 1.0]  # "1e-05" comes after "0.2"
    true = [0.0, 0.2, 0.4, 0.4 + speed, 0.6 + speed, 1.0]
    rows = [("candidate", *point) for point in zip(false, true, strict=True)]
    table = pd.DataFrame(rows, columns=["model", "false_positive_rate", "true_positive_rate"])
    (root / EVALUATION_PLOTS).mkdir(parents=True, exist_ok=True)
    table.to_csv(root / EVALUATION_PLOTS / "roc.csv", index=False)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Title → SVG, of a commit beside what was changed since."""
    wanted = ("Training and validation loss", "ROC")
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    chosen = [plot for plot in plots if next(iter(plot)) in wanted]
    repository = Repository(tmp_path_factory.mktemp("repository"), {"plots": chosen})
    shutil.copytree(ROOT / ".dvc/plots", repository.root / ".dvc/plots", dirs_exist_ok=True)
    write_run(repository.root, 0.1)
    repository.commit()
    write_run(repository.root, 0.3)
    found = json.loads(repository.run("dvc", "plots", "diff", "HEAD", "--json"))["data"]
    return {
        title: vl_convert.vegalite_to_svg(_specification(plots[0]))
        for title, plots in found.items()
    }


def _specification(plot: dict[str, Any]) -> dict[str, Any]:
    content = plot["content"]
    specification: dict[str, Any] = json.loads(content) if isinstance(content, str) else content
    return specification


def lines(svg: str) -> list[tuple[str, bool, list[tuple[float, float]]]]:
    """Each line's colour, whether it is dashed, and its points (x, y), y downwards."""
    found = []
    for tag in re.findall(r"<path aria-label=[^>]*line mark[^>]*>", svg):
        points = re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", tag)
        colour = re.search(r'stroke="([^"]+)"', tag)
        assert colour is not None
        dashes = re.search(r'stroke-dasharray="(\d+),(\d+)"', tag)
        dashed = dashes is not None and dashes[2] != "0"
        found.append((colour[1], dashed, [(float(x), float(y)) for x, y in points]))
    return found


def test_epochs_are_drawn_in_order_and_the_trainings_apart(drawn: dict[str, str]) -> None:
    found = lines(drawn["Training and validation loss"])
    assert len(found) == 4
    for _, _, points in found:
        assert len(points) == EPOCHS
        assert points == sorted(points)  # x rises, and so does y: the loss falls
        steps = {round(b[0] - a[0], 3) for a, b in pairwise(points)}
        assert max(steps) - min(steps) < 0.01  # on a scale of numbers, not of names
    # A colour for each training; train and validation differ by the dashes.
    assert len({(colour, dashed) for colour, dashed, _ in found}) == 4
    assert len({colour for colour, _, _ in found}) == 2


def test_a_roc_rises_where_its_points_stand_above_each_other(drawn: dict[str, str]) -> None:
    found = lines(drawn["ROC"])
    assert len({dashed for _, dashed, _ in found}) == len(found) == 2
    for _, _, points in found:
        assert points == sorted(points, key=lambda point: (point[0], -point[1]))
