"""What sections ask of each other; each rule yields a line for everything that does not fit.

Only ``schema.py`` calls them. A rule can refuse a configuration, never change one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stages.dti.config.adaptation import CdanConfig
from stages.dti.config.dataset import SPLIT_ROLES, Source
from stages.dti.config.model import (
    BaseRateConfig,
    DrugBANConfig,
    EnsembleConfig,
    MemberConfig,
    NearestNeighbourConfig,
)
from stages.dti.config.sections import Configuration
from stages.dti.errors import nearest


def broken_rules(config: Configuration) -> Iterator[str]:
    """Yield what is wrong between sections that are each valid."""
    for rule in (
        _baselines,
        _gate,
        _pretrained,
        _adaptation,
        _embeddings,
        _snapshots,
        _class_weight,
        _published_split,
        _sequences,
    ):
        yield from rule(config)


def _baselines(config: Configuration) -> Iterator[str]:
    for name, model in config.baselines.root.items():
        if isinstance(model.root, DrugBANConfig | EnsembleConfig):
            yield (
                f"baselines.{name}.name: {model.root.name} cannot be a baseline, since baselines "
                "are fitted without a trainer; use one of the classical models of conf/model"
            )


def _gate(config: Configuration) -> Iterator[str]:
    compared = [*config.baselines.root, *config.evaluate.pretrained]
    for name, times in Counter(config.promote.must_beat).items():
        if name not in compared:
            yield f"promote.must_beat: {name!r} is no baseline{nearest(name, compared)}"
        if times > 1:
            yield f"promote.must_beat: {name!r} is named {times} times"


def _pretrained(config: Configuration) -> Iterator[str]:
    for name in config.evaluate.pretrained:
        if name in config.baselines.root or name == "candidate":
            yield f"evaluate.pretrained.{name}: another model has that name; choose another"


def _adaptation(config: Configuration) -> Iterator[str]:
    adaptation = config.adaptation.root
    if not isinstance(adaptation, CdanConfig):
        return
    if not isinstance(config.model.root, DrugBANConfig):
        yield (
            f"adaptation.name: {adaptation.name} adapts model drugban alone, and the model is "
            f"{config.model.root.name}"
        )
    if not config.split.adapt_fraction:
        yield (
            f"adaptation.name: {adaptation.name} needs unlabelled pairs of the test domain; give "
            "it a share of them with split.adapt_fraction, in split=cluster or a cold split"
        )
    if adaptation.start_epoch >= config.trainer.max_epochs:
        yield (
            f"adaptation.start_epoch: {adaptation.start_epoch} is never reached, since "
            f"trainer.max_epochs is {config.trainer.max_epochs}"
        )


def _embeddings(config: Configuration) -> Iterator[str]:
    """A model that reads embeddings needs them computed."""
    if config.features.embedding is not None:
        return
    for key, member in _members(config):
        if isinstance(member.config, DrugBANConfig) and member.config.target.name == "embedding":
            yield (
                f"{key}.target.name: embedding, but features.embedding is null; choose a language "
                "model, features=esm2 or features=protbert, or another model/target"
            )


def _snapshots(config: Configuration) -> Iterator[str]:
    trainer = config.trainer
    for key, member in _members(config):
        short = trainer.schedule != "cyclic_cosine" or trainer.cycles < member.snapshots
        if member.snapshots > 1 and short:
            yield (
                f"{key.removesuffix('.config')}.snapshots: {member.snapshots} need "
                "trainer.schedule=cyclic_cosine with at least as many trainer.cycles; they are "
                f"{trainer.schedule} and {trainer.cycles}"
            )


def _class_weight(config: Configuration) -> Iterator[str]:
    if config.trainer.class_weight == "none":
        return
    for _, member in _members(config):
        if isinstance(member.config, BaseRateConfig | NearestNeighbourConfig):
            yield (
                f"trainer.class_weight: {config.trainer.class_weight}, but model "
                f"{member.config.name} is not fitted to a loss that weights could change; use "
                "trainer.class_weight=none or another model"
            )


def _published_split(config: Configuration) -> Iterator[str]:
    if config.split.kind == "published" and not any(
        map(_names_parts, config.dataset.sources.values())
    ):
        yield (
            f"split.kind: published, but no source of dataset {config.dataset.name} says which "
            "part a pair is of; name the column with columns.split, give one file per part, or "
            "choose another split"
        )


def _sequences(config: Configuration) -> Iterator[str]:
    """What is read of a sequence is no shorter than the shortest that is let in."""
    shortest = config.standardise.min_residues
    for key, kept in (
        ("features.max_residues", config.features.max_residues),
        ("trainer.crop_residues", config.trainer.crop_residues),
    ):
        if 0 < kept < shortest:
            yield (
                f"{key}: {kept} is below standardise.min_residues, which is {shortest}; a sequence "
                "is not cut to less than what is refused as too short"
            )


def _names_parts(source: Source) -> bool:
    match source.format:
        case "pairs" | "tables":
            per_part = any(role in source.files for role in SPLIT_ROLES)
            return per_part or source.columns.split is not None
        case "deepdta":
            return "test_fold" in source.files
    return False


def _members(config: Configuration) -> Iterator[tuple[str, MemberConfig]]:
    """Yield the models that are fitted, each with its key."""
    model = config.model.root
    if isinstance(model, EnsembleConfig):
        for name, member in model.members.items():
            yield f"model.members.{name}.config", member
    else:
        yield "model", MemberConfig(config=model, seeds=1, snapshots=1)
