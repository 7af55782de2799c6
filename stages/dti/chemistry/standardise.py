"""One canonical SMILES per drug: the same for training, prediction and service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from joblib import Parallel, cpu_count, delayed
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize.rdMolStandardize import (
    CleanupParameters,
    LargestFragmentChooser,
    Uncharger,
)

from stages.dti.chemistry.molecule_limits import check_limits
from stages.dti.chemistry.molecules import rdkit_failures
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import InvalidInputError
from stages.dti.runtime.progress import ProgressLog

_PARALLEL_FROM = 20_000
"""Below this many SMILES the start of worker processes costs more than it saves."""

_CHUNK = 500


@dataclass(frozen=True)
class StandardisedDrug:
    """One drug, or the reason why it is none.

    Attributes:
        smiles: canonical SMILES; ``None`` if refused.
        heavy_atoms: its number of non-hydrogen atoms; 0 if refused.
        reason: why it is refused; ``None`` if it is not.
    """

    smiles: str | None
    heavy_atoms: int
    reason: str | None


def standardise_smiles(smiles: str | None, config: StandardiseConfig) -> str:
    """Return the canonical SMILES of the drug. Idempotent.

    A canonical SMILES read again may come out otherwise (perception of stereo bonds and aromatic
    rings depends on what neutralisation left behind), so the steps are repeated until it settles.

    Raises:
        InvalidInputError: it cannot be parsed, is no complete molecule, is too large, or one that
            RDKit itself fails on.
    """
    text = smiles.strip() if isinstance(smiles, str) else ""
    if not text:
        raise InvalidInputError("the SMILES is empty")
    with rdBase.BlockLogs(), rdkit_failures():
        forms = [_standardise_once(text, config)]
        if forms[0] == text:
            return text
        while (following := _standardise_once(forms[-1], config)) not in forms:
            forms.append(following)
    return min(forms[forms.index(following) :])


def standardise_drugs(
    smiles: Sequence[str],
    config: StandardiseConfig,
    *,
    processes: int | None = None,
    progress: bool = False,
) -> list[StandardisedDrug]:
    """Standardise many SMILES, in order.

    Args:
        processes: worker processes for a large set; ``None`` is one per processor.
        progress: log how far it is, if it takes long.
    """
    count = cpu_count() if processes is None else processes
    if count > 1 and len(smiles) >= _PARALLEL_FROM:
        chunks = [smiles[start : start + _CHUNK] for start in range(0, len(smiles), _CHUNK)]
        results: Iterable[list[StandardisedDrug]] = Parallel(n_jobs=count, return_as="generator")(
            delayed(_standardise_chunk)(chunk, config) for chunk in chunks
        )
    else:
        results = (_standardise_chunk([text], config) for text in smiles)
    drugs: list[StandardisedDrug] = []
    told = ProgressLog("drugs standardised", len(smiles)) if progress else None
    for chunk_of_drugs in results:
        drugs += chunk_of_drugs
        if told:
            told.advance(len(chunk_of_drugs))
    return drugs


def _standardise_chunk(smiles: Sequence[str], config: StandardiseConfig) -> list[StandardisedDrug]:
    drugs = []
    for text in smiles:
        try:
            canonical = standardise_smiles(text, config)
        except InvalidInputError as error:
            drugs.append(StandardisedDrug(None, 0, str(error)))
        else:
            with rdBase.BlockLogs():
                heavy_atoms = Chem.MolFromSmiles(canonical).GetNumHeavyAtoms()
            drugs.append(StandardisedDrug(canonical, heavy_atoms, None))
    return drugs


def _standardise_once(smiles: str, config: StandardiseConfig) -> str:
    molecule = parse_smiles(smiles, config)
    if config.keep_largest_fragment and "." in smiles:
        molecule = _largest_fragment()(molecule)
    if config.neutralise_charges and molecule.HasSubstructMatch(_charged()):
        molecule = _uncharge()(molecule)
    if not config.keep_stereochemistry:
        Chem.RemoveStereochemistry(molecule)
    heavy_atoms = molecule.GetNumHeavyAtoms()
    if heavy_atoms > config.max_heavy_atoms:
        raise InvalidInputError(f"{heavy_atoms} heavy atoms, more than {config.max_heavy_atoms}")
    canonical: str = Chem.MolToSmiles(molecule)
    return canonical


def parse_smiles(smiles: str, config: StandardiseConfig) -> Chem.Mol:
    """Parse one SMILES; after white space only a CXSMILES extension (``|…|``) may follow.

    Raises:
        InvalidInputError: it is no molecule, or above a limit; the message says why.
    """
    check_limits(smiles, config)
    parts = smiles.split(maxsplit=1)
    if len(parts) == 2 and not parts[1].startswith("|"):
        raise InvalidInputError("white space inside the SMILES")
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidInputError(_parse_failure(smiles))
    if molecule.GetNumAtoms() == 0:
        raise InvalidInputError("the SMILES holds no atom")
    if molecule.HasSubstructMatch(_placeholder()):
        raise InvalidInputError("the SMILES holds a placeholder atom (*), so it is no molecule")
    return molecule


def _parse_failure(smiles: str) -> str:
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    problems = Chem.DetectChemistryProblems(molecule) if molecule is not None else ()
    return "; ".join(problem.Message() for problem in problems) or "SMILES syntax error"


@cache
def _placeholder() -> Chem.Mol:
    return Chem.MolFromSmarts("[#0]")


@cache
def _charged() -> Chem.Mol:
    return Chem.MolFromSmarts("[!+0]")


@cache
def _uncharge() -> Callable[[Chem.Mol], Chem.Mol]:
    uncharge: Callable[[Chem.Mol], Chem.Mol] = Uncharger().uncharge
    return uncharge


@cache
def _largest_fragment() -> Callable[[Chem.Mol], Chem.Mol]:
    """The fragment with most heavy atoms, an organic one before an inorganic one.

    Ties fall to the heavier, then to the first in the alphabet, so the order in which the
    fragments are written does not matter.
    """
    parameters = CleanupParameters()
    parameters.preferOrganic = True
    parameters.largestFragmentChooserCountHeavyAtomsOnly = True
    choose: Callable[[Chem.Mol], Chem.Mol] = LargestFragmentChooser(parameters).choose
    return choose
