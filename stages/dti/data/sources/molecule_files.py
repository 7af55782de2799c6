"""Chemists' files as tables of text: SMILES files, FASTA and SDF, compressed or not.

========================  =========================================================================
``.smi .smiles``          drug_id (the title; up to a tab, if it has one), drug_name (what follows
                          the tab), smiles; a first line ``smiles …`` is a header, ``#`` a comment
``.fasta .fa .faa``       target_id, target_name, description, organism, sequence; of a UniProt
                          header (``sp|P00533|EGFR_HUMAN …``) the accession, gene symbol, protein
                          name and organism, else the first word and the rest
``.sdf .mol``             smiles, drug_id (the title, unless there is a property ``drug_id``), and a
                          column per property
========================  =========================================================================

Each has the column ``unreadable``: why a record holds no structure, else None. Such a record keeps
its place, so that rows are numbered as they stand in the file.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath

import pandas as pd
from rdkit import Chem, rdBase

from stages.dti.chemistry.molecules import rdkit_failures
from stages.dti.errors import InvalidInputError

UNREADABLE = "unreadable"

_COMPRESSED = (".gz", ".zip", ".bz2", ".xz")
_HEADERS = ("smiles", "canonical_smiles", "isomeric_smiles")
_UNIPROT = re.compile(r"(?:sp|tr)\|(?P<id>[^|\s]+)\|\S+\s*(?P<rest>.*)")
_UNIPROT_FIELD = re.compile(r"(?:^|\s)(OS|OX|GN|PE|SV)=(.*?)(?=\s(?:OS|OX|GN|PE|SV)=|$)")
_RECORD_END = re.compile(r"^\$\$\$\$.*(?:\n|\Z)", re.MULTILINE)

Record = dict[str, str | None]
Reader = Callable[[str], Iterator[Record]]

logger = logging.getLogger(__name__)


def reader_of(name: str) -> Reader | None:
    """Return what reads a file of this name; ``None`` for a file of another kind."""
    path = PurePath(name.casefold())
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    return _READERS.get(path.suffix)


def read_molecules(content: bytes, reader: Reader, where: str) -> pd.DataFrame:
    """Read a decompressed file; every cell is a str or ``None``, one row per record.

    Bytes that are no UTF-8 stay in the text as lone surrogates, so that they spoil no other record.

    Args:
        where: how a warning about unreadable records names the file.

    Raises:
        ValueError: a FASTA file does not begin with ``>``.
    """
    text = content.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")
    with rdBase.BlockLogs():
        table = pd.DataFrame(list(reader(text)), dtype=object)
    if table.empty:
        return table
    unreadable = table[UNREADABLE].notna()
    if unreadable.any():
        logger.warning(
            "%s: %d of %d records cannot be read; the first is record %d: %s",
            where,
            int(unreadable.sum()),
            len(table),
            int(unreadable.to_numpy().argmax()) + 1,
            table.loc[unreadable, UNREADABLE].iloc[0],
        )
    return table


def _read_smiles(text: str) -> Iterator[Record]:
    """Split the lines, nothing more: what RDKit says of a SMILES belongs to its standardisation."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    if lines and lines[0].split()[0].casefold() in _HEADERS:
        lines = lines[1:]
    for line in lines:
        smiles, *rest = line.split(maxsplit=1)
        title = rest[0].strip() if rest else ""
        if title.startswith("|") and "|" in title[1:]:  # a CXSMILES extension
            extension, _, title = title[1:].partition("|")
            smiles = f"{smiles} |{extension}|"
        drug_id, _, name = title.strip().partition("\t")
        yield {
            "drug_id": drug_id.strip() or None,
            "drug_name": name.strip() or None,
            "smiles": smiles,
            UNREADABLE: None,
        }


def _read_fasta(text: str) -> Iterator[Record]:
    # Biopython is needed for this kind of file only.
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    start = text.lstrip()[:20]
    if start and not start.startswith(">"):  # Biopython would skip it
        raise ValueError(f"a FASTA file begins with '>', this one with {start!r}")
    for header, sequence in SimpleFastaParser(io.StringIO(text)):  # type: ignore[no-untyped-call]
        yield {
            **_describe_target(header.strip()),
            "sequence": sequence or None,
            UNREADABLE: None if sequence else "the record has a header but no sequence",
        }


def _describe_target(header: str) -> Record:
    uniprot = _UNIPROT.fullmatch(header)
    if uniprot is None:
        target_id, _, rest = header.partition(" ")
        name = rest.strip() or None
        return {
            "target_id": target_id or None,
            "target_name": name,
            "description": name,
            "organism": None,
        }
    rest = uniprot["rest"]
    fields = dict(_UNIPROT_FIELD.findall(rest))
    first = _UNIPROT_FIELD.search(rest)
    description = rest[: first.start()].strip() if first else rest.strip()
    return {
        "target_id": uniprot["id"],
        "target_name": fields.get("GN") or description or None,
        "description": description or None,
        "organism": fields.get("OS"),
    }


def _read_sdf(text: str) -> Iterator[Record]:
    for block in _RECORD_END.split(text):
        if not block.strip():
            continue
        title = block.split("\n", 1)[0].strip() or None
        try:
            yield {"drug_id": title, **_read_block(block), UNREADABLE: None}
        except InvalidInputError as error:
            yield {"drug_id": title, "smiles": None, UNREADABLE: str(error)}


def _read_block(block: str) -> Record:
    """Return properties and SMILES of one record, not sanitised: that is standardisation's part."""
    supplier = Chem.SDMolSupplier()
    with rdkit_failures():
        supplier.SetData(block, sanitize=False, removeHs=False)
        molecule = supplier[0] if len(supplier) else None
        if molecule is None:
            raise InvalidInputError("RDKit cannot read the mol block")
        if molecule.GetNumAtoms() == 0:
            raise InvalidInputError("the mol block holds no atom")
        molecule.UpdatePropertyCache(strict=False)
        properties: Record = {name: molecule.GetProp(name) for name in molecule.GetPropNames()}
        return properties | {"smiles": Chem.MolToSmiles(molecule, canonical=False)}


_READERS: dict[str, Reader] = {
    **dict.fromkeys((".smi", ".smiles"), _read_smiles),
    **dict.fromkeys((".fasta", ".fa", ".faa"), _read_fasta),
    **dict.fromkeys((".sdf", ".mol"), _read_sdf),
}
