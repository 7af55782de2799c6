"""From a case's name to what is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stages.dti.benchmarking.agreement import screen_precision_table
from stages.dti.benchmarking.featurize_cases import featurize_case
from stages.dti.benchmarking.inputs import Inputs
from stages.dti.benchmarking.measure import Case
from stages.dti.benchmarking.network_cases import (
    encode_drugs_case,
    encode_targets_case,
    epoch_case,
    train_step_case,
)
from stages.dti.benchmarking.parity import parity_table
from stages.dti.benchmarking.prediction_cases import (
    cold_start_case,
    predict_batch_case,
    predict_one_case,
    screen_case,
)
from stages.dti.benchmarking.process_cases import process_settings_case, profile_step

TIMED: dict[str, Callable[[Inputs], Case]] = {
    "encode_drugs": encode_drugs_case,
    "encode_targets": encode_targets_case,
    "train_step": train_step_case,
    "epoch": epoch_case,
    "predict_one": predict_one_case,
    "predict_batch": predict_batch_case,
    "screen": screen_case,
    "featurize": featurize_case,
    "cold_start": cold_start_case,
    "process_settings": process_settings_case,
}
"""Cases whose variants are timed in turns."""

TABLES: dict[str, Callable[[Inputs], dict[str, Any]]] = {
    "parity": parity_table,
    "screen_precision": screen_precision_table,
    "profile": profile_step,
}
"""Cases that return a table of their own."""
