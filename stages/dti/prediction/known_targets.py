"""The targets that a model knows, found by id, gene symbol or name."""

from __future__ import annotations

import pandas as pd

from stages.dti.chemistry.keys import ID_SEPARATOR
from stages.dti.errors import InvalidInputError, nearest

_MAX_NAME = 100
"""Characters of an unknown name that are compared with the known ones."""

_MAX_CANDIDATES = 5


class KnownTargets:
    """An index of the targets.

    An id is taken as it is written; if there is no such id, ids, names and the ids that stand for
    several targets (``P00533~T0123…``) are compared without regard to upper and lower case.

    Attributes:
        table: columns ``target_id``, ``target_name``, ``organism``, ``target_class``,
            ``sequence``, ``in_train``, one row per target.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.reset_index(drop=True)
        self._row_of_id = {text: row for row, text in enumerate(self.table["target_id"])}
        self._rows_of_name: dict[str, list[int]] = {}
        self._names: set[str] = set(self._row_of_id)
        for row, (target_id, name) in enumerate(
            zip(self.table["target_id"], self.table["target_name"], strict=True)
        ):
            names = {target_id, target_id.rpartition(ID_SEPARATOR)[0], name}
            known = {text for text in names if isinstance(text, str) and text}
            self._names |= known
            for text in {text.casefold() for text in known}:
                self._rows_of_name.setdefault(text, []).append(row)

    def __contains__(self, name: str) -> bool:
        """Return whether ``find`` finds exactly one target."""
        return name in self._row_of_id or len(self._rows_of_name.get(_key(name), ())) == 1

    def find(self, name: str) -> int:
        """Return the row of a target in ``table``.

        Raises:
            InvalidInputError: no target is called so, or several are; the message names the
                nearest, or the candidates.
        """
        if name in self._row_of_id:
            return self._row_of_id[name]
        rows = self._rows_of_name.get(_key(name), [])
        if len(rows) == 1:
            return rows[0]
        if rows:
            ids = [repr(text) for text in self.table["target_id"].iloc[rows[:_MAX_CANDIDATES]]]
            more = f" and {len(rows) - len(ids)} more" if len(rows) > len(ids) else ""
            raise InvalidInputError(
                f"{name!r} names {len(rows)} targets of the model; give the id of the one that is "
                f"meant: {', '.join(ids)}{more}"
            )
        raise InvalidInputError(
            f"the model knows no target {name!r}{nearest(name[:_MAX_NAME], self._names)}; "
            f"GET /model/targets, or the model's reference/targets.parquet, lists all "
            f"{len(self.table)}; or give its sequence"
        )


def _key(name: str) -> str:
    return name.strip().casefold()
