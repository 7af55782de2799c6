"""From finished chunks to the ranking: merged, then scored exactly and ordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.artifacts.screening import ScreeningMetrics
from stages.dti.data.sources.molecule_files import UNREADABLE
from stages.dti.errors import DataError
from stages.dti.files import write_file
from stages.dti.prediction.ranking import best_first, is_certain, merge_top
from stages.dti.prediction.types import Pair, Prediction
from stages.dti.runtime.progress import ProgressLog
from stages.dti.screening.chunks import Chunk, limit_threads
from stages.dti.screening.job import Job, chunk_folder

RANKING_COLUMNS = (
    "rank",
    "drug_id",
    "drug_name",
    "smiles",
    "target_id",
    "target_name",
    "organism",
    *(
        name
        for name in Prediction.model_fields
        if name not in ("status", "reason", "smiles", "drug_name", "known_target_id", "target_name")
    ),
)
"""Columns of the ranking: who, then the numbers of ``Prediction``."""

REJECTED_COLUMNS = ("kind", "row", "id", "name", "given", "reason", "detail")
"""Columns of what was left out."""

_PAIRS_AT_ONCE = 20_000
"""Candidates scored exactly at once; bounds the memory of their features."""


@dataclass(frozen=True)
class Screening:
    """What the stage found.

    Attributes:
        ranking: columns ``RANKING_COLUMNS``; targets in their order, each from rank 1.
        rejected: columns ``REJECTED_COLUMNS``.
        metrics: counts.
    """

    ranking: pd.DataFrame
    rejected: pd.DataFrame
    metrics: ScreeningMetrics

    @classmethod
    def of_nothing(cls) -> Self:
        """Return the result where no model is promoted."""
        return cls(
            pd.DataFrame(columns=list(RANKING_COLUMNS)),
            pd.DataFrame(columns=list(REJECTED_COLUMNS)),
            ScreeningMetrics(model=None, pairs=0, ranked=0),
        )


@dataclass(frozen=True)
class Gathered:
    """All chunks together.

    Attributes:
        best: columns ``target`` (row of the valid targets), ``row`` (of the library), ``smiles``
            (canonical), ``score``: the best candidates of each target, each drug once.
        drugs: different drugs that were scored.
        rejected: the library's rows that are not in the ranking (``REJECTED_COLUMNS``): those
            that cannot be scored, and those that are another row's drug.
    """

    best: pd.DataFrame
    drugs: int
    rejected: list[dict[str, object]]


def gather(job: Job, cache: Path, scores: Path | None) -> Gathered:
    """Merge the chunks in the order of the library.

    Args:
        scores: a new folder for the whole matrix, a Parquet file per chunk; ``None``: not written.

    Raises:
        DataError: no drug of the library can be scored.
    """
    first_row: dict[str, int] = {}
    best = pd.DataFrame({"target": [], "row": [], "smiles": [], "score": []})
    rejected: list[dict[str, object]] = []
    if scores is not None:
        scores.mkdir()
    for number in range(job.chunks):
        chunk = Chunk.load(chunk_folder(cache, number))
        start = number * job.chunk_drugs
        new: set[str] = set()
        for row, (smiles, reason) in enumerate(
            zip(chunk.drugs["smiles"], chunk.drugs["reason"], strict=True), start=start
        ):
            if smiles is None:
                rejected.append(_rejected_drug(job, row, "invalid", reason))
            elif smiles in first_row:
                same = job.library["drug_id"].iloc[first_row[smiles]]
                rejected.append(
                    _rejected_drug(job, row, "duplicate", f"once standardised, the same as {same}")
                )
            else:
                first_row[smiles] = row
                new.add(smiles)
        canonical = chunk.drugs["smiles"].to_numpy(dtype=object)[chunk.best["row"]]
        found = chunk.best.assign(row=chunk.best["row"] + start, smiles=canonical)
        found = found[found["smiles"].isin(new)]
        parts = [part for part in (best, found) if len(part)]
        best = merge_top(parts, job.settings.candidates) if parts else best
        if scores is not None:
            kept = chunk.scores[chunk.scores["smiles"].isin(new)]
            _write_scores(job, kept, first_row, scores / f"chunk-{number:05d}.parquet")
    if not first_row:
        first = rejected[0]["detail"] if rejected else "it holds no row"
        raise DataError(
            f"none of the {len(job.library)} drugs of screen.library can be scored ({first}); "
            "check screen.library and screen.columns"
        )
    return Gathered(best, len(first_row), rejected)


@dataclass(frozen=True)
class Ranked:
    """The candidates of a job in their exact order.

    Attributes:
        tables: per row of the job's targets that can be scored, its top: columns
            ``RANKING_COLUMNS``.
        uncertain: rows of the targets for which a better drug may have been left out.
    """

    tables: dict[int, pd.DataFrame]
    uncertain: list[int]


def rank_exactly(job: Job, gathered: Gathered, top_k: int) -> Ranked:
    """Score the candidates pair by pair and keep the best ``top_k`` of each target."""
    limit_threads(job.settings.threads)
    by_target = dict(list(gathered.best.groupby("target")))
    valid = np.flatnonzero(job.ready.rows >= 0)
    at_once = max(1, _PAIRS_AT_ONCE // job.settings.candidates)
    ranked = Ranked({}, [])
    progress = ProgressLog("targets ranked", len(valid))
    for start in range(0, len(valid), at_once):
        block = valid[start : start + at_once]
        candidates = [by_target[job.ready.rows[target]] for target in block]
        pairs = (
            Pair(smiles, sequence=job.ready.texts[job.ready.rows[target]])
            for target, table in zip(block, candidates, strict=True)
            for smiles in table["smiles"]
        )
        predictions = _predicted(job, pairs)
        for target, table in zip(block, candidates, strict=True):
            exact, answers = _best_answers(predictions, table["smiles"].tolist(), top_k)
            left_out = table["score"].min() if len(table) < gathered.drugs else None
            if not is_certain(exact, table["score"].to_numpy(), left_out, top_k):
                ranked.uncertain.append(int(target))
            order = best_first(exact, table["smiles"].tolist())[:top_k]
            ranked.tables[int(target)] = _ranked(job, int(target), table, answers, order)
        progress.advance(len(block))
    return ranked


def _predicted(job: Job, pairs: Iterator[Pair]) -> Iterator[Prediction]:
    """Predict the pairs, ``_PAIRS_AT_ONCE`` together."""
    while block := list(islice(pairs, _PAIRS_AT_ONCE)):
        yield from job.predictor.predict(block)


def _best_answers(
    predictions: Iterator[Prediction], smiles: list[str], top_k: int
) -> tuple[NDArray[np.float64], dict[int, Prediction]]:
    """Take a prediction for each of ``smiles``.

    Returns:
        the scores, ``(candidates,)``; the predictions of at least the best ``top_k``, by their
        position.
    """
    exact = np.empty(len(smiles))
    answers: dict[int, Prediction] = {}
    for position in range(len(smiles)):
        answer = next(predictions)
        exact[position] = answer.score
        answers[position] = answer
        if len(answers) >= top_k + _PAIRS_AT_ONCE:  # or those of a whole library would pile up
            held = list(answers)
            best = best_first(exact[held], [smiles[place] for place in held])[:top_k]
            answers = {held[place]: answers[held[place]] for place in best}
    return exact, answers


def screening(
    job: Job, gathered: Gathered, tables: dict[int, pd.DataFrame], widened: int
) -> Screening:
    """Put the tops of the targets together, in the order of the targets.

    Args:
        tables: per row of the job's targets that can be scored.
        widened: for how many of them more candidates were taken.
    """
    ranking = pd.concat([tables[row] for row in sorted(tables)], ignore_index=True)
    refused = Counter(row["reason"] for row in gathered.rejected)
    metrics = ScreeningMetrics(
        model=job.predictor.info.name,
        library_rows=len(job.library),
        drugs=gathered.drugs,
        drugs_invalid=refused["invalid"],
        drugs_duplicate=refused["duplicate"],
        targets=len(tables),
        targets_invalid=len(job.targets) - len(tables),
        targets_widened=widened,
        pairs=gathered.drugs * len(tables),
        ranked=len(ranking),
        ranked_interacting=int(ranking["interacts"].sum()),
        ranked_in_train=int(ranking["pair_seen"].sum()),
    )
    rejected = pd.DataFrame(
        [*gathered.rejected, *_rejected_targets(job)], columns=list(REJECTED_COLUMNS)
    )
    return Screening(ranking, rejected, metrics)


def _rejected_targets(job: Job) -> list[dict[str, object]]:
    return [
        {
            "kind": "target",
            "row": row + 1,
            "id": job.targets["target_id"].iloc[row],
            "name": job.targets["target_name"].iloc[row],
            "given": job.targets["sequence"].iloc[row],
            "reason": "invalid",
            "detail": reason,
        }
        for row, reason in enumerate(job.ready.reasons)
        if reason is not None
    ]


def _ranked(
    job: Job,
    target: int,
    table: pd.DataFrame,
    answers: dict[int, Prediction],
    order: NDArray[np.int64],
) -> pd.DataFrame:
    chosen = table.iloc[order]
    drugs = job.library.iloc[chosen["row"].to_numpy(dtype=np.int64)]
    numbers = pd.DataFrame([answers[position].model_dump() for position in order])
    unknown = dict.fromkeys(numbers.columns[numbers.isna().all()], np.float64)
    numbers = numbers.astype(unknown)  # a column of None alone would have no type in the file
    who = pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1, dtype=np.int32),
            "drug_id": drugs["drug_id"].to_numpy(dtype=object),
            "drug_name": [
                name if isinstance(name, str) else answers[position].drug_name
                for name, position in zip(drugs["drug_name"], order, strict=True)
            ],
            "smiles": chosen["smiles"].to_numpy(dtype=object),
            **{
                field: pd.Series([job.targets[field].iloc[target]] * len(order), dtype=object)
                for field in ("target_id", "target_name", "organism")
            },
        }
    )
    return pd.concat([who, numbers[list(RANKING_COLUMNS[len(who.columns) :])]], axis=1)


def _rejected_drug(job: Job, row: int, reason: str, detail: str) -> dict[str, object]:
    drug = job.library.iloc[row]
    return {
        "kind": "drug",
        "row": row + 1,
        "id": drug["drug_id"],
        "name": drug["drug_name"],
        "given": drug["smiles"],
        "reason": reason,
        "detail": drug[UNREADABLE] or detail,
    }


def _write_scores(job: Job, table: pd.DataFrame, first_row: dict[str, int], path: Path) -> None:
    """Write ``drug_id``, ``smiles`` and a float32 column per target that can be scored."""
    rows = [first_row[smiles] for smiles in table["smiles"]]
    columns = {
        str(target_id): table[str(row)].to_numpy()
        for target_id, row in zip(job.targets["target_id"], job.ready.rows, strict=True)
        if row >= 0
    }
    ids = job.library["drug_id"].iloc[rows].to_numpy(dtype=object)
    head = pd.DataFrame({"drug_id": ids, "smiles": table["smiles"].to_numpy(dtype=object)})
    with write_file(path) as temporary:
        pd.concat([head, pd.DataFrame(columns)], axis=1).to_parquet(temporary, index=False)
