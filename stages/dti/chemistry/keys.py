"""Names of drugs and targets that depend on nothing but what they are."""

from __future__ import annotations

from hashlib import sha256

_HEX_DIGITS = 16

ID_SEPARATOR = "~"
"""Between an id that stands for several drugs or targets, and the key that tells them apart."""


def drug_key(smiles: str) -> str:
    """Return the key of a drug: ``D`` and 16 hex digits of its canonical SMILES' sha256."""
    return "D" + sha256(smiles.encode()).hexdigest()[:_HEX_DIGITS]


def target_key(sequence: str) -> str:
    """Return the key of a target: ``T`` and 16 hex digits of its sequence's sha256."""
    return "T" + sha256(sequence.encode()).hexdigest()[:_HEX_DIGITS]
