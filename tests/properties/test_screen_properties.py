"""Merging the tops of chunks gives what sorting everything at once would give."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, composite

from stages.dti.prediction.ranking import best_first, merge_top

Row = tuple[int, float, str]


@composite
def scored(draw: DrawFn) -> list[Row]:
    """Pairs of up to three targets and different drugs, with many equal scores."""
    drugs = draw(st.lists(st.text("CNO=()1", min_size=1, max_size=4), unique=True, max_size=25))
    score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    return [(target, draw(score), drug) for drug in drugs for target in range(3)]


def frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["target", "score", "smiles"])


@settings(deadline=None)
@given(rows=scored(), count=st.integers(1, 8), chunk=st.integers(1, 12), seed=st.integers(0, 99))
def test_merging_tops_equals_sorting_everything(
    rows: list[Row], count: int, chunk: int, seed: int
) -> None:
    wanted = [
        row
        for target in range(3)
        for row in sorted(
            (row for row in rows if row[0] == target), key=lambda row: (-row[1], row[2])
        )[:count]
    ]
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = [rows[position] for position in order]
    merged = frame([])
    for start in range(0, len(shuffled), chunk):
        top = merge_top([frame(shuffled[start : start + chunk])], count)
        merged = merge_top([merged, top] if len(merged) else [top], count)
    assert list(merged.itertuples(index=False, name=None)) == wanted


@settings(deadline=None)
@given(rows=scored())
def test_best_first_is_a_sort_by_score_and_text(rows: list[Row]) -> None:
    scores = np.array([score for _, score, _ in rows], dtype=np.float32)
    texts = [f"{smiles} {target}" for target, _, smiles in rows]
    wanted = sorted(range(len(rows)), key=lambda row: (-scores[row], texts[row]))
    assert best_first(scores, texts).tolist() == wanted
