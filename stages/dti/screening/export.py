"""A ranking in the form that chemistry programs open."""

from __future__ import annotations

from io import StringIO

import pandas as pd
from rdkit import Chem
from rdkit.Chem.rdDepictor import Compute2DCoords


def ranking_as_sdf(ranking: pd.DataFrame) -> str:
    """Return an SDF: a record per row, titled by its ``drug_id``, the other columns as properties.

    Structures are drawn flat. A cell without a value makes no property; equal rankings give equal
    bytes.
    """
    text = StringIO()
    drawn: dict[str, Chem.Mol] = {}
    writer = Chem.SDWriter(text)
    for row in ranking.to_dict("records"):
        if row["smiles"] not in drawn:
            molecule = Chem.MolFromSmiles(row["smiles"])
            Compute2DCoords(molecule)
            drawn[row["smiles"]] = molecule
        record = Chem.Mol(drawn[row["smiles"]])
        record.SetProp("_Name", row["drug_id"])
        for name, value in row.items():
            if name != "drug_id" and not pd.isna(value):
                # A line end would end the property.
                record.SetProp(name, " ".join(str(value).split()))
        writer.write(record)
    writer.close()
    return text.getvalue()
